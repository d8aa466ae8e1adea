// Package storetest is the contract of package store as tests. Every engine passes Run; engines whose
// data outlives them pass RunReopen too.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

// Run tests stores that open makes; each is empty, belongs to its test, and is closed by open's cleanup.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for name, test := range map[string]func(*testing.T, store.Store){
		"create, update and delete by revision":     testPreconditions,
		"a conflict says what is there":             testConflictError,
		"any revision":                              testAnyRevision,
		"a commit of many keys is all or nothing":   testAtomicity,
		"a commit that makes no sense is refused":   testBadCommit,
		"a commit on the condition of other keys":   testChecks,
		"empty values are values":                   testEmptyValue,
		"ranges":                                    testRange,
		"a snapshot stands still":                   testSnapshotIsolation,
		"events of the past and the present":        testEvents,
		"events carry what stood there before":      testEventPrev,
		"events of one commit stay together":        testEventsWholeCommits,
		"events after a future revision":            testEventsFuture,
		"hints":                                     testHint,
		"compaction":                                testCompact,
		"a reader that falls behind is told":        testFallBehind,
		"time to live":                              testTTL,
		"a renewed time to live":                    testTTLRenewed,
		"contexts":                                  testContext,
		"close":                                     testClose,
		"random histories are linearizable":         testLinearizable,
		"every stream sees every commit once":       testWatchCompleteness,
		"pages of a list agree under random writes": testSnapshotsAgree,
		"the state at a past revision":              testPast,
		"past states of random histories":           testPastRandom,
		"pages of the past agree under writes":      testPastUnderWriters,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// commit fails the test if the commit fails.
func commit(t *testing.T, s store.Store, ops ...store.Op) store.Revision {
	t.Helper()
	rev, err := s.Commit(t.Context(), ops...)
	if err != nil {
		t.Fatalf("commit %s: %v", ops[0].Key, err)
	}
	return rev
}

func put(key, value string, expect store.Revision) store.Op {
	return store.Op{Key: key, Value: []byte(value), Expect: expect}
}

func remove(key string, expect store.Revision) store.Op {
	return store.Op{Key: key, Expect: expect}
}

func check(key string, expect store.Revision) store.Op {
	return store.Op{Key: key, Expect: expect, Check: true}
}

// expectValue checks a key's value and revision; a revision of 0 is a key that does not exist.
func expectValue(t *testing.T, s store.Store, key, value string, rev store.Revision) {
	t.Helper()
	kv, err := s.Get(t.Context(), key)
	if rev == 0 {
		if !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("get %s: %q at %d, error %v; want not found", key, kv.Value, kv.Revision, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	if kv.Key != key || string(kv.Value) != value || kv.Revision != rev {
		t.Fatalf("get %s: %q %q at %d; want %q at %d", key, kv.Key, kv.Value, kv.Revision, value, rev)
	}
}

func expectError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v; want %v", err, want)
	}
}

func revision(t *testing.T, s store.Store) store.Revision {
	t.Helper()
	rev, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func snapshot(t *testing.T, s store.Store) store.Snapshot {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { snap.Close() })
	return snap
}

// list reads a range of a snapshot as "key=value@revision".
func list(t *testing.T, snap store.Snapshot, r store.Range) []string {
	t.Helper()
	var got []string
	err := snap.Range(r, func(kv store.KV) bool {
		got = append(got, fmt.Sprintf("%s=%s@%d", kv.Key, kv.Value, kv.Revision))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func expectList(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got  %s\nwant %s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

func stream(t *testing.T, s store.Store, after store.Revision) store.Stream {
	t.Helper()
	st, err := s.Events(t.Context(), after)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// next reads events until there are n.
func next(t *testing.T, st store.Stream, n int) []store.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var events []store.Event
	for len(events) < n {
		before := st.Reached()
		more, err := st.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(events), n, err)
		}
		if len(more) == 0 && st.Reached() <= before {
			t.Fatal("Next returned no events and no error, and Reached did not move")
		}
		events = append(events, more...)
	}
	if len(events) > n {
		t.Fatalf("%d events, want %d: %v", len(events), n, describe(events))
	}
	return events
}

// describe writes events as "revision key prev@revision>value".
func describe(events []store.Event) []string {
	text := make([]string, len(events))
	for i, e := range events {
		text[i] = fmt.Sprintf("%d %s %s@%d>%s", e.Revision, e.Key, show(e.Prev), e.PrevRevision, show(e.Value))
	}
	return text
}

func show(value []byte) string {
	if value == nil {
		return "nil"
	}
	return string(value)
}
