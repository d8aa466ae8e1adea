package servicecidr

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller/controllertest"
)

func cidr(name string, ranges ...string) *networkingv1.ServiceCIDR {
	return &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: ranges}}
}

func address(ip string) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: ip, Labels: map[string]string{networkingv1.LabelManagedBy: "ipallocator.k8s.io"}}}
}

func TestNeeded(t *testing.T) {
	foreign := address("10.0.0.5")
	foreign.Labels = nil
	for _, tt := range []struct {
		name      string
		ranges    []string
		others    []*networkingv1.ServiceCIDR
		addresses []*networkingv1.IPAddress
		want      bool
	}{
		{"empty", []string{"10.0.0.0/24"}, nil, nil, false},
		{"an address", []string{"10.0.0.0/24"}, nil, []*networkingv1.IPAddress{address("10.0.0.5")}, true},
		{"an address of the second range", []string{"10.0.0.0/24", "fd00::/112"}, nil, []*networkingv1.IPAddress{address("fd00::5")}, true},
		{"an address elsewhere", []string{"10.0.0.0/24"}, nil, []*networkingv1.IPAddress{address("10.0.1.5")}, false},
		{"an address that is not a Service's", []string{"10.0.0.0/24"}, nil, []*networkingv1.IPAddress{foreign}, false},
		{"within another", []string{"10.0.0.0/24"}, []*networkingv1.ServiceCIDR{cidr("b", "10.0.0.0/16")}, []*networkingv1.IPAddress{address("10.0.0.5")}, false},
		{"the same as another", []string{"10.0.0.0/24"}, []*networkingv1.ServiceCIDR{cidr("b", "10.0.0.0/24")}, []*networkingv1.IPAddress{address("10.0.0.5")}, false},
		{"around another, which has it", []string{"10.0.0.0/24"}, []*networkingv1.ServiceCIDR{cidr("b", "10.0.0.0/28")}, []*networkingv1.IPAddress{address("10.0.0.5")}, false},
		{"around another, which has it not", []string{"10.0.0.0/24"}, []*networkingv1.ServiceCIDR{cidr("b", "10.0.0.0/28")}, []*networkingv1.IPAddress{address("10.0.0.50")}, true},
		{"one family within another", []string{"10.0.0.0/24", "fd00::/112"}, []*networkingv1.ServiceCIDR{cidr("b", "10.0.0.0/24")}, []*networkingv1.IPAddress{address("fd00::5")}, true},
		{"the other's last address, which it does not give", []string{"10.0.0.0/24"}, []*networkingv1.ServiceCIDR{cidr("b", "10.0.0.0/28")}, []*networkingv1.IPAddress{address("10.0.0.15")}, true},
	} {
		c := cidr("a", tt.ranges...)
		if got := needed(c, append(tt.others, c), tt.addresses); got != tt.want {
			t.Errorf("%s: needed %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestEdgesAreNotContained(t *testing.T) {
	ranges := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/28"), netip.MustParsePrefix("fd00::/124")}
	for ip, want := range map[string]bool{
		"10.0.0.0": false, "10.0.0.1": true, "10.0.0.14": true, "10.0.0.15": false, "10.0.0.16": false,
		"fd00::": false, "fd00::1": true, "fd00::f": true, "fd00::10": false,
	} {
		if got := contain(ranges, netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
}

// A ServiceCIDR becomes ready, is kept while a Service has an address of it, and then as long as servers need
// to hear that it goes.
func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ip := address("10.0.0.5")
		b := controllertest.New(t, []client.Object{cidr("a", "10.0.0.0/24"), ip}, Start)
		expect := func(when string, status metav1.ConditionStatus, reason string) {
			t.Helper()
			c := clienttest.Get(b.Server, client.ServiceCIDRs, "", "a")
			ready := meta.FindStatusCondition(c.Status.Conditions, "Ready")
			if ready == nil || ready.Status != status || ready.Reason != reason || len(c.Finalizers) != 1 || c.Finalizers[0] != finalizer {
				t.Fatalf("%s: %+v", when, c)
			}
		}
		expect("at start", metav1.ConditionTrue, "")
		controllertest.Each(b, client.ServiceCIDRs, func(c *networkingv1.ServiceCIDR) bool {
			now := metav1.NewTime(time.Now())
			c.DeletionTimestamp = &now
			return true
		})
		b.Pass(2 * settle)
		expect("while it is needed", metav1.ConditionFalse, "Terminating")
		controllertest.Each(b, client.ServiceCIDRs, func(c *networkingv1.ServiceCIDR) bool {
			now := metav1.NewTime(time.Now())
			c.DeletionTimestamp = &now
			return true
		})
		b.Server.Remove(ip)
		b.Settle()
		expect("right after", metav1.ConditionFalse, "Terminating")
		b.Pass(settle)
		for _, c := range clienttest.List(b.Server, client.ServiceCIDRs) {
			if len(c.Finalizers) > 0 {
				t.Fatalf("it is still kept: %+v", c)
			}
		}
	})
}
