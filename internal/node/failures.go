package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/proa-dev/proa/internal/informer"
)

// contain calls f, and logs what went wrong, a panic too. Conflicts are the normal way to learn that there
// is something newer, and are not worth a warning.
func contain[K interface {
	comparable
	fmt.Stringer
}](ctx context.Context, log *slog.Logger, what string, k K, f func(context.Context, K) (time.Duration, error)) (time.Duration, error) {
	again, err := informer.Contain(ctx, k, f)
	if err == nil || ctx.Err() != nil {
		return again, err
	}
	var p *informer.PanicError
	switch {
	case errors.As(err, &p):
		log.Error("node agent panicked", what, k.String(), "panic", p.Value, "stack", string(p.Stack))
	case apierrors.IsConflict(err):
		log.Debug("node agent met a conflict", what, k.String(), "err", err)
	default:
		log.Warn("node agent failed", what, k.String(), "err", err)
	}
	return again, err
}
