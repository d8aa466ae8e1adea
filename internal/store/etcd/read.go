package etcd

import (
	"context"
	"errors"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/proa-dev/proa/internal/store"
)

// Get is a linearizable read: it goes through the leader.
func (e *Engine) Get(ctx context.Context, key string) (store.KV, error) {
	return e.get(ctx, key)
}

func (e *Engine) get(ctx context.Context, key string, opts ...clientv3.OpOption) (store.KV, error) {
	stored, err := e.layout.toEtcd(key)
	if err != nil {
		return store.KV{}, err
	}
	var answer *clientv3.GetResponse
	err = e.read(ctx, func(ctx context.Context) (err error) {
		answer, err = e.client.Get(ctx, stored, opts...)
		return err
	})
	if err != nil {
		return store.KV{}, err
	}
	if len(answer.Kvs) == 0 {
		return store.KV{}, store.ErrNotFound
	}
	kv := answer.Kvs[0]
	return store.KV{Key: key, Value: present(kv.Value), Revision: kv.ModRevision}, nil
}

// Revision asks for a key that never exists: every answer carries the revision.
func (e *Engine) Revision(ctx context.Context) (store.Revision, error) {
	var answer *clientv3.GetResponse
	err := e.read(ctx, func(ctx context.Context) (err error) {
		answer, err = e.client.Get(ctx, e.layout.root, clientv3.WithCountOnly())
		return err
	})
	if err != nil {
		return 0, err
	}
	raise(&e.seen, answer.Header.Revision)
	e.asked.expect(answer.Header.Revision)
	return answer.Header.Revision, nil
}

// Oldest finds the compacted revision by bisection, since etcd tells it nobody: reads below it fail. It is
// 0 if nothing was ever compacted.
func (e *Engine) Oldest(ctx context.Context) (store.Revision, error) {
	newest, err := e.Revision(ctx)
	if err != nil {
		return 0, err
	}
	// Reads fail below high and work from it on; low-1 is known to fail, or is nothing.
	low, high := max(e.compacted.Load(), 1), newest
	for low < high {
		middle := low + (high-low)/2
		ok, err := e.readable(ctx, middle)
		if err != nil {
			return 0, err
		}
		if ok {
			high = middle
		} else {
			low = middle + 1
		}
	}
	if low == 1 {
		return 0, nil
	}
	e.noteCompacted(low)
	return low, nil
}

// readable tells whether the revision is there to be read.
func (e *Engine) readable(ctx context.Context, at store.Revision) (bool, error) {
	err := e.read(ctx, func(ctx context.Context) error {
		_, err := e.client.Get(ctx, e.layout.root, clientv3.WithCountOnly(), clientv3.WithRev(at))
		return err
	})
	if errors.Is(err, store.ErrCompacted) {
		return false, nil
	}
	return err == nil, err
}

// noteCompacted keeps what is known of compactions.
func (e *Engine) noteCompacted(rev store.Revision) { raise(&e.compacted, rev) }

// raise sets a number that never goes down.
func raise(n *atomic.Int64, to store.Revision) {
	for {
		is := n.Load()
		if to <= is || n.CompareAndSwap(is, to) {
			return
		}
	}
}
