package rootca

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/controllertest"
)

func namespace(name string, phase corev1.NamespacePhase) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NamespaceStatus{Phase: phase}}
}

func start(ca string) func(controller.Deps) controller.Runner {
	return func(d controller.Deps) controller.Runner {
		d.RootCA = []byte(ca)
		return Start(d)
	}
}

func TestPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{
			namespace("a", corev1.NamespaceActive), namespace("b", corev1.NamespaceActive), namespace("c", corev1.NamespaceTerminating),
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "another"}},
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: name}, Data: map[string]string{"ca.crt": "old"}},
		}, start("new"))
		expect := func(when string) {
			t.Helper()
			b.Settle()
			for _, ns := range []string{"a", "b"} {
				c := clienttest.Get(b.Server, client.ConfigMaps, ns, name)
				if c == nil || c.Data["ca.crt"] != "new" || len(c.Data) != 1 || c.Annotations[annotation] != description {
					t.Errorf("%s: %s has %v", when, ns, c)
				}
			}
			if clienttest.Get(b.Server, client.ConfigMaps, "c", name) != nil {
				t.Errorf("%s: published where all ends", when)
			}
		}
		expect("at start")
		b.Server.Remove(clienttest.Get(b.Server, client.ConfigMaps, "a", name))
		expect("deleted by hand")
		controllertest.Each(b, client.ConfigMaps, func(c *corev1.ConfigMap) bool { c.Data = map[string]string{"x": "y"}; return c.Name == name })
		expect("changed by hand")
		b.Server.Actions()
		b.Pass(time.Hour)
		b.Server.Put(namespace("a", corev1.NamespaceActive))
		b.Settle()
		if got := b.Server.Actions(); len(got) > 0 {
			t.Errorf("writes without need: %v", got)
		}
	})
}

func TestNothingToPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{namespace("a", corev1.NamespaceActive)}, start(""))
		if got := b.Server.Actions(); len(got) > 0 {
			t.Errorf("%v", got)
		}
	})
}
