// Package h2spec sends what a client of HTTP/2 may send, and what it may not: the conformance suite h2spec.
package h2spec

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/summerwind/h2spec"
	"github.com/summerwind/h2spec/config"

	"github.com/proa-dev/proa/test/clients/cluster"
)

// open lets anybody watch and create configmaps. The suite sends no credentials, and its mistakes in the middle of a
// request need a handler that is still at work: one that refuses the request, or lists what there is, has answered before the
// mistake, and what is wrong about a stream that is over is nobody's business.
const open = `
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: h2spec},
  rules: [{apiGroups: [""], resources: [configmaps], verbs: [watch, create]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: h2spec},
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: h2spec},
  subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:unauthenticated"}]}
`

func TestHTTP2IsWhatItSays(t *testing.T) {
	c := cluster.Start(t)
	bin, err := cluster.Binary()
	if err != nil {
		t.Fatal(err)
	}
	apply := exec.Command(bin, "kubectl", "--kubeconfig", c.Kubeconfig, "apply", "-f", "-")
	apply.Stdin = strings.NewReader(open)
	if out, err := apply.CombinedOutput(); err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
	anybody := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	const path = "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1"
	cluster.Eventually(t, "anybody may watch", func() error {
		answer, err := anybody.Get(c.URL + path)
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return errors.New(answer.Status)
		}
		return nil
	})
	u, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	ok, err := h2spec.Run(&config.Config{
		Host: u.Hostname(), Port: port, Path: path, TLS: true, Insecure: true, Strict: true,
		// The suite waits this long where no answer is the right one, and a busy machine is slow.
		Timeout: 5 * time.Second, MaxHeaderLen: 4000,
	})
	if err != nil || !ok {
		t.Errorf("h2spec failed, as it says above: %v", err)
	}
}
