// Package proatest gives a test a Kubernetes control plane of its own:
//
//	func TestOperator(t *testing.T) {
//		cluster := proatest.Start(t)
//		c, err := client.New(cluster.ClientConfig(), client.Options{})
//		...
//	}
//
// It lives in the test's process and in memory, is ready in a few dozen milliseconds, and ends with the
// test. Unlike a bare API server it validates, collects garbage, deletes namespaces, and runs what
// Deployments and Jobs ask for, on simulated nodes.
package proatest

import (
	"context"
	"log/slog"
	"testing"

	"github.com/proa-dev/proa"
)

// Option changes what Start runs.
type Option func(*proa.Config)

// WithNodes sets the number of simulated nodes. The default is one.
func WithNodes(n int) Option {
	return func(c *proa.Config) {
		c.Nodes = n
		if n == 0 {
			c.Nodes = -1
		}
	}
}

// Without leaves out parts of the control plane, such as proa.Controllers.
func Without(parts ...string) Option {
	return func(c *proa.Config) { c.Disable = append(c.Disable, parts...) }
}

// WithLogger sends the control plane's log somewhere; the default is nowhere.
func WithLogger(l *slog.Logger) Option {
	return func(c *proa.Config) { c.Logger = l }
}

// Start runs a control plane until the test and its subtests end. It fails the test if that does not work.
func Start(t testing.TB, options ...Option) *proa.Server {
	t.Helper()
	c := proa.Config{InMemory: true, Logger: slog.New(slog.DiscardHandler)}
	for _, o := range options {
		o(&c)
	}
	s, err := proa.Start(context.Background(), c)
	if err != nil {
		t.Fatalf("start a control plane: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop the control plane: %v", err)
		}
	})
	return s
}
