package apiserver

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/encoding"
	"github.com/proa-dev/proa/internal/store"
)

const kept = `{"metadata":{"name":"%s"},"spec":{"containers":[{"name":"web","image":"web:1"}],"tolerations":[{"key":"%s","operator":"Exists"}]}}`

// disk is a world's store.
func disk(to *store.Store) func(*setting) {
	return func(s *setting) { s.wrap = func(s store.Store) store.Store { *to = s; return s } }
}

// lay puts a pod on disk as it is, without a writer who would have it decoded.
func lay(t *testing.T, disk store.Store, p *corev1.Pod) {
	t.Helper()
	typ := core.Pods.Erase()
	value, err := encoding.Stored(typ, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Commit(t.Context(), store.Op{Key: typ.Prefix + "default/" + p.Name, Value: value}); err != nil {
		t.Fatal(err)
	}
}

// Components keep pods decoded, which have in common what is equal, whether they were written since or decoded again.
func TestKeptObjectsShareWhatIsEqual(t *testing.T) {
	var st store.Store
	w := newWorld(t, disk(&st))
	const pods = "/api/v1/namespaces/default/pods"
	for n := range 2 {
		p := &corev1.Pod{}
		if _, err := encoding.DecodeJSON(fmt.Appendf(nil, kept, fmt.Sprint("old-", n), "same"), p); err != nil {
			t.Fatal(err)
		}
		core.Pods.Erase().Default(p)
		lay(t, st, p)
	}
	list, err := client.Pods.List(t.Context(), w.local(), "default", metav1.ListOptions{})
	if err != nil || len(list.Items) != 2 {
		t.Fatal(list, err)
	}
	stream, err := client.Pods.Watch(t.Context(), w.local(), "default", metav1.ListOptions{ResourceVersion: list.Meta.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Stop()
	w.must("POST", pods, fmt.Sprintf(kept, "new", "same"))
	w.must("POST", pods, fmt.Sprintf(kept, "other", "other"))
	all := list.Items
	for len(all) < 4 {
		events, err := stream.Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Type == watch.Added {
				all = append(all, e.Object.(*corev1.Pod))
			}
		}
	}
	first := all[0].Spec
	for _, p := range all {
		if &p.Spec.Containers[0] != &first.Containers[0] {
			t.Errorf("%s has containers of its own", p.Name)
		}
		same := &p.Spec.Tolerations[0] == &first.Tolerations[0]
		if want := p.Name != "other"; same != want || p.Spec.Tolerations[0].Key == "other" == want {
			t.Errorf("%s: shares tolerations: %t, and has %v", p.Name, same, p.Spec.Tolerations)
		}
	}
}

// A pod that was stored before there was a default has it when it is read, and what is equal on disk may not be then.
func TestKeptObjectsWithLaterDefaultsShareNothing(t *testing.T) {
	var st store.Store
	w := newWorld(t, disk(&st))
	for _, host := range []bool{true, false} {
		lay(t, st, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("host-", host), UID: "u"},
			Spec: corev1.PodSpec{
				HostNetwork: host, Containers: []corev1.Container{{Name: "web", Image: "web:1", Ports: []corev1.ContainerPort{{ContainerPort: 80}}}},
			},
		})
	}
	list, err := client.Pods.List(t.Context(), w.local(), "default", metav1.ListOptions{})
	if err != nil || len(list.Items) != 2 {
		t.Fatal(list, err)
	}
	for _, p := range list.Items {
		if port := p.Spec.Containers[0].Ports[0].HostPort; port == 80 != p.Spec.HostNetwork {
			t.Errorf("%s has the host's port %d", p.Name, port)
		}
	}
}
