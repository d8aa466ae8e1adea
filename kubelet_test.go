package proa_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/proa-dev/proa"
)

// The server shows a node's agent a certificate of its own authority, by which a kubelet knows it.
func TestKubeletsKnowTheServer(t *testing.T) {
	agent := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject := r.TLS.PeerCertificates[0].Subject
		fmt.Fprint(w, r.URL.Path, " ", subject.CommonName, " ", subject.Organization)
	}))
	agent.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	agent.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	agent.StartTLS()
	defer agent.Close()
	_, text, _ := net.SplitHostPort(agent.Listener.Addr().String())
	port, _ := strconv.Atoi(text)

	s, err := proa.Start(t.Context(), proa.Config{
		InMemory: true, Disable: []string{proa.Controllers, proa.Scheduler, proa.Nodes}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	c := kubernetes.NewForConfigOrDie(s.ClientConfig())
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "real"}}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(port)
	if _, err := c.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := c.CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{NodeName: "real", Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	if _, err := c.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	log, err := c.CoreV1().Pods("default").GetLogs("p", &corev1.PodLogOptions{}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	got, err := io.ReadAll(log)
	if want := "/containerLogs/default/p/c kube-apiserver-kubelet-client [system:masters]"; string(got) != want || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
