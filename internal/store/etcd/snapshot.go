package etcd

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/proa-dev/proa/internal/store"
)

// pageKeys is how many keys are read in one request: few enough that etcd answers others between two pages.
const pageKeys = 1000

// Snapshot is the present revision; nothing is read until it is asked for. It can be read until the revision
// is compacted, which is an interval of compaction at least.
func (e *Engine) Snapshot(ctx context.Context) (store.Snapshot, error) {
	rev, err := e.Revision(ctx)
	if err != nil {
		return nil, err
	}
	return e.snapshotAt(rev, rev), nil
}

// SnapshotAt asks etcd whether it has the revision. Before the first commit is etcd's revision 1.
func (e *Engine) SnapshotAt(ctx context.Context, at store.Revision) (store.Snapshot, error) {
	readAt := max(at, 1)
	ok, err := e.readable(ctx, readAt)
	if err != nil {
		return nil, err
	}
	if !ok || at < e.compacted.Load() {
		return nil, store.ErrCompacted
	}
	return e.snapshotAt(at, readAt), nil
}

func (e *Engine) snapshotAt(rev, readAt store.Revision) *snapshot {
	s := &snapshot{engine: e, rev: rev, readAt: readAt}
	s.open, s.end = context.WithCancel(e.closing)
	return s
}

type snapshot struct {
	engine *Engine
	rev    store.Revision
	// readAt is what etcd knows the revision as.
	readAt store.Revision
	open   context.Context
	end    context.CancelFunc
}

func (s *snapshot) Revision() store.Revision { return s.rev }

func (s *snapshot) Get(key string) (store.KV, error) {
	kv, err := s.engine.get(s.open, key, clientv3.WithRev(s.readAt))
	return kv, s.explain(err)
}

func (s *snapshot) Range(r store.Range, yield func(store.KV) bool) error {
	start, end := s.engine.layout.interval(r)
	left := r.Limit
	for start < end {
		page := pageKeys
		if r.Limit > 0 {
			page = min(page, left)
		}
		answer, err := s.page(start, end, page)
		if err != nil {
			return s.explain(err)
		}
		for _, kv := range answer.Kvs {
			found := store.KV{Key: s.engine.layout.fromEtcd(kv.Key), Value: present(kv.Value), Revision: kv.ModRevision}
			if !yield(found) {
				return nil
			}
			start = string(kv.Key) + "\x00"
		}
		if left -= len(answer.Kvs); !answer.More || r.Limit > 0 && left <= 0 {
			return nil
		}
	}
	return nil
}

func (s *snapshot) page(start, end string, limit int) (answer *clientv3.GetResponse, err error) {
	err = s.engine.read(s.open, func(ctx context.Context) (err error) {
		answer, err = s.engine.client.Get(ctx, start, clientv3.WithRange(end), clientv3.WithRev(s.readAt), clientv3.WithLimit(int64(limit)))
		return err
	})
	return answer, err
}

// explain makes the end of the snapshot what it is to its reader.
func (s *snapshot) explain(err error) error {
	if err != nil && s.open.Err() != nil {
		return store.ErrClosed
	}
	return err
}

func (s *snapshot) Close() error {
	s.end()
	return nil
}
