package etcd

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/proa-dev/proa/internal/store"
)

// Compact gives up events up to the revision. It does nothing if they are gone.
func (e *Engine) Compact(ctx context.Context, upTo store.Revision) error {
	if upTo <= 0 {
		return nil
	}
	present, err := e.Revision(ctx)
	if err != nil {
		return err
	}
	upTo = min(upTo, present)
	err = e.read(ctx, func(ctx context.Context) error {
		_, err := e.client.Compact(ctx, upTo)
		return err
	})
	if errors.Is(err, store.ErrCompacted) {
		return nil
	}
	if err == nil {
		e.noteCompacted(upTo)
	}
	return err
}

// compactKey is where all who share a cluster, kube-apiserver among them, agree on who compacts. Its value is
// the revision that was compacted last, in decimal.
const compactKey = "compact_rev_key"

// compactByAge compacts, once an interval, to what was the present an interval ago. Of several servers one
// does it: who counts the key's version up. The others see that it moved, and try again an interval later.
func (e *Engine) compactByAge() {
	c := compaction{engine: e}
	ticker := time.NewTicker(e.opts.CompactInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-e.closing.Done():
			return
		}
		if err := c.round(e.closing); err != nil && e.closing.Err() == nil {
			e.log.Warn("etcd could not be compacted", "upTo", c.revision, "err", err)
		}
	}
}

// compaction is what a server remembers from one round to the next.
type compaction struct {
	engine   *Engine
	version  int64          // of the key, when it was last seen
	revision store.Revision // the present at that time; 0 before the first round
}

func (c *compaction) round(ctx context.Context) error {
	var answer *clientv3.TxnResponse
	err := c.engine.read(ctx, func(ctx context.Context) (err error) {
		answer, err = c.engine.client.Txn(ctx).
			If(clientv3.Compare(clientv3.Version(compactKey), "=", c.version)).
			Then(clientv3.OpPut(compactKey, strconv.FormatInt(c.revision, 10))).
			Else(clientv3.OpGet(compactKey)).Commit()
		return err
	})
	if err != nil {
		return err
	}
	upTo := c.revision
	c.revision = answer.Header.Revision
	if !answer.Succeeded {
		upTo = 0
		c.version = 0
		if kvs := answer.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
			c.version = kvs[0].Version
		}
	} else {
		c.version++
	}
	return c.compact(ctx, upTo)
}

// compact is not Engine.Compact because what it gives up is so old that no stream needs telling.
func (c *compaction) compact(ctx context.Context, upTo store.Revision) error {
	if upTo == 0 {
		return nil
	}
	return c.engine.read(ctx, func(ctx context.Context) error {
		_, err := c.engine.client.Compact(ctx, upTo)
		if errors.Is(err, rpctypes.ErrCompacted) {
			return nil
		}
		return err
	})
}
