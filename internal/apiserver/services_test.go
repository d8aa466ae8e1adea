package apiserver

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/registry/core/allocate"
	"github.com/proa-dev/proa/internal/registry/encoding"
	"github.com/proa-dev/proa/internal/store"
)

func nodePortService(namespace, name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}},
	}}
}

// A Service's address comes and goes with it, in one commit, and watchers hear of it.
func TestServiceClaimsItsAddress(t *testing.T) {
	bothDoors(t, func(t *testing.T, w *world, tr client.Transport) {
		ctx := t.Context()
		stream, err := client.IPAddresses.Watch(ctx, tr, "", metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Stop()
		var ready []client.Event
		next := func() client.Event {
			t.Helper()
			for len(ready) == 0 {
				if ready, err = stream.Next(); err != nil {
					t.Fatal(err)
				}
			}
			e := ready[0]
			ready = ready[1:]
			return e
		}
		expect := func(kind watch.EventType, name, revision string) {
			t.Helper()
			e := next()
			if e.Type != kind || e.Object.GetName() != name || e.Object.GetResourceVersion() != revision {
				t.Fatalf("%s %s at %s, want %s %s at %s", e.Type, e.Object.GetName(), e.Object.GetResourceVersion(), kind, name, revision)
			}
		}
		s, err := client.Services.Create(ctx, tr, nodePortService("n", "a"))
		if err != nil {
			t.Fatal(err)
		}
		first := s.Spec.ClusterIP
		expect(watch.Added, first, s.ResourceVersion)
		a, err := client.IPAddresses.Get(ctx, tr, "", first)
		if err != nil || *a.Spec.ParentRef != (networkingv1.ParentReference{Resource: "services", Namespace: "n", Name: "a"}) ||
			!maps.Equal(a.Labels, map[string]string{"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}) ||
			a.UID == "" || a.CreationTimestamp.IsZero() {
			t.Fatalf("%+v, %v", a, err)
		}
		external := nodePortService("n", "a")
		external.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "a.example.com"}
		if s, err = client.Services.Update(ctx, tr, external); err != nil {
			t.Fatal(err)
		}
		expect(watch.Deleted, first, s.ResourceVersion)
		if s, err = client.Services.Update(ctx, tr, nodePortService("n", "a")); err != nil {
			t.Fatal(err)
		}
		expect(watch.Added, s.Spec.ClusterIP, s.ResourceVersion)
		w.must("POST", "/api/v1/namespaces/n/services?dryRun=All", `{"metadata":{"name":"dry"},"spec":{"ports":[{"port":80}]}}`)
		other, err := client.Services.Create(ctx, tr, nodePortService("m", "b"))
		if err != nil {
			t.Fatal(err)
		}
		expect(watch.Added, other.Spec.ClusterIP, other.ResourceVersion) // and nothing of the dry run
		w.must("DELETE", "/api/v1/namespaces/n/services", "")
		if e := next(); e.Type != watch.Deleted || e.Object.GetName() != s.Spec.ClusterIP {
			t.Fatalf("%+v", e)
		}
	})
}

// An IPAddress that somebody keeps by a finalizer stays when its Service goes, and so the address stays taken.
func TestAddressIsKept(t *testing.T) {
	w := newWorld(t)
	tr, ctx := w.local(), t.Context()
	s, err := client.Services.Create(ctx, tr, nodePortService("n", "a"))
	if err != nil {
		t.Fatal(err)
	}
	path := "/apis/networking.k8s.io/v1/ipaddresses/" + s.Spec.ClusterIP
	merge := "application/merge-patch+json"
	w.must("PATCH", path, `{"metadata":{"finalizers":["example.com/keep"]}}`, "Content-Type: "+merge)
	w.must("DELETE", "/api/v1/namespaces/n/services/a", "")
	a, err := client.IPAddresses.Get(ctx, tr, "", s.Spec.ClusterIP)
	if err != nil || a.DeletionTimestamp == nil {
		t.Fatalf("%+v, %v", a, err)
	}
	again := nodePortService("n", "b")
	again.Spec.ClusterIP = s.Spec.ClusterIP
	if _, err := client.Services.Create(ctx, tr, again); !apierrors.IsInvalid(err) {
		t.Fatal(err)
	}
	w.must("PATCH", path, `{"metadata":{"finalizers":null}}`, "Content-Type: "+merge)
	if _, err := client.Services.Create(ctx, tr, again); err != nil {
		t.Fatal(err)
	}
}

// ledger is who has what, as far as the servers have acknowledged it.
type ledger struct {
	mu    sync.Mutex
	by    map[string]string // address or port to Service
	twice []string
}

func (l *ledger) enter(s *corev1.Service) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, held := range holdings(s) {
		if other, taken := l.by[held]; taken {
			l.twice = append(l.twice, fmt.Sprintf("%s and %s have %s", other, s.Name, held))
		}
		l.by[held] = s.Name
	}
}

func (l *ledger) leave(s *corev1.Service) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, held := range holdings(s) {
		if l.by[held] == s.Name {
			delete(l.by, held)
		}
	}
}

func holdings(s *corev1.Service) []string {
	held := slices.Clone(s.Spec.ClusterIPs)
	for _, p := range s.Spec.Ports {
		if p.NodePort != 0 {
			held = append(held, fmt.Sprint(p.NodePort))
		}
	}
	return held
}

// Two servers over one store create, change and delete Services, from ranges that are nearly used up. They
// never share an address or a port, and what is claimed in the end is what is held.
func TestTwoServersShareRanges(t *testing.T) {
	const workers, steps = 5, 60
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	small := func(s *setting) {
		s.followed = true
		s.services = allocate.Config{
			ClusterIPRanges: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/27")}, NodePorts: allocate.PortRange{First: 30000, Last: 30027},
		}
	}
	var shared store.Store
	one := newWorld(t, small, func(s *setting) { s.wrap = func(st store.Store) store.Store { shared = st; return st } })
	two := newWorld(t, small, func(s *setting) { s.wrap = func(store.Store) store.Store { return shared } })
	l := &ledger{by: map[string]string{}}
	var all sync.WaitGroup
	for i, tr := range []client.Transport{one.local(), two.local()} {
		for j := range workers {
			all.Go(func() {
				rnd := rand.New(rand.NewPCG(seed, uint64(i*workers+j)))
				churn(t, tr, rnd, l, fmt.Sprintf("s%d-%d", i, j), steps)
			})
		}
	}
	all.Wait()
	if len(l.twice) > 0 {
		t.Error(l.twice)
	}
	checkClaims(t, two.local(), shared, 30000)
}

// churn keeps up to three Services of its own.
func churn(t *testing.T, tr client.Transport, rnd *rand.Rand, l *ledger, name string, steps int) {
	ctx := context.Background()
	live := map[string]*corev1.Service{}
	for range steps {
		name := fmt.Sprintf("%s-%d", name, rnd.IntN(3))
		s := live[name]
		var err error
		switch {
		case s == nil:
			s = nodePortService("n", name)
			if rnd.IntN(4) == 0 {
				s.Spec.ClusterIP = fmt.Sprintf("10.0.0.%d", 1+rnd.IntN(30))
			}
			if rnd.IntN(4) == 0 {
				s.Spec.Ports[0].NodePort = int32(30000 + rnd.IntN(28))
			}
			if s, err = client.Services.Create(ctx, tr, s); err == nil {
				l.enter(s)
				live[name] = s
			}
		case rnd.IntN(3) == 0:
			l.leave(s)
			changed := s.DeepCopy()
			if s.Spec.Type == corev1.ServiceTypeExternalName {
				changed.Spec = nodePortService("n", name).Spec
			} else {
				changed.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "a.example.com"}
			}
			if changed, err = client.Services.Update(ctx, tr, changed); err == nil {
				s = changed
			}
			l.enter(s)
			live[name] = s
		default:
			l.leave(s)
			if err = client.Services.Delete(ctx, tr, "n", name, metav1.DeleteOptions{}); err == nil {
				delete(live, name)
			}
		}
		if err != nil && !apierrors.IsInvalid(err) && !apierrors.IsInternalError(err) { // taken, or none left
			t.Errorf("%s: %v", name, err)
		}
	}
}

// checkClaims compares what is claimed with what the Services hold.
func checkClaims(t *testing.T, tr client.Transport, st store.Store, firstPort int) {
	t.Helper()
	services, err := client.Services.List(t.Context(), tr, "", metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := client.IPAddresses.List(t.Context(), tr, "", metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	held, claimed, bits := map[string]string{}, map[string]string{}, new(big.Int)
	for _, s := range services.Items {
		for _, ip := range s.Spec.ClusterIPs {
			held[ip] = s.Name
		}
		for _, p := range s.Spec.Ports {
			if p.NodePort != 0 {
				bits.SetBit(bits, int(p.NodePort)-firstPort, 1)
			}
		}
	}
	for _, a := range addresses.Items {
		claimed[a.Name] = a.Spec.ParentRef.Name
	}
	if !maps.Equal(held, claimed) {
		t.Errorf("held    %v\nclaimed %v", held, claimed)
	}
	allocation := &corev1.RangeAllocation{}
	kv, err := st.Get(t.Context(), "/registry/ranges/servicenodeports")
	if err == nil {
		_, err = encoding.DecodeProtobuf(kv.Value, allocation)
	}
	if err != nil || new(big.Int).SetBytes(allocation.Data).Cmp(bits) != 0 {
		t.Errorf("ports held %b, claimed %b, %v", bits, new(big.Int).SetBytes(allocation.Data), err)
	}
	t.Logf("%d Services, %d addresses", len(services.Items), len(claimed))
}
