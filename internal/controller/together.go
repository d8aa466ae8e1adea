package controller

import (
	"context"
	"errors"
	"sync"
)

// Together is a controller of several parts. If one fails, the others are ended.
func Together(parts ...Runner) Runner {
	return RunnerFunc(func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		errs := make([]error, len(parts))
		var wg sync.WaitGroup
		for n, part := range parts {
			wg.Go(func() {
				if errs[n] = part.Run(ctx); errs[n] != nil {
					cancel()
				}
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	})
}
