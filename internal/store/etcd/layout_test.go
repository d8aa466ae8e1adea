package etcd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/proa-dev/proa/internal/store"
)

// Ranges over the store's keys and over etcd's choose the same keys, in the same order.
func TestIntervalsAreRanges(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	word := func() string {
		b := make([]byte, r.IntN(5))
		for i := range b {
			b[i] = "/ar0\xff\x00"[r.IntN(6)]
		}
		return string(b)
	}
	for range 20_000 {
		strip := []string{"", "/r", "/r/", "/registry"}[r.IntN(4)]
		l := newLayout([]string{"/a", "/registry/", "/a/b"}[r.IntN(3)], strip)
		bound := func() string {
			switch r.IntN(4) {
			case 0:
				return ""
			case 1:
				return word()
			case 2:
				return store.Prefix(l.strip + word()).End
			}
			return l.strip + word()
		}
		asked := store.Range{Start: bound(), End: bound()}
		start, end := l.interval(asked)
		low, high := l.all()
		if start < low || end > high {
			t.Fatalf("%+v %+v: %q to %q leaves the store", l, asked, start, end)
		}
		for range 20 {
			key := l.strip + word()
			stored, err := l.toEtcd(key)
			if key == l.strip {
				continue // names nothing
			}
			if err != nil || l.fromEtcd([]byte(stored)) != key {
				t.Fatalf("%+v: %q became %q, %v", l, key, stored, err)
			}
			want := key >= asked.Start && (asked.End == "" || key < asked.End)
			if got := stored >= start && stored < end; got != want {
				t.Fatalf("%+v %+v: %q is in it: %v, want %v (%q to %q)", l, asked, key, got, want, start, end)
			}
		}
	}
}

func TestOrderStays(t *testing.T) {
	l := newLayout("/cluster", "/registry")
	keys := []string{"/registry/a", "/registry/a/b", "/registry/a0", "/registry/\xff"}
	var stored []string
	for _, k := range keys {
		s, err := l.toEtcd(k)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, s)
	}
	if !slices.IsSorted(stored) {
		t.Fatalf("%q", stored)
	}
	for _, foreign := range []string{"", "/registry", "/registry/", "/registryx/a", "/a"} {
		if s, err := l.toEtcd(foreign); err == nil {
			t.Errorf("%q became %q", foreign, s)
		}
	}
}

func TestOptions(t *testing.T) {
	good := []string{"https://10.0.0.1:2379"}
	for i, o := range []Options{
		{},
		{Endpoints: []string{"10.0.0.1:2379"}},
		{Endpoints: []string{"https://a:1", "http://b:1"}},
		{Endpoints: []string{"https://a:1/path"}},
		{Endpoints: good, CertFile: "c"},
		{Endpoints: good, KeyFile: "k"},
		{Endpoints: []string{"http://a:1"}, CAFile: "c"},
		{Endpoints: good, Prefix: "registry"},
		{Endpoints: good, Prefix: "/"},
		{Endpoints: good, DialTimeout: -1},
	} {
		if o.Validate() == nil {
			t.Errorf("case %d is accepted: %+v", i, o)
		}
	}
	if err := (Options{Endpoints: good, Prefix: "/r", CertFile: "c", KeyFile: "k"}).Validate(); err != nil {
		t.Error(err)
	}
}

// The hints kept are the latest ones, and never that of another value.
func TestHints(t *testing.T) {
	h := newHints()
	put := func(key, value string) {
		h.add(&transaction{keys: []string{key}}, []store.Op{{Key: key, Value: []byte(value), Hint: value}})
	}
	put("a", "1")
	put("a", "2")
	if got := h.of([]byte("a"), []byte("1")); got != nil {
		t.Errorf("the hint of a value before: %v", got)
	}
	if got := h.of([]byte("a"), []byte("2")); got != "2" {
		t.Errorf("the hint is %v", got)
	}
	for i := range 10 * hintsKept {
		put(fmt.Sprint(i%(3*hintsKept)), fmt.Sprint(i))
		if got := h.of([]byte(fmt.Sprint(i%(3*hintsKept))), []byte(fmt.Sprint(i))); got != fmt.Sprint(i) {
			t.Fatalf("the hint just given is %v, want %d", got, i)
		}
	}
	if len(h.byKey) > hintsKept {
		t.Errorf("%d hints are kept", len(h.byKey))
	}
}
