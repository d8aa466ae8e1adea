// Package store is the revisioned key-value store under the registry: the interface every engine
// implements and the contract every engine keeps. The suite in storetest proves the contract.
//
// # Revisions
//
// One sequence of revisions covers all keys. Every successful Commit takes exactly one revision, the
// next one, and all its operations carry it. (Where others share the sequence, as in an etcd cluster, their
// writes take revisions too, which have no events here.) Revisions grow in commit order and never go back, across
// restarts too. The revision of the last commit that touched a key is that key's revision; clients see
// it as resourceVersion.
//
// # Memory
//
// Values that go in belong to the store from then on; values that come out are shared. Neither side
// changes the bytes of a value after handing it over.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Revision is a point in the store's history. 0 is before the first commit.
type Revision = int64

// Preconditions on a key's revision, beside the revisions themselves.
const (
	// MustNotExist requires that the key has no value.
	MustNotExist Revision = 0
	// AnyRevision requires nothing.
	AnyRevision Revision = -1
)

// Op is one write of a commit, or one thing that must hold for it.
type Op struct {
	Key string
	// Value is what to store; nil deletes the key.
	Value []byte
	// Check writes nothing: the commit requires that the key has the revision Expect, and leaves it as it is.
	Check bool
	// Expect is the revision the key must have: one that was read, MustNotExist, or AnyRevision.
	// A delete with AnyRevision of a key that does not exist fails the commit with ErrConflict.
	Expect Revision
	// TTL is how long the key lives; 0 is for ever. The engine deletes an expired key with a commit of
	// its own, within a few seconds of its time, a restart notwithstanding.
	TTL time.Duration
	// Hint travels with the event to this process's own readers of Events and nowhere else: what the
	// writer already knows of the value, so that the cache need not decode it again.
	Hint any
}

// KV is a key with its value and the revision of its last change.
type KV struct {
	Key      string
	Value    []byte
	Revision Revision
}

// Event is one key's change in one commit.
type Event struct {
	Revision Revision
	Key      string
	// Value is the new value; nil means deleted.
	Value []byte
	// Prev is the value before; nil means that the key did not exist.
	Prev []byte
	// PrevRevision is the key's revision before; 0 if it did not exist.
	PrevRevision Revision
	// Hint is the Op's, or nil: after a restart, or when another process wrote.
	Hint any
}

// Range asks for the keys of a half-open interval, in byte order.
type Range struct {
	// Start is the first key; End the first key beyond. An empty End means all keys from Start on.
	Start, End string
	// Limit bounds the answer; 0 is no bound.
	Limit int
	// Lent values are the caller's only until yield returns, which spares the engine a copy of each. An engine may
	// give them for keeps.
	Lent bool
}

// Prefix is the Range of all keys that begin with prefix.
func Prefix(prefix string) Range {
	return Range{Start: prefix, End: prefixEnd(prefix)}
}

// Store is the revisioned store. All methods may be called from any goroutine.
type Store interface {
	// Commit applies all ops, atomically and isolated, if every op's precondition holds, and returns
	// the commit's revision. When it returns nil the commit is durable, as far as the operator asked.
	// A failed precondition is a *ConflictError, and changes nothing; neither does ErrNoSpace. Other I/O errors
	// mean that nothing was acknowledged; reads go on. A context that ends while the commit is under
	// way gives the context's error, and the commit may or may not have happened; ErrUncertain says the
	// same when the store itself lost sight of it.
	// A commit has an op that writes at least, and no two that name the same key.
	Commit(ctx context.Context, ops ...Op) (Revision, error)

	// Get returns the key's present value, or ErrNotFound. It sees every commit that was acknowledged
	// before the call.
	Get(ctx context.Context, key string) (KV, error)

	// Revision returns the revision of the last commit, not lower than any acknowledged before the
	// call, by any process.
	Revision(ctx context.Context) (Revision, error)

	// Snapshot freezes the whole key space at the present revision without stopping writers. It sees
	// every commit that was acknowledged before the call.
	Snapshot(ctx context.Context) (Snapshot, error)

	// SnapshotAt is the whole key space as it was at the revision, down to Oldest. Below that it is
	// ErrCompacted, above the present ErrFuture. It can be read while its revision is within the window;
	// afterwards it may end with ErrCompacted.
	SnapshotAt(ctx context.Context, at Revision) (Snapshot, error)

	// Events returns every commit after the revision, in order, exactly once, first those of the past,
	// then new ones as they become durable. A revision below the window is ErrCompacted; one above the
	// present is served when the store gets there.
	Events(ctx context.Context, after Revision) (Stream, error)

	// Oldest is the lowest revision that Events can start after, and that SnapshotAt can show.
	Oldest(ctx context.Context) (Revision, error)

	// Compact gives up events up to and including the revision, and the states before it. Engines also do so by themselves, by
	// the age and size their operator set.
	Compact(ctx context.Context, upTo Revision) error

	// Size is the number of bytes the store takes on disk, or an estimate.
	Size(ctx context.Context) (int64, error)

	// Cool lets go of memory that only speeds up what is under way, and returns about how many bytes. It is
	// called when little is.
	Cool() int64

	// Close ends the streams, finishes the commits under way and gives up the directory. Calls after
	// it return ErrClosed.
	Close() error
}

// Snapshot is the key space at one revision.
type Snapshot interface {
	Revision() Revision
	Get(key string) (KV, error)
	// Range calls yield for each key of the range, in order, until yield returns false. The KV's value
	// may be kept, unless it was to be lent.
	Range(r Range, yield func(KV) bool) error
	Close() error
}

// Stream hands out events in order.
type Stream interface {
	// Next waits for events and returns those that are ready: whole commits, never part of one. A reader
	// that is far behind gets them in several calls. It returns none, and no error, when Reached has moved
	// and that is all there is to know; only a store that others write to besides has cause to. After the
	// context ends, the store closes or the reader falls out of the window it returns an error (the
	// context's, ErrClosed, ErrCompacted) and goes on returning it.
	Next(ctx context.Context) ([]Event, error)
	// Reached is a revision up to which Next has returned all events; it may run ahead of the last
	// event's when the store knows that nothing lies between. It gets to every revision that Revision or
	// Snapshot has told, soon, as long as Next is called.
	Reached() Revision
	Close() error
}

// Errors that callers tell apart with errors.Is.
var (
	ErrNotFound  = errors.New("key not found")
	ErrConflict  = errors.New("precondition failed")
	ErrCompacted = errors.New("revision has been compacted")
	ErrFuture    = errors.New("revision is in the future")
	ErrNoSpace   = errors.New("no space left on the store's device")
	ErrClosed    = errors.New("store is closed")
	// ErrUncertain means that a commit may or may not have happened: the connection to the store broke
	// before the answer came.
	ErrUncertain = errors.New("the outcome of the commit is unknown: it may or may not have happened")
	// ErrCorrupt means that stored bytes failed their checksum; they are never returned.
	ErrCorrupt = errors.New("stored data is damaged")
)

// ConflictError says which precondition failed and what stands there now. It is an ErrConflict.
type ConflictError struct {
	Key    string
	Expect Revision
	// Actual is the key as it is; its Revision is 0 if it does not exist.
	Actual KV
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s: expected revision %d, found %d: %v", e.Key, e.Expect, e.Actual.Revision, ErrConflict)
}

func (e *ConflictError) Unwrap() error { return ErrConflict }

// Validate says what is wrong with the ops of a commit.
func Validate(ops []Op) error {
	writes := false
	for i := range ops {
		op := &ops[i]
		writes = writes || !op.Check
		switch {
		case op.Expect < AnyRevision || op.TTL < 0:
			return fmt.Errorf("%s: revision %d or time to live %v is negative", op.Key, op.Expect, op.TTL)
		case op.Check && (op.Expect == AnyRevision || op.Value != nil || op.TTL != 0):
			return fmt.Errorf("%s: what is only checked has a revision, and nothing to write", op.Key)
		}
	}
	if !writes {
		return errors.New("a commit needs an operation that writes")
	}
	if len(ops) == 1 {
		return nil
	}
	seen := make(map[string]struct{}, len(ops))
	for i := range ops {
		if _, twice := seen[ops[i].Key]; twice {
			return fmt.Errorf("%s: a commit names the key twice", ops[i].Key)
		}
		seen[ops[i].Key] = struct{}{}
	}
	return nil
}

// Holds tells whether the op's precondition holds for a key of the revision, which is 0 if there is no key.
func (op *Op) Holds(present Revision) bool {
	if op.Value == nil && !op.Check && present == 0 {
		return false
	}
	return op.Expect == AnyRevision || op.Expect == present
}

// prefixEnd is the first key after all keys with the prefix, or "" if there is none.
func prefixEnd(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return ""
}
