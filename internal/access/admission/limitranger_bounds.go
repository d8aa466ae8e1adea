package admission

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// bound is one number of a LimitRange.
type bound struct {
	per   corev1.LimitType
	name  corev1.ResourceName
	value resource.Quantity
}

// eachOf checks bounds in the order of their names.
func eachOf(bounds corev1.ResourceList, check func(bound) error, per corev1.LimitType) (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(bounds)) {
		if err := check(bound{per, name, bounds[name]}); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (b bound) atLeast(requests, limits corev1.ResourceList) error {
	request, requested := requests[b.name]
	limit, limited := limits[b.name]
	r, l, least := comparable3(request, limit, b.value)
	head := fmt.Sprintf("minimum %s usage per %s is %s", b.name, b.per, b.value.String())
	switch {
	case !requested:
		return fmt.Errorf("%s.  No request is specified", head)
	case r < least:
		return fmt.Errorf("%s, but request is %s", head, request.String())
	case limited && l < least:
		return fmt.Errorf("%s, but limit is %s", head, limit.String())
	}
	return nil
}

func (b bound) atMost(requests, limits corev1.ResourceList) error {
	request, requested := requests[b.name]
	limit, limited := limits[b.name]
	r, l, most := comparable3(request, limit, b.value)
	head := fmt.Sprintf("maximum %s usage per %s is %s", b.name, b.per, b.value.String())
	switch {
	case !limited:
		return fmt.Errorf("%s.  No limit is specified", head)
	case l > most:
		return fmt.Errorf("%s, but limit is %s", head, limit.String())
	case requested && r > most:
		return fmt.Errorf("%s, but request is %s", head, request.String())
	}
	return nil
}

// requestAtMost is for what has requests only.
func (b bound) requestAtMost(requests corev1.ResourceList) error {
	request, requested := requests[b.name]
	r, _, most := comparable3(request, resource.Quantity{}, b.value)
	head := fmt.Sprintf("maximum %s usage per %s is %s", b.name, b.per, b.value.String())
	switch {
	case !requested:
		return fmt.Errorf("%s.  No request is specified", head)
	case r > most:
		return fmt.Errorf("%s, but request is %s", head, request.String())
	}
	return nil
}

func (b bound) ratio(requests, limits corev1.ResourceList) error {
	request, limit := requests[b.name], limits[b.name]
	r, l, _ := comparable3(request, limit, b.value)
	head := fmt.Sprintf("%s max limit to request ratio per %s is %s", b.name, b.per, b.value.String())
	if r == 0 {
		return fmt.Errorf("%s, but no request is specified or request is 0", head)
	}
	if l == 0 {
		return fmt.Errorf("%s, but no limit is specified or limit is 0", head)
	}
	if has := float64(l) / float64(r); has > b.value.AsApproximateFloat64() {
		return fmt.Errorf("%s, but provided ratio is %f", head, has)
	}
	return nil
}

// comparable3 gives three quantities as numbers of one unit: thousandths, unless they would not fit.
func comparable3(a, b, c resource.Quantity) (x, y, z int64) {
	x, y, z = a.Value(), b.Value(), c.Value()
	if max(x, y, z) <= resource.MaxMilliValue {
		x, y, z = a.MilliValue(), b.MilliValue(), c.MilliValue()
	}
	return x, y, z
}
