package informer

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/proa-dev/proa/internal/client"
)

// compare appends what became of an object, old being nil if it is new. An object that is as it was is no
// change.
func compare[T any](changes []change[T], old, new *T) []change[T] {
	if old == nil {
		return append(changes, change[T]{new: new})
	}
	before, after := any(old).(client.Object), any(new).(client.Object)
	if before.GetUID() != after.GetUID() {
		return append(changes, change[T]{old: old}, change[T]{new: new})
	}
	if same(before, after) {
		return changes
	}
	return append(changes, change[T]{old: old, new: new})
}

func same(a, b client.Object) bool {
	return a.GetResourceVersion() != "" && a.GetResourceVersion() == b.GetResourceVersion() && a.GetUID() == b.GetUID()
}

// delete drops an object whose last state is o, if it is there.
func (i *Informer[T]) delete(changes []change[T], o *T) []change[T] {
	if i.store.drop(keyOf(o)) == nil {
		return changes
	}
	return append(changes, change[T]{old: o})
}

// replace makes the store hold just these objects, and is the first of its kind or the end of a gap in the
// events: what the gap hides is found by comparison. Objects that did not change stay the same pointers.
func (i *Informer[T]) replace(all objects[T]) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.hasLoaded() {
		i.store.replace(all)
		i.tell(initial(i.store.list()))
		close(i.loaded)
		return
	}
	var changes []change[T]
	for namespace, names := range i.store.items {
		for name, o := range names {
			if all[namespace][name] == nil {
				changes = append(changes, change[T]{old: o})
			}
		}
	}
	for namespace, names := range all {
		for name, o := range names {
			old := i.store.items[namespace][name]
			if old != nil && same(any(old).(client.Object), any(o).(client.Object)) {
				names[name] = old
				continue
			}
			changes = compare(changes, old, o)
		}
	}
	i.store.replace(all)
	i.tell(changes)
}

// tell hands changes to all listeners. The caller holds the lock, so that no listener misses any.
func (i *Informer[T]) tell(changes []change[T]) {
	for _, l := range i.listeners {
		l.push(changes)
	}
}

// resync tells of every object again and again.
func (i *Informer[T]) resync(ctx context.Context) {
	ticker := time.NewTicker(i.options.Resync)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		i.mu.Lock()
		var changes []change[T]
		for _, o := range i.store.list() {
			changes = append(changes, change[T]{old: o, new: o})
		}
		i.tell(changes)
		i.mu.Unlock()
	}
}

// backoff is the present delay, which doubles with each attempt.
type backoff time.Duration

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// next is the delay before the next attempt: between half and one and a half of the present one.
func (b *backoff) next() time.Duration {
	d := max(time.Duration(*b), minBackoff)
	*b = backoff(min(2*d, maxBackoff))
	return d/2 + rand.N(d)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
