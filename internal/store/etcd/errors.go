package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"

	"github.com/proa-dev/proa/internal/store"
)

// request runs one request, bounded by the engine's timeout.
func (e *Engine) request(ctx context.Context, do func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, e.opts.RequestTimeout)
	defer cancel()
	err := do(limited)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return explain(err)
}

// read is a request that changes nothing. Close ends it.
func (e *Engine) read(ctx context.Context, do func(context.Context) error) error {
	if e.closing.Err() != nil {
		return store.ErrClosed
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.closing, cancel)()
	err := e.request(both, do)
	if err != nil && ctx.Err() == nil && e.closing.Err() != nil {
		return store.ErrClosed
	}
	return err
}

// explain says etcd's errors in the store's words.
func explain(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("%w: %v", store.ErrNoSpace, err)
	case errors.Is(err, rpctypes.ErrCompacted):
		return fmt.Errorf("%w: %v", store.ErrCompacted, err)
	case errors.Is(err, rpctypes.ErrFutureRev):
		return fmt.Errorf("%w: %v", store.ErrFuture, err)
	case errors.Is(err, rpctypes.ErrCorrupt):
		return fmt.Errorf("%w: %v", store.ErrCorrupt, err)
	}
	return fmt.Errorf("etcd: %w", err)
}

// refused tells whether etcd has answered that a write was not done. After other errors nobody knows: the
// connection may have broken after the request was sent, or the leader may have changed, or the member
// stopped, after it was proposed. All that etcd says is Unavailable is of that kind. NOSPACE is another matter
// (nospace.go).
func refused(err error) bool {
	var answer rpctypes.EtcdError
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.Code() {
	case codes.InvalidArgument, codes.NotFound, codes.ResourceExhausted, codes.FailedPrecondition,
		codes.PermissionDenied, codes.Unauthenticated, codes.OutOfRange:
		return true
	}
	return false
}
