package etcd

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa"
)

var (
	servicesResource    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	ipAddressesResource = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ipaddresses"}
)

func nodePort(name, ip string, port int64) *unstructured.Unstructured {
	ports := map[string]any{"port": int64(80)}
	if port != 0 {
		ports["nodePort"] = port
	}
	spec := map[string]any{"type": "NodePort", "ports": []any{ports}}
	if ip != "" {
		spec["clusterIP"] = ip
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": name}, "spec": spec,
	}}
}

// make creates a Service, which must succeed, or be refused with a text.
func (w *world) make(t *testing.T, s *unstructured.Unstructured, refusal string) *unstructured.Unstructured {
	t.Helper()
	got, err := w.client.Resource(servicesResource).Namespace("default").Create(t.Context(), s, metav1.CreateOptions{})
	if refusal == "" && err != nil || refusal != "" && (err == nil || !strings.Contains(err.Error(), refusal)) {
		t.Fatalf("%s: %v, want %q", s.GetName(), err, refusal)
	}
	return got
}

// claims are all IPAddresses, by name, but for that of the API server itself, which each makes in its own time.
func (w *world) claims(t *testing.T) map[string]map[string]any {
	t.Helper()
	list, err := w.client.Resource(ipAddressesResource).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]any{}
	for _, o := range list.Items {
		if o.GetName() != "10.0.0.1" {
			all[o.GetName()] = o.Object
		}
	}
	return all
}

// Addresses and node ports that one server has given, the other keeps to; those that it took back are free. The
// IPAddresses are the same objects, and those that Proa makes are such as kube-apiserver's.
func TestMoveServices(t *testing.T) {
	if _, err := os.Stat(kubeAPIServer); err != nil {
		t.Skip("kube-apiserver is not built: make -C test/peer")
	}
	t.Parallel()
	etcd := startCluster(t, 1)
	const taken, port = "provided IP is already allocated", "provided port is already allocated"
	peer := startPeer(t, etcd)
	peer.make(t, nodePort("theirs", "10.0.0.40", 30040), "")
	peer.make(t, nodePort("going", "10.0.0.41", 30041), "")
	before := peer.claims(t)
	peer.stop()

	s, err := proa.Start(t.Context(), proa.Config{DataDir: t.TempDir(), Etcd: proa.Etcd{Servers: etcd.endpoints()}, Disable: proa.Parts})
	if err != nil {
		t.Fatal(err)
	}
	ours := newWorld(t, s.ClientConfig(), func() { s.Stop() })
	if diff := cmp.Diff(before, ours.claims(t)); diff != "" {
		t.Errorf("moved in:\n%s", diff)
	}
	ours.make(t, nodePort("x", "10.0.0.40", 0), taken)
	ours.make(t, nodePort("x", "", 30040), port)
	ours.make(t, nodePort("ours", "10.0.0.50", 30050), "")
	ours.make(t, nodePort("chosen", "", 0), "")
	if err := ours.client.Resource(servicesResource).Namespace("default").Delete(t.Context(), "going", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	after := ours.claims(t)
	if after["10.0.0.41"] != nil || len(after) != len(before)+1 {
		t.Errorf("%d claims, %d before; 10.0.0.41: %v", len(after), len(before), after["10.0.0.41"])
	}
	like(t, before["10.0.0.40"], after["10.0.0.50"])
	ours.stop()

	peer = startPeer(t, etcd)
	defer peer.stop()
	if diff := cmp.Diff(after, peer.claims(t)); diff != "" {
		t.Errorf("moved out:\n%s", diff)
	}
	peer.make(t, nodePort("x", "10.0.0.50", 0), taken)
	peer.make(t, nodePort("x", "", 30050), port)
	peer.make(t, nodePort("x", "", 30040), port)
	peer.make(t, nodePort("again", "10.0.0.41", 30041), "")
}

// like compares two objects but for what makes them two.
func like(t *testing.T, want, got map[string]any) {
	t.Helper()
	strip := func(o map[string]any) map[string]any {
		u := &unstructured.Unstructured{Object: o}
		u = u.DeepCopy()
		u.SetName("")
		u.SetUID("")
		u.SetResourceVersion("")
		u.SetCreationTimestamp(metav1.Time{})
		fields := u.GetManagedFields()
		for i := range fields {
			fields[i].Time = nil
		}
		u.SetManagedFields(fields)
		unstructured.SetNestedField(u.Object, "", "spec", "parentRef", "name")
		return u.Object
	}
	if diff := cmp.Diff(strip(want), strip(got)); diff != "" {
		t.Errorf("IPAddress (- kube-apiserver's, + Proa's):\n%s", diff)
	}
}
