package etcd

import (
	"testing"

	"github.com/proa-dev/proa/internal/store"
)

// Events tell whether a commit is among them: all that it writes, upon what it expected, at one revision.
func TestACommitAmongEvents(t *testing.T) {
	created := func(rev store.Revision, key, value string) store.Event {
		return store.Event{Revision: rev, Key: key, Value: []byte(value)}
	}
	updated := store.Event{Revision: 9, Key: "a", Value: []byte("2"), Prev: []byte("1"), PrevRevision: 5}
	deleted := store.Event{Revision: 9, Key: "b", Prev: []byte("1"), PrevRevision: 5}
	put := func(key, value string, expect store.Revision) store.Op {
		return store.Op{Key: key, Value: []byte(value), Expect: expect}
	}
	for name, tt := range map[string]struct {
		events []store.Event
		ops    []store.Op
		want   store.Revision
	}{
		"nothing happened":        {nil, []store.Op{put("a", "1", 0)}, 0},
		"created":                 {[]store.Event{created(7, "a", "1")}, []store.Op{put("a", "1", 0)}, 7},
		"created, another value":  {[]store.Event{created(7, "a", "x")}, []store.Op{put("a", "1", 0)}, 0},
		"created, but empty":      {[]store.Event{deleted}, []store.Op{put("b", "", 5)}, 0},
		"another key":             {[]store.Event{created(7, "b", "1")}, []store.Op{put("a", "1", 0)}, 0},
		"updated":                 {[]store.Event{created(7, "x", "1"), updated}, []store.Op{put("a", "2", 5)}, 9},
		"updated at any revision": {[]store.Event{updated}, []store.Op{put("a", "2", store.AnyRevision)}, 9},
		"updated by another":      {[]store.Event{updated}, []store.Op{put("a", "2", 4)}, 0},
		"both":                    {[]store.Event{updated, deleted}, []store.Op{put("a", "2", 5), {Key: "b", Expect: 5}}, 9},
		"one of both":             {[]store.Event{updated}, []store.Op{put("a", "2", 5), {Key: "b", Expect: 5}}, 0},
		"both, one at a time":     {[]store.Event{created(7, "c", "1"), created(8, "d", "1")}, []store.Op{put("c", "1", 0), put("d", "1", 0)}, 0},
		"upon a condition":        {[]store.Event{updated}, []store.Op{{Key: "c", Expect: 3, Check: true}, put("a", "2", 5)}, 9},
	} {
		if got := among(tt.events, tt.ops); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}
