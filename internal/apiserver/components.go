package apiserver

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/registry/encoding"
)

// ComponentStatuses are not stored: each is made when somebody asks, by looking at the component. The store is
// one of them, under the name that kube-apiserver gives its first etcd.

// componentTimeout bounds how long one look takes.
const componentTimeout = 20 * time.Second

func (s *Server) addComponents(checks map[string]func(context.Context) error) {
	s.components = maps.Clone(checks)
	if s.components == nil {
		s.components = map[string]func(context.Context) error{}
	}
	s.components["etcd-0"] = func(ctx context.Context) error {
		_, err := s.store.Revision(ctx)
		return err
	}
}

// computePage lists what is not stored. Nothing of it has a revision, so all of it is one page.
func (s *Server) computePage(ctx context.Context, c *call) (*page, error) {
	sel, err := c.parseSelection()
	if err != nil {
		return nil, err
	}
	p := &page{items: []*cache.Item{}}
	for _, name := range slices.Sorted(maps.Keys(s.components)) {
		item, err := s.computeItem(ctx, c.res, name)
		if err != nil {
			return nil, err
		}
		if sel.Name != "" && sel.Name != name || !sel.selects(item) {
			continue
		}
		p.items = append(p.items, item)
	}
	return p, nil
}

// compute makes one object that is not stored, as if it were at rest.
func (s *Server) compute(ctx context.Context, c *call) (*cache.Item, error) {
	if s.components[c.name] == nil {
		// kube-apiserver names the kind here, in lower case, and not the resource.
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: c.typ.Singular}, c.name)
	}
	return s.computeItem(ctx, c.res, c.name)
}

func (s *Server) computeItem(ctx context.Context, r *resource, name string) (*cache.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, componentTimeout)
	defer cancel()
	condition := corev1.ComponentCondition{Type: corev1.ComponentHealthy, Status: corev1.ConditionTrue, Message: "ok"}
	if err := s.components[name](ctx); err != nil {
		condition.Status, condition.Message = corev1.ConditionFalse, err.Error()
	}
	status := &corev1.ComponentStatus{Conditions: []corev1.ComponentCondition{condition}}
	status.Name = name
	value, err := encoding.Stored(r.Type, status)
	if err != nil {
		return nil, err
	}
	return &cache.Item{Key: name, Value: value}, nil
}
