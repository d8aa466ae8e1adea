package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/proa-dev/proa/internal/store"
)

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, dir string)
		want    string
	}{
		"a file in the place of the directory": {
			func(t *testing.T, dir string) { writeFile(t, dir, "x") }, "not a directory"},
		"a directory with other things in it": {
			func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, "notes.txt"), "x") }, "holds notes.txt but no store"},
		"another program's Pebble": {
			func(t *testing.T, dir string) {
				db, err := pebble.Open(dir, &pebble.Options{Logger: pebbleLogger{log: Options{}.withDefaults().Logger}})
				if err != nil {
					t.Fatal(err)
				}
				db.Close()
			}, "but no store"},
		"a newer format": {
			func(t *testing.T, dir string) {
				writeFile(t, filepath.Join(dir, markerName), fmt.Sprintf("proa store, format %d, and what else there may be", formatVersion+1))
			}, "a newer version wrote it"},
		"a damaged marker": {
			func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, markerName), "proa sto") }, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			c.prepare(t, dir)
			before := contents(t, dir)
			_, err := Open(Options{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("error %v; want %q", err, c.want)
			}
			if after := contents(t, dir); after != before {
				t.Fatalf("opening changed the directory from\n%s\nto\n%s", before, after)
			}
		})
	}
}

func TestOpenInUse(t *testing.T) {
	opts := Options{Dir: t.TempDir()}
	openTest(t, opts)
	_, err := Open(opts)
	if err == nil || !strings.Contains(err.Error(), opts.Dir+": the directory is in use by another server") {
		t.Fatal(err)
	}
}

func TestOptions(t *testing.T) {
	for want, opts := range map[string]Options{
		"needs a directory":          {},
		"is not one of sync":         {Dir: "/x", Durability: "eventual"},
		"intervals cannot be":        {Dir: "/x", WatchHistory: -1},
		"sizes cannot be":            {Dir: "/x", CacheBytes: -1},
		"memory table is from 1 MiB": {Dir: "/x", MemTableBytes: 5},
	} {
		if _, err := Open(opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", opts, err, want)
		}
	}
}

// TestDamage flips bytes of every kind of file. The store may refuse to open or to read, with ErrCorrupt
// or Pebble's word for it; it must never serve a value, an event or a revision that is not what was
// written, nor take a damaged store for an empty one.
func TestDamage(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	const keys = 300
	value := func(key string, n int) string { return strings.Repeat(fmt.Sprintf("%s is %d. ", key, n), 50) }
	made := t.TempDir()
	e, err := Open(Options{Dir: made})
	if err != nil {
		t.Fatal(err)
	}
	write := func(from, to int) {
		for i := from; i < to; i++ {
			key := fmt.Sprintf("key%d", i%keys)
			if _, err := e.Commit(context.Background(), store.Op{Key: key, Value: []byte(value(key, i)), Expect: store.AnyRevision}); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(0, keys*2)
	if err := e.db.Flush(); err != nil { // so that there is a table, and a log with more
		t.Fatal(err)
	}
	write(keys*2, keys*3)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	refused := 0
	for round := range rounds(t, 60) {
		dir := filepath.Join(t.TempDir(), "store")
		if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
			t.Fatal(err)
		}
		name := damageOne(t, dir, r)
		kinds[filepath.Ext(name)]++
		e, err := Open(Options{Dir: dir, TailBytes: 1})
		if err == nil {
			err = readAll(t, e, keys, value)
			e.Close()
		}
		if err != nil {
			refused++
			if !errors.Is(err, store.ErrCorrupt) && !strings.Contains(err.Error(), "pebble") && !strings.Contains(err.Error(), "format") {
				t.Fatalf("round %d: %s: the error does not tell of damage: %v", round, name, err)
			}
		}
	}
	t.Logf("damaged %v; %d times it was noticed", kinds, refused)
	if refused == 0 {
		t.Fatal("no damage was noticed")
	}
}

// TestDamageAtTheLogsEnd damages each byte of the last commit in the log. After a crash that may be where it tore the log;
// after an orderly end it is a lost commit, and must be noticed at the latest by who reads it.
func TestDamageAtTheLogsEnd(t *testing.T) {
	made := vfs.NewCrashableMem()
	e, err := Open(Options{Dir: "/store", FS: made})
	if err != nil {
		t.Fatal(err)
	}
	put(t, e, "a", "first")
	begin := e.log.position()
	put(t, e, "a", "the last value")
	end := e.log.position()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	// What only replay needs is before the entry.
	entry := begin.offset + frameHeader + int64(len(appendUnit(nil, unitCommit, time.Now().UnixMilli(), 1)))
	for at := begin.offset; at < end.offset; at++ {
		fs := copyOf(made)
		edit(t, fs, segmentPath(end.segment), func(data []byte) []byte { data[at] ^= 1 << (at % 8); return data })
		e, err := Open(Options{Dir: "/store", FS: fs, TailBytes: 1})
		if err == nil {
			err = readLast(t, e)
			e.Close()
		}
		if at >= entry && !errors.Is(err, store.ErrCorrupt) || at < entry && err != nil {
			t.Fatalf("byte %d of the frame at %v: %v", at-begin.offset, begin, err)
		}
	}
}

// readLast reads the last commit in all ways.
func readLast(t *testing.T, e *Engine) error {
	t.Helper()
	ctx := context.Background()
	rev, err := e.Revision(ctx)
	if err != nil || rev != 2 {
		t.Fatalf("revision %d, %v, after an orderly end at 2", rev, err)
	}
	kv, err := e.Get(ctx, "a")
	if err == nil && string(kv.Value) != "the last value" {
		t.Fatalf("a is %q", kv.Value)
	}
	st, eventsErr := e.Events(ctx, 1)
	if eventsErr == nil {
		var events []store.Event
		if events, eventsErr = st.Next(ctx); eventsErr == nil && string(events[0].Value) != "the last value" {
			t.Fatalf("the last event is %q", events[0].Value)
		}
	}
	if (err == nil) != (eventsErr == nil) {
		t.Fatalf("get: %v, but events: %v", err, eventsErr)
	}
	return err
}

// damageOne flips one bit within the used part of one file.
func damageOne(t *testing.T, dir string, r *rand.Rand) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for {
		path := filepath.Join(dir, entries[r.IntN(len(entries))].Name())
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) == 0 {
			continue
		}
		data[r.IntN(len(data))] ^= 1 << r.IntN(8)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

// readAll reads all keys and all events. What is read must be right; what cannot be read is the error.
func readAll(t *testing.T, e *Engine, keys int, value func(string, int) string) error {
	t.Helper()
	ctx := context.Background()
	rev, err := e.Revision(ctx)
	if err != nil {
		return err
	}
	if rev != int64(keys*3) {
		t.Fatalf("the store came up at revision %d of %d", rev, keys*3)
	}
	var errs []error
	for k := range keys {
		key := fmt.Sprintf("key%d", k)
		kv, err := e.Get(ctx, key)
		if err == nil && string(kv.Value) != value(key, keys*2+k) {
			t.Fatalf("%s is %q", key, kv.Value)
		}
		errs = append(errs, err)
	}
	st, err := e.Events(ctx, 0)
	for err == nil && st.Reached() < rev {
		var events []store.Event
		events, err = st.Next(ctx)
		for _, ev := range events {
			if string(ev.Value) != value(ev.Key, int(ev.Revision-1)) {
				t.Fatalf("event %d: %s is %q", ev.Revision, ev.Key, ev.Value)
			}
		}
	}
	return errors.Join(append(errs, err)...)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// contents lists a directory's files with their bytes.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var text strings.Builder
	filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			data, _ := os.ReadFile(path)
			fmt.Fprintf(&text, "%s %x\n", path, data)
		}
		return nil
	})
	return text.String()
}
