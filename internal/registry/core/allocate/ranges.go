package allocate

import (
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DefaultServiceCIDR is the name of the ServiceCIDR that says the server's own ranges.
const DefaultServiceCIDR = "kubernetes"

// RangeChanged tells the allocator of a ServiceCIDR that has changed, or is gone. The error names ranges that
// cannot be used.
func (s *Services) RangeChanged(name string, c *networkingv1.ServiceCIDR) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c == nil {
		delete(s.cidrs, name)
	} else {
		s.cidrs[name] = c
	}
	if len(s.cidrs) == 0 {
		return s.index.setRanges(s.defaults)
	}
	return s.index.setRanges(usable(s.cidrs, s.families))
}

// usable are the ranges of ServiceCIDRs that are ready, each once, the default's first.
func usable(cidrs map[string]*networkingv1.ServiceCIDR, families []corev1.IPFamily) []netip.Prefix {
	names := slices.Sorted(maps.Keys(cidrs))
	if i := slices.Index(names, DefaultServiceCIDR); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, DefaultServiceCIDR)
	}
	var ranges []netip.Prefix
	for _, name := range names {
		if !isReady(cidrs[name]) {
			continue
		}
		for _, text := range cidrs[name].Spec.CIDRs {
			prefix, err := netip.ParsePrefix(text)
			if err == nil && slices.Contains(families, familyOf(prefix.Addr())) && !slices.Contains(ranges, prefix) {
				ranges = append(ranges, prefix)
			}
		}
	}
	return ranges
}

// isReady takes a ServiceCIDR that nobody has judged yet for ready: there may be no controller.
func isReady(c *networkingv1.ServiceCIDR) bool {
	ready := meta.FindStatusCondition(c.Status.Conditions, networkingv1.ServiceCIDRConditionReady)
	return c.DeletionTimestamp == nil && (ready == nil || ready.Status == metav1.ConditionTrue)
}
