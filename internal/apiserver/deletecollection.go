package apiserver

import (
	"context"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/registry"
)

// deleteCollection deletes what a list would find, one by one, and answers with the list of them.
func (s *Server) deleteCollection(ctx context.Context, c *call) (*answer, error) {
	p, err := s.findPage(ctx, c)
	if err != nil {
		return nil, err
	}
	l := &metav1.List{ListMeta: p.meta}
	l.SetGroupVersionKind(c.listKind())
	l.Items = []runtime.RawExtension{}
	for _, item := range p.items {
		o, err := s.deleteItem(ctx, c, item)
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if o == nil {
			if o, err = c.res.object(item); err != nil {
				return nil, err
			}
		}
		data, err := versionJSON(c.version, o)
		if err != nil {
			return nil, err
		}
		l.Items = append(l.Items, runtime.RawExtension{Raw: data})
	}
	return &answer{code: http.StatusOK, other: l}, nil
}

func (s *Server) deleteItem(ctx context.Context, c *call, item *cache.Item) (registry.Object, error) {
	o, err := c.res.object(item)
	if err != nil {
		return nil, err
	}
	one := *c
	one.verb, one.name, one.namespace = "delete", o.GetName(), o.GetNamespace()
	a, err := s.delete(ctx, &one)
	if err != nil {
		return nil, err
	}
	return a.object, nil
}
