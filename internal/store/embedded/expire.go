package embedded

import (
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/proa-dev/proa/internal/store"
)

// expirer deletes keys whose time has come, by ordinary commits that expect the revision that expired, so
// that a writer who renews a key in time wins. It sleeps until the soonest expiry; an idle store with
// nothing to expire is never woken.
type expirer struct {
	e *Engine
	// next is the expiry that the timer is set to.
	next atomic.Int64
	wake chan struct{}
}

const (
	// never is an expiry beyond all others.
	never = math.MaxInt64
	// expirePage bounds how many keys are deleted in one go.
	expirePage = 512
	// expirePause is the least time between two rounds.
	expirePause = 100 * time.Millisecond
	// expireRetry is the pause after a round that did not get through.
	expireRetry = 2 * time.Second
)

// scheduled is told the soonest expiry of every group.
func (x *expirer) scheduled(expiry int64) {
	if expiry >= x.next.Load() {
		return
	}
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// run ends with stop.
func (x *expirer) run(stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-x.wake:
		case <-timer.C:
		}
		pause := expirePause
		if err := x.sweep(time.Now().UnixMilli()); err != nil {
			if x.e.failure.get() != nil {
				return
			}
			if !errors.Is(err, store.ErrClosed) && !errors.Is(err, store.ErrNoSpace) {
				x.e.opts.Logger.Error("deleting expired keys", "err", err)
			}
			pause = expireRetry
		}
		timer.Stop()
		if next := x.next.Load(); next != never {
			timer.Reset(max(pause, time.Until(time.UnixMilli(next))))
		}
	}
}

// expired is a key to delete.
type expired struct {
	key    string
	expiry int64
}

// sweep deletes what is due, a page at most, and sets next.
func (x *expirer) sweep(now int64) error {
	x.next.Store(never) // so that every expiry set from now on wakes us
	due, next, err := x.due(now)
	if err == nil {
		err = x.remove(due)
	}
	if err != nil {
		next = now
	}
	x.next.Store(next)
	return err
}

// due reads the beginning of the expiry index: what is due, and the first expiry that stays.
func (x *expirer) due(now int64) (due []expired, next int64, err error) {
	v, err := x.e.readers.acquire()
	if err != nil {
		return nil, 0, err
	}
	defer x.e.readers.giveBack(v)
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: expiryKey(0, ""), UpperBound: []byte{expirySpace + 1}})
	if err != nil {
		return nil, 0, readError(expiryKey(0, ""), err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		expiry, key, valid := parseExpiryKey(it.Key())
		if !valid {
			return nil, 0, damaged(it.Key(), "too short")
		}
		if expiry > now || len(due) == expirePage {
			return due, expiry, nil
		}
		due = append(due, expired{key, expiry})
	}
	if err := it.Error(); err != nil {
		return nil, 0, readError(expiryKey(0, ""), err)
	}
	return due, never, nil
}

// remove deletes the keys, each with a commit of its own, all under way together.
func (x *expirer) remove(due []expired) error {
	var errs []error
	var requests []*request
	for _, d := range due {
		live, err := x.present(d)
		if err == nil && live.revision == 0 {
			continue // renewed or deleted meanwhile
		}
		var r *request
		if err == nil {
			r, err = x.e.submit([]store.Op{{Key: d.key, Expect: live.revision}})
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		requests = append(requests, r)
	}
	for _, r := range requests {
		select {
		case <-r.done:
		case <-x.e.failure.happened:
			return x.e.failure.get()
		}
		if !errors.Is(r.err, store.ErrConflict) {
			errs = append(errs, r.err)
		}
	}
	return errors.Join(errs...)
}

// present is the key's record if it still has that expiry.
func (x *expirer) present(d expired) (liveRecord, error) {
	v, err := x.e.readers.acquire()
	if err != nil {
		return liveRecord{}, err
	}
	defer x.e.readers.giveBack(v)
	live, err := v.live(d.key)
	if err != nil || live.expiry != d.expiry {
		return liveRecord{}, err
	}
	return live, nil
}
