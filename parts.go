package proa

import (
	"context"
	"sync"
)

// startParts runs the components that work on the cluster's objects.
func (p *plane) startParts(ctx context.Context, parts *sync.WaitGroup) error {
	return nil
}
