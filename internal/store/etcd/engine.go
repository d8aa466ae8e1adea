// Package etcd is the store engine over an etcd cluster, for several servers that serve one set of objects.
// Keys, values and leases are laid out as kube-apiserver does, so that either can take over from the other.
//
// # How the contract is kept
//
// etcd's revision is the store's. It is shared with whoever else writes to the cluster, so it may skip:
// every commit takes a revision above all before it, not always the next one. A commit is one transaction
// that compares the keys' mod revisions (commit.go). A snapshot is a revision that ranges are read at
// (snapshot.go). A stream is a watch with the previous values, reopened where it broke off (stream.go).
// Because revisions also move where this store has no keys, streams ask etcd how far they are whenever
// somebody was told a revision that they have not reached (progress.go).
package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/proa-dev/proa/internal/store"
)

var _ store.Store = (*Engine)(nil)

// Engine is a store in an etcd cluster. Make it with Open.
type Engine struct {
	opts   Options
	log    *slog.Logger
	layout layout
	client *clientv3.Client
	leases leases
	hints  *hints
	asked  progress
	// compacted is the highest revision that this process knows to be compacted.
	compacted atomic.Int64
	// seen is the highest revision that etcd has told this process in answer to a commit or a question.
	seen atomic.Int64

	closing context.Context // ends when Close begins
	close   context.CancelFunc
	mu      sync.Mutex     // guards adding to calls while closing has not begun
	calls   sync.WaitGroup // commits under way, streams and the compactor
}

// Open connects to the cluster, and fails if no member answers within the dial timeout.
func Open(ctx context.Context, opts Options) (*Engine, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	tlsConfig, err := opts.tls()
	if err != nil {
		return nil, err
	}
	client, err := connect(opts, tlsConfig)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	e := &Engine{
		opts: opts, log: opts.Logger, client: client, hints: newHints(),
		layout: newLayout(opts.Prefix, opts.Strip),
	}
	e.closing, e.close = context.WithCancel(context.Background())
	e.leases = leases{client: client}
	if err := e.reach(ctx); err != nil {
		e.Close()
		return nil, fmt.Errorf("etcd at %s does not answer: %w", strings.Join(opts.Endpoints, ", "), errors.Join(err, dial(ctx, opts.Endpoints)))
	}
	if opts.CompactInterval > 0 {
		e.calls.Go(e.compactByAge)
	}
	return e, nil
}

// reach waits until the cluster answers: it may be starting too.
func (e *Engine) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.opts.DialTimeout)
	defer cancel()
	var last error
	for {
		_, err := e.Revision(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-time.After(shortestPause):
		case <-ctx.Done():
			return last
		}
	}
}

// dial finds out what the client does not tell: why there is no connection.
func dial(ctx context.Context, endpoints []string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for _, endpoint := range endpoints {
		u, _ := url.Parse(endpoint) // Validate has parsed it
		c, failed := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
		if failed == nil {
			failed = c.Close()
		}
		err = errors.Join(err, failed)
	}
	return err
}

func connect(opts Options, tlsConfig *tls.Config) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints:            opts.Endpoints,
		TLS:                  tlsConfig,
		DialTimeout:          opts.DialTimeout,
		DialKeepAliveTime:    opts.KeepAliveTime,
		DialKeepAliveTimeout: opts.KeepAliveTimeout,
		// The client's own account of every reconnect is for its developers.
		Logger: zap.NewNop(),
	})
}

// begin registers a call that Close waits for.
func (e *Engine) begin() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing.Err() != nil {
		return store.ErrClosed
	}
	e.calls.Add(1)
	return nil
}

// Close ends the streams, and returns when the commits under way have their answers.
func (e *Engine) Close() error {
	e.mu.Lock()
	closed := e.closing.Err() != nil
	e.close()
	e.mu.Unlock()
	if closed {
		return store.ErrClosed
	}
	e.calls.Wait()
	if err := e.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("etcd: %w", err)
	}
	return nil
}

// Cool implements store.Store: what the past is read from is etcd.
func (e *Engine) Cool() int64 { return 0 }

// Size is the size of the database file of the first member that answers.
func (e *Engine) Size(ctx context.Context) (int64, error) {
	var failed error
	for _, endpoint := range e.client.Endpoints() {
		var status *clientv3.StatusResponse
		err := e.read(ctx, func(ctx context.Context) (err error) {
			status, err = e.client.Status(ctx, endpoint)
			return err
		})
		if err == nil {
			return status.DbSize, nil
		}
		failed = err
		if ctx.Err() != nil {
			break
		}
	}
	return 0, failed
}
