// Package cache is the server's half of list-watch: the present state of every resource and its recent
// past, in memory, as encoded bytes.
//
// # Invariants
//
//   - The state at revision R is exactly all commits up to R. One feeder reads the store's events and
//     applies each commit whole; readers only ever see whole commits.
//   - A snapshot is taken in O(1) and never changes: trees are copy-on-write.
//   - A read that must be consistent waits until the cache has reached the revision the store had at
//     the time of the call.
//   - A watcher pulls from its table's window at its own pace. It holds no buffer of events of its own,
//     slows down no writer and no other watcher, and gets an *ExpiredError when it falls out of it.
//     What it gets, it gets once and in order.
//   - An event costs work in proportion to the watchers that may want it: those that fix a name, a
//     namespace or an indexed field's value are found by index.
//   - Items are immutable and shared. Nobody changes their bytes.
package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/proa-dev/proa/internal/store"
	"k8s.io/apimachinery/pkg/labels"
)

// Schema says how the values under one prefix of the store's keys become items.
type Schema struct {
	// Resource names the table in metrics and errors: "deployments.apps".
	Resource string
	// Prefix of the store's keys, with its final slash: "/registry/deployments/". What follows it is
	// the item's key: "namespace/name", or "name" where there are no namespaces.
	Prefix string
	// Describe reads what the cache needs out of a stored value. It is called once for every event and
	// for every key at start; hint is the writer's, if it was in this process. The item's Value is the
	// stored encoding with kv.Revision as its resourceVersion, in place of another if there is one: for an
	// object that a watcher sees deleted it is called once more, with the Value of its last item and the
	// revision of the deletion.
	// The value is lent to it: what it keeps are copies.
	// A value that it returns an error for is reported and left out, as if the key did not exist.
	Describe func(kv store.KV, hint any) (*Item, error)
	// Indexed lists the positions in Item.Fields whose value watchers are found by
	// (spec.nodeName of pods, for one).
	Indexed []int
}

// Consistency says how fresh a read must be.
type Consistency int

const (
	// Consistent sees every write acknowledged before the call.
	Consistent Consistency = iota
	// Any answers from whatever the cache holds.
	Any
	// NotOlderThan waits, for a while, until the cache has reached the revision.
	NotOlderThan
	// Exact is the state at the very revision, which must be in the store's history.
	Exact
)

// At is how fresh a read must be, with the revision that NotOlderThan and Exact name.
type At struct {
	Consistency Consistency
	Revision    store.Revision
}

// Selector narrows a watch. The zero value wants everything. All that is set must hold.
type Selector struct {
	Namespace string
	Name      string
	// Labels nil matches all.
	Labels labels.Selector
	// Fields are demands on Item.Fields by position.
	Fields []FieldDemand

	// mark is in the packed labels of all that Labels selects, and in few others: "" if there is no such thing, or
	// before Prepare.
	mark string
}

// Prepare makes a selector that is set faster on items with other labels.
func (s *Selector) Prepare() {
	if key, value, ok := s.fixedLabel(); ok {
		s.mark = string(appendPiece(appendPiece(nil, key), value))
	}
}

// FieldDemand is one requirement of a field selector.
type FieldDemand struct {
	Field int    // position in Item.Fields, FieldName or FieldNamespace
	Value string // to compare with
	Not   bool   // must differ instead of be equal
}

// Positions in a FieldDemand of what every item has beside its Fields. A selector that fixes them to one
// value says so in Namespace and Name, which are indexed.
const (
	FieldName      = -1
	FieldNamespace = -2
)

// WatchOptions says where a watch begins and what it wants.
type WatchOptions struct {
	Selector Selector
	// After is the revision to begin after. Below the window it gives an *ExpiredError.
	After store.Revision
	// Initial begins with an Added event for every present item instead, of a state at least as fresh
	// as At says; Watcher.Next marks the end of them.
	Initial bool
	At      At
	// Sharing lets others than the caller of Next take events; nil does not.
	Sharing *Sharing
}

// Sharing is how a watcher's events are taken by whoever comes first: the caller of Next, who waits for them, or
// somebody who was told that there are some, and works for many watchers.
type Sharing struct {
	// Turn is held by whoever takes. Next is called with it held, and gives it up while it waits.
	Turn sync.Locker
	// Ready is called when there is something to take, from the goroutine that all changes go through: it does
	// little. Whoever it tells may leave the taking to Next, by Wake.
	Ready func(*Watcher)
}

// EventType is what happened, as one watcher's selector sees it.
type EventType int

const (
	Added EventType = iota
	Modified
	Deleted
)

// Event is one change as one watcher's selector sees it.
type Event struct {
	Type EventType
	// Item is the new state; for Deleted the last state, with the revision of the deletion.
	Item *Item
	// Prev is the state before, nil for Added by creation and for initial events.
	Prev *Item
}

// Batch is what a watcher gets at a time: events that were ready together.
type Batch struct {
	Events []Event
	// InitialDone is set on the batch with which the initial events are complete.
	InitialDone bool
	// Reached is the revision up to which the watcher has now seen everything; 0 until InitialDone.
	Reached store.Revision
}

// ErrStarting means that a table has not been loaded yet.
var ErrStarting = errors.New("cache: not loaded yet")

// ErrNoTable means that no table has the name, or that it has been removed.
var ErrNoTable = errors.New("cache: no such table")

// ErrStopped means that a watcher was stopped.
var ErrStopped = errors.New("cache: watcher stopped")

// ExpiredError says that a revision is below the window.
type ExpiredError struct{ Requested, Oldest store.Revision }

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("too old resource version: %d (%d)", e.Requested, e.Oldest)
}

// FutureError says that the cache did not reach a revision in time.
type FutureError struct{ Requested, Current store.Revision }

func (e *FutureError) Error() string {
	return fmt.Sprintf("Too large resource version: %d, current: %d", e.Requested, e.Current)
}

// Reader is what the API layer needs of one table.
type Reader interface {
	// Get returns the item, or store.ErrNotFound.
	Get(ctx context.Context, key string, at At) (*Item, error)
	// Snapshot freezes the table.
	Snapshot(ctx context.Context, at At) (*Snapshot, error)
	// Watch begins a watch. The watcher ends with its context, or by Stop.
	Watch(ctx context.Context, o WatchOptions) (*Watcher, error)
}

var _ Reader = (*Table)(nil)
