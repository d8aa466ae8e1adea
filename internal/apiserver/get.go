package apiserver

import (
	"context"
	"errors"
	"net/http"

	"github.com/proa-dev/proa/internal/store"
)

func (s *Server) get(ctx context.Context, c *call) (*answer, error) {
	if c.typ.Computed {
		item, err := s.compute(ctx, c)
		return &answer{code: http.StatusOK, item: item}, err
	}
	at, err := readAt(c.get.ResourceVersion)
	if err != nil {
		return nil, err
	}
	item, err := c.res.table.Get(ctx, c.key(), at)
	if errors.Is(err, store.ErrNotFound) {
		return nil, c.notFound()
	}
	if err != nil {
		return nil, err
	}
	return &answer{code: http.StatusOK, item: item}, nil
}
