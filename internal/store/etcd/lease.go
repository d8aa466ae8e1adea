package etcd

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/proa-dev/proa/internal/store"
)

// A lease is a commit of etcd's own to make and another to end, so keys share one: those that are to end
// within a window, of a twentieth of their time to live and a minute at most, and not more than fit into
// one transaction without being felt. They are never deleted early, and late by no more than the window.
const (
	longestWindow = time.Minute
	windowPart    = 20
	leaseKeys     = 1000
)

// leases hands out the lease that is shared at present.
type leases struct {
	client *clientv3.Client

	mu   sync.Mutex
	id   clientv3.LeaseID // guarded by mu, as is what follows; NoLease if there is none to share
	ends time.Time        // not after the moment at which etcd ends it
	keys int              // how many have it
}

// get returns a lease that ends after the time to live and not long after.
func (l *leases) get(ctx context.Context, ttl time.Duration) (clientv3.LeaseID, error) {
	window := min(ttl/windowPart, longestWindow)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	enough := !now.Add(ttl).After(l.ends)
	tooLong := now.Add(ttl + window + time.Second).Before(l.ends)
	if l.id != clientv3.NoLease && enough && !tooLong && l.keys < leaseKeys {
		l.keys++
		return l.id, nil
	}
	seconds := int64((ttl + window + time.Second - 1) / time.Second)
	granted, err := l.client.Grant(ctx, seconds)
	if err != nil {
		return clientv3.NoLease, err
	}
	l.id, l.ends, l.keys = granted.ID, now.Add(time.Duration(seconds)*time.Second), 1
	return l.id, nil
}

// forget stops sharing.
func (l *leases) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id = clientv3.NoLease
}

// grant returns the lease of each op; nil if none has a time to live.
func (e *Engine) grant(ctx context.Context, ops []store.Op, anew bool) (ids []clientv3.LeaseID, err error) {
	if anew {
		e.leases.forget()
	}
	for i, op := range ops {
		if op.TTL == 0 || op.Value == nil {
			continue
		}
		if ids == nil {
			ids = make([]clientv3.LeaseID, len(ops))
		}
		err := e.request(ctx, func(ctx context.Context) (err error) {
			ids[i], err = e.leases.get(ctx, op.TTL)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}
