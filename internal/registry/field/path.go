// Package field says where something is wrong with an object, in the same words as package field of apimachinery, and
// at no cost where nothing is wrong.
//
// Validation walks an object with the path of where it is, and hardly ever needs one: of all that creating a pod
// allocated, a third were paths. So large objects are validated twice if they have to be, first Nowhere, which is a path
// that does not grow, and a second time for the errors if there are any.
package field

import (
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Path leads from some root to a field.
type Path struct {
	name   string // of the field; "" if this is an element of what is before
	key    string // of the element: its index or key
	parent *Path  // nil for the root
}

// Nowhere is the path of somebody who only wants to know whether there are errors: all paths from it are itself.
var Nowhere = new(Path)

// NewPath begins a path.
func NewPath(name string, more ...string) *Path { return (*Path)(nil).Child(name, more...) }

// Child leads to a field, or through several.
func (p *Path) Child(name string, more ...string) *Path {
	if p == Nowhere {
		return p
	}
	p = &Path{name: name, parent: p}
	for _, next := range more {
		p = &Path{name: next, parent: p}
	}
	return p
}

// Index leads to an element of a list.
func (p *Path) Index(i int) *Path {
	if p == Nowhere {
		return p
	}
	return p.Key(strconv.Itoa(i))
}

// Key leads to an element of a map.
func (p *Path) Key(key string) *Path {
	if p == Nowhere {
		return p
	}
	return &Path{key: key, parent: p}
}

// String is how errors tell of it: spec.containers[0].name.
func (p *Path) String() string { return string(p.append(nil)) }

func (p *Path) append(b []byte) []byte {
	if p == nil || p == Nowhere {
		return b
	}
	b = p.parent.append(b)
	switch {
	case p.name == "":
		return append(append(append(b, '['), p.key...), ']')
	case p.parent != nil:
		b = append(b, '.')
	}
	return append(b, p.name...)
}

// Common is the path as apimachinery's own functions take it.
func (p *Path) Common() *field.Path {
	if p == nil || p == Nowhere {
		return nil
	}
	return field.NewPath(p.String())
}
