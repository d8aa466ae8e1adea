package ownership

import (
	"reflect"
	"unsafe"

	"github.com/proa-dev/proa/internal/registry/shape"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// equalSides tells whether JSON shows the same on both sides. Absent, null and empty differ.
func (p *plan) equalSides(l, r side) bool {
	if l.state != r.state {
		return false
	}
	return l.state != present || l.at == r.at || p.equal(l.at, r.at)
}

func (p *plan) equal(l, r unsafe.Pointer) bool {
	switch p.kind {
	case shape.String, shape.Bytes: // bytes have a string's header, with a capacity behind
		return *(*string)(l) == *(*string)(r)
	case shape.Boolean:
		return *(*bool)(l) == *(*bool)(r)
	case shape.Integer:
		return p.integer(l) == p.integer(r)
	case shape.Number:
		return p.value(l).Float() == p.value(r).Float()
	case shape.Time:
		return (*metav1.Time)(l).Unix() == (*metav1.Time)(r).Unix()
	case shape.MicroTime:
		return (*metav1.MicroTime)(l).UnixMicro() == (*metav1.MicroTime)(r).UnixMicro()
	case shape.Duration:
		return *(*metav1.Duration)(l) == *(*metav1.Duration)(r)
	case shape.Quantity:
		return (*resource.Quantity)(l).String() == (*resource.Quantity)(r).String()
	case shape.IntOrString:
		return equalIntOrString(*(*intstr.IntOrString)(l), *(*intstr.IntOrString)(r))
	case shape.Struct:
		return p.equalStructs(l, r)
	case shape.List:
		return p.equalLists(side{l, present}, side{r, present})
	case shape.Map:
		return p.equalMaps(side{l, present}, side{r, present})
	}
	return p.equalAny(l, r)
}

func (p *plan) equalAny(l, r unsafe.Pointer) bool {
	a, err1 := p.library(l)
	b, err2 := p.library(r)
	if err1 != nil || err2 != nil {
		return reflect.DeepEqual(p.value(l).Interface(), p.value(r).Interface())
	}
	return value.Equals(a, b)
}

func equalIntOrString(l, r intstr.IntOrString) bool {
	if l.Type == intstr.String || r.Type == intstr.String {
		return l.Type == r.Type && l.StrVal == r.StrVal
	}
	return l.IntVal == r.IntVal
}

func (p *plan) equalStructs(l, r unsafe.Pointer) bool {
	for i := range p.fields {
		f := &p.fields[i]
		if !f.plan.equalSides(f.read(l), f.read(r)) {
			return false
		}
	}
	return true
}

func (p *plan) equalLists(l, r side) bool {
	n := listLen(l)
	if n != listLen(r) {
		return false
	}
	for i := range n {
		if !p.elem.equalSides(p.item(l, i), p.item(r, i)) {
			return false
		}
	}
	return true
}

func (p *plan) equalMaps(l, r side) bool {
	if mapLen(l.at) != mapLen(r.at) {
		return false
	}
	for _, key := range p.access.keys(nil, l.at) {
		other := p.entry(r, key)
		if other.state == absent || !p.elem.equalSides(p.entry(l, key), other) {
			return false
		}
	}
	return true
}
