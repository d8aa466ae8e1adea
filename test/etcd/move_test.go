package etcd

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/proa-dev/proa"
)

// kubeAPIServer is built by test/peer.
const kubeAPIServer = "../../.tools/kube-apiserver"

// TestMove takes a cluster's objects from kube-apiserver to Proa and back, in one etcd. What one server wrote
// the other reads, object for object: identity, revision, field ownership and all.
func TestMove(t *testing.T) {
	if _, err := os.Stat(kubeAPIServer); err != nil {
		t.Skip("kube-apiserver is not built: make -C test/peer")
	}
	t.Parallel()
	etcd := startCluster(t, 1)
	samples := readSamples(t)

	peer := startPeer(t, etcd)
	served := servedByProa(t)
	missing(t, served, samples)
	samples = slices.DeleteFunc(samples, func(o *unstructured.Unstructured) bool { return !served[o.GroupVersionKind().GroupKind()] })
	for _, o := range samples {
		if _, err := peer.of(t, o).Create(t.Context(), o, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("kube-apiserver: create %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	before := peer.readAll(t, samples)
	peer.stop()

	s, err := proa.Start(t.Context(), proa.Config{DataDir: t.TempDir(), Etcd: proa.Etcd{Servers: etcd.endpoints()}, Disable: proa.Parts})
	if err != nil {
		t.Fatal(err)
	}
	ours := newWorld(t, s.ClientConfig(), func() { s.Stop() })
	compare(t, "moved in", before, ours.readAll(t, samples))
	ours.change(t, samples)
	changed := ours.readAll(t, samples)
	ours.stop()

	peer = startPeer(t, etcd)
	defer peer.stop()
	compare(t, "moved out", changed, peer.readAll(t, samples))
	peer.remove(t, samples)
}

// world is a server, of either kind.
type world struct {
	client dynamic.Interface
	mapper meta.RESTMapper
	stop   func()
}

func newWorld(t *testing.T, config *rest.Config, stop func()) *world {
	t.Helper()
	config = rest.CopyConfig(config)
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := restmapper.GetAPIGroupResources(d)
	if err != nil {
		t.Fatal(err)
	}
	return &world{client: client, mapper: restmapper.NewDiscoveryRESTMapper(groups), stop: stop}
}

// of is the resource that an object belongs to.
func (w *world) of(t *testing.T, o *unstructured.Unstructured) dynamic.ResourceInterface {
	t.Helper()
	m, err := w.mapper.RESTMapping(o.GroupVersionKind().GroupKind(), o.GroupVersionKind().Version)
	if err != nil {
		t.Fatal(err)
	}
	if o.GetNamespace() == "" {
		return w.client.Resource(m.Resource)
	}
	return w.client.Resource(m.Resource).Namespace(o.GetNamespace())
}

// readAll reads the objects; one that is not there is nil.
func (w *world) readAll(t *testing.T, samples []*unstructured.Unstructured) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for _, o := range samples {
		name := o.GetAPIVersion() + " " + o.GetKind() + " " + o.GetName()
		got, err := w.of(t, o).Get(t.Context(), o.GetName(), metav1.GetOptions{})
		switch {
		case err == nil:
			all[name] = got.Object
		case apierrors.IsNotFound(err):
			all[name] = nil
		default:
			t.Fatalf("%s: %v", name, err)
		}
	}
	return all
}

// compare leaves out what a server finds out by itself: nothing of these objects.
func compare(t *testing.T, what string, want, got map[string]map[string]any) {
	t.Helper()
	for name := range want {
		if diff := cmp.Diff(want[name], got[name]); diff != "" {
			t.Errorf("%s: %s (- before, + after):\n%s", what, name, diff)
		}
	}
	t.Logf("%s: %d objects compared", what, len(want))
}

// change patches all objects, and deletes some.
func (w *world) change(t *testing.T, samples []*unstructured.Unstructured) {
	t.Helper()
	patch := []byte(`{"metadata":{"labels":{"moved":"yes"},"annotations":{"by":"proa"}}}`)
	for i, o := range samples {
		if _, err := w.of(t, o).Patch(t.Context(), o.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Errorf("proa: patch %s %s: %v", o.GetKind(), o.GetName(), err)
		}
		if i%8 == 5 && o.GetKind() != "ServiceAccount" {
			if err := w.of(t, o).Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}); err != nil {
				t.Errorf("proa: delete %s %s: %v", o.GetKind(), o.GetName(), err)
			}
		}
	}
}

// remove: what was moved can be worked on.
func (w *world) remove(t *testing.T, samples []*unstructured.Unstructured) {
	t.Helper()
	for _, o := range samples {
		err := w.of(t, o).Delete(t.Context(), o.GetName(), metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("kube-apiserver: delete %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

func readSamples(t *testing.T) (all []*unstructured.Unstructured) {
	t.Helper()
	data, err := os.ReadFile("testdata/objects.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := d.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
}

// servedByProa are the kinds that are stored.
func servedByProa(t *testing.T) map[schema.GroupKind]bool {
	t.Helper()
	s, err := proa.Start(t.Context(), proa.Config{InMemory: true, Disable: proa.Parts})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	d, err := discovery.NewDiscoveryClientForConfig(s.ClientConfig())
	if err != nil {
		t.Fatal(err)
	}
	lists, err := d.ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[schema.GroupKind]bool{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "create") {
				kinds[schema.GroupKind{Group: gv.Group, Kind: r.Kind}] = true
			}
		}
	}
	return kinds
}

func missing(t *testing.T, served map[schema.GroupKind]bool, samples []*unstructured.Unstructured) {
	t.Helper()
	have := map[schema.GroupKind]bool{}
	for _, o := range samples {
		have[o.GroupVersionKind().GroupKind()] = true
	}
	for kind := range served {
		if !have[kind] {
			t.Errorf("testdata/objects.yaml has no %v", kind)
		}
	}
}

// startPeer runs kube-apiserver over the cluster.
func startPeer(t *testing.T, c *cluster) *world {
	t.Helper()
	dir := t.TempDir()
	tokens, key := filepath.Join(dir, "tokens.csv"), filepath.Join(dir, "sa.key")
	if err := os.WriteFile(tokens, []byte("admin-token,admin,1,system:masters\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	writeKey(t, key)
	program, err := filepath.Abs(kubeAPIServer)
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(freeURL(t))
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--etcd-servers", c.members[0].client, "--bind-address", "127.0.0.1",
		"--secure-port", address.Port(), "--cert-dir", filepath.Join(dir, "certs"), "--endpoint-reconciler-type", "none",
		"--token-auth-file", tokens, "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24",
		"--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file", key, "--service-account-signing-key-file", key)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	stop := func() {
		cmd.Process.Kill()
		<-ended
		log.Close()
	}
	t.Cleanup(stop)
	config := &rest.Config{Host: "https://" + address.Host, BearerToken: "admin-token", TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	if err := waitReady(t.Context(), config, ended); err != nil {
		text, _ := os.ReadFile(log.Name())
		t.Fatalf("kube-apiserver: %v\n%s", err, text[max(0, len(text)-4000):])
	}
	return newWorld(t, config, stop)
}

func waitReady(ctx context.Context, config *rest.Config, ended <-chan struct{}) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	last := errors.New("nothing was tried")
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		select {
		case <-ended:
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		answer, err := client.Get(config.Host + "/readyz")
		if err != nil {
			last = err
			continue
		}
		answer.Body.Close()
		if answer.StatusCode == 200 {
			return nil
		}
		last = fmt.Errorf("%s", answer.Status)
	}
	return last
}

func writeKey(t *testing.T, file string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
}
