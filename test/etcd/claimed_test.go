package etcd

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/proa-dev/proa/internal/registry/encoding"
	"github.com/proa-dev/proa/internal/store"
	engine "github.com/proa-dev/proa/internal/store/etcd"
)

// Where Services and their claims are.
const (
	servicesAt  = "/registry/services/specs/"
	addressesAt = "/registry/ipaddresses/"
	portsAt     = "/registry/ranges/servicenodeports"
)

// claimed is what Services hold and what is claimed, at one revision: "10.0.0.5 n/a", "30080".
type claimed struct {
	t        testing.TB
	revision store.Revision
	held     map[string][]string // by the Service's key
	claims   map[string]string   // by the IPAddress's key
	ports    *big.Int            // a bit for each port from 30000 on
}

// claimsAfter follows all commits of a cluster from the first on, and checks that after every single one the claims
// are those of the Services: no revision has a claim without a Service, nor one that two have. It ends at the
// present.
func claimsAfter(t testing.TB, c *cluster) *claimed {
	t.Helper()
	s := open(t, engine.Options{Endpoints: c.endpoints(), Strip: engine.DefaultPrefix})
	present, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w := &claimed{t: t, held: map[string][]string{}, claims: map[string]string{}, ports: new(big.Int)}
	for events.Reached() < present {
		batch, err := events.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for len(batch) > 0 {
			n := slices.IndexFunc(batch, func(e store.Event) bool { return e.Revision != batch[0].Revision })
			if n < 0 {
				n = len(batch)
			}
			w.commit(batch[:n])
			batch = batch[n:]
		}
	}
	return w
}

func (w *claimed) commit(events []store.Event) {
	w.t.Helper()
	about := false
	for _, e := range events {
		about = w.event(e) || about
	}
	if w.revision = events[0].Revision; !about {
		return
	}
	if held, claims := w.sum(); !slices.Equal(held, claims) {
		w.t.Fatalf("revision %d:\nheld    %v\nclaimed %v", w.revision, held, claims)
	}
}

// event tells whether it is about Services or claims.
func (w *claimed) event(e store.Event) bool {
	w.t.Helper()
	switch {
	case strings.HasPrefix(e.Key, servicesAt):
		delete(w.held, e.Key)
		if e.Value != nil {
			svc := &corev1.Service{}
			decode(w.t, e.Value, svc)
			w.held[e.Key] = holdings(svc)
		}
	case strings.HasPrefix(e.Key, addressesAt):
		delete(w.claims, e.Key)
		if e.Value != nil {
			a := &networkingv1.IPAddress{}
			decode(w.t, e.Value, a)
			w.claims[e.Key] = fmt.Sprintf("%s %s/%s", a.Name, a.Spec.ParentRef.Namespace, a.Spec.ParentRef.Name)
		}
	case e.Key == portsAt:
		r := &corev1.RangeAllocation{}
		decode(w.t, e.Value, r)
		if r.Range != "30000-32767" {
			w.t.Fatalf("node ports of the range %s", r.Range)
		}
		w.ports.SetBytes(r.Data)
	default:
		return false
	}
	return true
}

func decode(t testing.TB, value []byte, into runtime.Object) {
	t.Helper()
	if _, err := encoding.DecodeProtobuf(value, into); err != nil {
		t.Fatal(err)
	}
}

func holdings(svc *corev1.Service) (held []string) {
	for _, ip := range svc.Spec.ClusterIPs {
		if ip != corev1.ClusterIPNone {
			held = append(held, fmt.Sprintf("%s %s/%s", ip, svc.Namespace, svc.Name))
		}
	}
	for _, p := range svc.Spec.Ports {
		if p.NodePort != 0 {
			held = append(held, fmt.Sprint(p.NodePort))
		}
	}
	if port := svc.Spec.HealthCheckNodePort; port != 0 {
		held = append(held, fmt.Sprint(port))
	}
	return held
}

// sum is both sides, in order. A port that two Services have is twice in one of them.
func (w *claimed) sum() (held, claims []string) {
	for _, h := range w.held {
		held = append(held, h...)
	}
	claims = slices.Collect(maps.Values(w.claims))
	for i := range w.ports.BitLen() {
		if w.ports.Bit(i) == 1 {
			claims = append(claims, fmt.Sprint(30000+i))
		}
	}
	slices.Sort(held)
	slices.Sort(claims)
	return held, claims
}
