package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/proa-dev/proa/internal/store"
	"github.com/proa-dev/proa/internal/store/embedded"
)

func open(t testing.TB) store.Store {
	t.Helper()
	s, err := embedded.Open(embedded.Options{Durability: embedded.Memory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// write is a backup of a store.
func write(t testing.TB, s store.Store) []byte {
	t.Helper()
	snap, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	var file bytes.Buffer
	if err := Write(context.Background(), &file, snap, "test"); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func state(t testing.TB, s store.Store) map[string]string {
	t.Helper()
	snap, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	all := map[string]string{}
	if err := snap.Range(store.Range{}, func(kv store.KV) bool { all[kv.Key] = string(kv.Value); return true }); err != nil {
		t.Fatal(err)
	}
	return all
}

// filled is a store with n keys, of empty, small and large values, and its state.
func filled(t testing.TB, n int) (store.Store, map[string]string) {
	t.Helper()
	s := open(t)
	for i := range n {
		value := bytes.Repeat([]byte{byte(i)}, i%7*i)
		op := store.Op{Key: fmt.Sprintf("/registry/things/%04d", i), Value: value, Expect: store.AnyRevision}
		if _, err := s.Commit(context.Background(), op); err != nil {
			t.Fatal(err)
		}
	}
	return s, state(t, s)
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 99, 100, 101, 1000} {
		from, want := filled(t, n)
		rev, _ := from.Revision(t.Context())
		file := write(t, from)
		to := open(t)
		told := 0
		found, err := Restore(t.Context(), to, bytes.NewReader(file), Options{Ahead: 5000, Progress: func(string, int64, int64) { told++ }})
		if err != nil {
			t.Fatal(err)
		}
		if found.Keys != n || found.Header.Revision != rev || found.Bytes != int64(len(file)) || n > 0 && told == 0 {
			t.Errorf("%d keys: %+v, progress told %d times", n, found, told)
		}
		got := state(t, to)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d keys: %d came back", n, len(got))
		}
		after, _ := to.Revision(t.Context())
		oldest, _ := to.Oldest(t.Context())
		if after < rev+5000 || oldest != after {
			t.Errorf("%d keys: revision %d after a backup of %d; oldest %d", n, after, rev, oldest)
		}
		if _, err := to.Events(t.Context(), rev+100); !errors.Is(err, store.ErrCompacted) {
			t.Errorf("a watcher from before: %v", err)
		}
	}
}

func TestRestoreGivesTimeToLive(t *testing.T) {
	from, _ := filled(t, 3)
	to := open(t)
	o := Options{Ahead: 1, TTL: func(key string) time.Duration {
		if strings.HasSuffix(key, "1") {
			return time.Second
		}
		return 0
	}}
	if _, err := Restore(t.Context(), to, bytes.NewReader(write(t, from)), o); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); len(state(t, to)) == 3; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the key is still there")
		}
	}
	if _, err := to.Get(t.Context(), "/registry/things/0001"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("the wrong key went: %v", state(t, to))
	}
}

func TestRestoreRefuses(t *testing.T) {
	from, _ := filled(t, 10)
	file := write(t, from)
	rev, _ := from.Revision(t.Context())
	if _, err := Restore(t.Context(), from, bytes.NewReader(file), Options{Ahead: 1}); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("into a store with keys: %v", err)
	}
	if now, _ := from.Revision(t.Context()); now != rev {
		t.Errorf("the store that was refused went from %d to %d", rev, now)
	}
	to := open(t)
	if _, err := Restore(t.Context(), to, bytes.NewReader(file[:len(file)-1]), Options{Ahead: 1}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a file cut short: %v", err)
	}
	if now, _ := to.Revision(t.Context()); now != 0 {
		t.Errorf("a damaged file was written up to revision %d", now)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{Ahead: 1 << 40, Progress: func(string, int64, int64) { cancel() }}
	if _, err := Restore(ctx, to, bytes.NewReader(file), o); !errors.Is(err, context.Canceled) {
		t.Errorf("a restore that was stopped: %v", err)
	}
	if _, err := to.Get(t.Context(), Marker); err != nil {
		t.Errorf("a restore that was stopped left no marker: %v", err)
	}
}

// Every byte counts: whichever is changed, and wherever the file is cut, it is noticed.
func TestDamage(t *testing.T) {
	s, _ := filled(t, 12)
	file := write(t, s)
	if _, err := Verify(bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	for i := range file {
		if _, err := Verify(bytes.NewReader(file[:i])); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut after %d bytes: %v", i, err)
		}
		bad := bytes.Clone(file)
		bad[i] ^= 1 << rand.IntN(8)
		if _, err := Verify(bytes.NewReader(bad)); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	if _, err := Verify(bytes.NewReader(append(bytes.Clone(file), 0))); !errors.Is(err, ErrDamaged) {
		t.Fatalf("a byte more: %v", err)
	}
	if _, err := Verify(io.MultiReader(bytes.NewReader(file[:100]), failing{})); err == nil || errors.Is(err, ErrDamaged) {
		t.Fatalf("a disk that fails is no damaged backup: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("input/output error") }

func FuzzVerify(f *testing.F) {
	for _, n := range []int{0, 3} {
		s, _ := filled(f, n)
		f.Add(write(f, s))
	}
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Verify(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if r.Bytes != int64(len(data)) {
			t.Fatalf("%d bytes of %d were read", r.Bytes, len(data))
		}
	})
}

// What is read is what was written: the frames are made from the input, so that the fuzzer gets past the sums.
func FuzzFrames(f *testing.F) {
	f.Add([]byte(`{"revision":5}`), []byte{1, 1, 'a', 'v'}, []byte{2, 1, 'b'})
	f.Add([]byte(`{"revision":1}`), []byte{1}, []byte{1, 200})
	f.Fuzz(func(t *testing.T, header, first, second []byte) {
		var file bytes.Buffer
		w, err := newWriter(&file, Header{})
		if err != nil {
			t.Fatal(err)
		}
		w.sum.Reset()
		file.Reset()
		w.out.Reset(&file)
		w.write([]byte(magic))
		w.frame(append([]byte{kindHeader}, header...))
		w.frame(append([]byte{kindKey}, first...))
		w.frame(append([]byte{kindKey}, second...))
		w.trailer(2)
		r, err := NewReader(&file)
		if err != nil {
			return
		}
		last := ""
		for {
			kv, err := r.Next()
			if err != nil {
				if err != io.EOF && !errors.Is(err, ErrDamaged) {
					t.Fatalf("error %v", err)
				}
				return
			}
			if kv.Key <= last || kv.Revision <= 0 || kv.Revision > r.Header.Revision {
				t.Fatalf("%+v after %q in a backup of revision %d", kv, last, r.Header.Revision)
			}
			last = kv.Key
		}
	})
}

// BenchmarkAdvance is what a restore does for every revision that the store is behind.
func BenchmarkAdvance(b *testing.B) {
	s, err := embedded.Open(embedded.Options{Dir: b.TempDir(), Durability: embedded.Batch})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ResetTimer()
	if err := advance(context.Background(), s, int64(b.N), func(string, int64, int64) {}); err != nil {
		b.Fatal(err)
	}
}
