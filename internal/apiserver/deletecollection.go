package apiserver

import (
	"context"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/proa-dev/proa/internal/cache"
)

// deleteCollection deletes what a list would find, one by one, and answers with that list as it was. What
// somebody else has deleted in the meantime is gone too.
func (s *Server) deleteCollection(ctx context.Context, c *call) (*answer, error) {
	p, err := s.findPage(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, item := range p.items {
		if err := s.deleteItem(ctx, c, item); err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
	}
	return &answer{code: http.StatusOK, page: p}, nil
}

func (s *Server) deleteItem(ctx context.Context, c *call, item *cache.Item) error {
	one := *c
	one.verb = "delete"
	one.namespace, one.name = splitKey(c.typ, item.Key)
	_, err := s.delete(ctx, &one)
	return err
}
