// Package expect remembers what a control loop has created and deleted and not yet seen in its informer. A
// loop that counts objects must not act on a copy that lacks its own last acts: it would act twice.
package expect

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/controller"
)

// Timeout is how long an expectation holds. What was not seen by then never will be, and the loop goes on
// from what it sees.
const Timeout = 5 * time.Minute

// Expectations are kept by the key of the object on whose behalf the loop acts. The zero value is ready.
type Expectations struct {
	mu   sync.Mutex
	keys map[controller.Key]*expected // guarded by mu
}

type expected struct {
	creations int
	deletions map[types.UID]struct{}
	since     time.Time
}

// ExpectCreations is called before n objects are created; for each that could not be created,
// CreationObserved is called in its place.
func (e *Expectations) ExpectCreations(k controller.Key, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.at(k)
	x.creations += n
	x.since = time.Now()
}

// ExpectDeletions is called before the objects are deleted; for each that could not be deleted,
// DeletionObserved is called in its place.
func (e *Expectations) ExpectDeletions(k controller.Key, uids ...types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.at(k)
	for _, uid := range uids {
		x.deletions[uid] = struct{}{}
	}
	x.since = time.Now()
}

// CreationObserved is called when an object was added that the key's object controls.
func (e *Expectations) CreationObserved(k controller.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x := e.keys[k]; x != nil && x.creations > 0 {
		x.creations--
		e.tidy(k, x)
	}
}

// DeletionObserved is called when an object was deleted, or got a deletion timestamp. It may be called
// for one object any number of times.
func (e *Expectations) DeletionObserved(k controller.Key, uid types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x := e.keys[k]; x != nil {
		delete(x.deletions, uid)
		e.tidy(k, x)
	}
}

// Satisfied tells whether all that was expected was seen, or has timed out.
func (e *Expectations) Satisfied(k controller.Key) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.keys[k]
	return x == nil || time.Since(x.since) > Timeout
}

// Forget is called when the key's object is gone.
func (e *Expectations) Forget(k controller.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.keys, k)
}

// at is what is expected at a key. What has timed out no longer is.
func (e *Expectations) at(k controller.Key) *expected {
	x := e.keys[k]
	if x != nil && time.Since(x.since) <= Timeout {
		return x
	}
	if e.keys == nil {
		e.keys = map[controller.Key]*expected{}
	}
	x = &expected{deletions: map[types.UID]struct{}{}}
	e.keys[k] = x
	return x
}

func (e *Expectations) tidy(k controller.Key, x *expected) {
	if x.creations == 0 && len(x.deletions) == 0 {
		delete(e.keys, k)
	}
}
