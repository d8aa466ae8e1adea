// Package clientgo_test runs client-go against the built binary: its typed, dynamic and metadata clients,
// discovery, informers, watches, leader election, apply and the rest of what operators are made of.
package clientgo_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/proa-dev/proa/test/clients/cluster"
)

// must turns an error into the end of the test: must(f())(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// quiet is a control plane in which nothing happens but what the test does. It has the service account that
// pods need.
func quiet(t *testing.T) *cluster.Cluster {
	c := cluster.Start(t, "--disable", "controllers,scheduler,nodes")
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	must(clientset(t, c.Config(t)).CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}))(t)
	return c
}

func clientset(t testing.TB, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	return must(kubernetes.NewForConfig(config))(t)
}

// answers waits until a client has a connection to a server that was started again: it may find out with a request that
// the one before is gone, and not every request may be sent twice.
func answers(t testing.TB, k kubernetes.Interface) {
	t.Helper()
	cluster.Eventually(t, "the server answers", func() error {
		_, err := k.CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
}

// speaking is a configuration whose typed clients send and take a media type.
func speaking(config *rest.Config, mediaType string) *rest.Config {
	config = rest.CopyConfig(config)
	config.ContentType, config.AcceptContentTypes = mediaType, mediaType
	return config
}

func version(t testing.TB, list runtime.Object) string {
	t.Helper()
	return must(meta.ListAccessor(list))(t).GetResourceVersion()
}

func kindOf(o runtime.Object) (schema.GroupVersionKind, error) {
	kinds, _, err := scheme.Scheme.ObjectKinds(o)
	if err != nil {
		return schema.GroupVersionKind{}, err
	}
	return kinds[0], nil
}

func pointer[T any](v T) *T { return &v }
