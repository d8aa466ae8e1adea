package embedded

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/proa-dev/proa/internal/store"
)

// BenchmarkReadAll reads all values after a start, the files being in the machine's cache or on the device alone. The keys
// were written in one order, and again in another.
func BenchmarkReadAll(b *testing.B) {
	const keys = 300_000
	opts := Options{Dir: b.TempDir(), WatchHistoryBytes: 1 << 20}
	scatter(b, opts, keys)
	for _, cold := range []bool{false, true} {
		name := "cached"
		if cold {
			name = "cold"
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if cold {
					b.StopTimer()
					forget(b, opts.Dir)
					b.StartTimer()
				}
				if n := readAllOf(b, opts); n != keys {
					b.Fatalf("%d of %d keys", n, keys)
				}
			}
		})
	}
}

func scatter(b *testing.B, opts Options, keys int64) {
	e, err := Open(opts)
	if err != nil {
		b.Fatal(err)
	}
	const writers = 64
	var all sync.WaitGroup
	for w := range int64(writers) {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			op := store.Op{Value: benchValue(uint64(w)), Expect: store.AnyRevision}
			for i := w; i < 2*keys; i += writers {
				if op.Key = benchKey(i); i >= keys {
					op.Key = benchKey(r.Int64N(keys))
				}
				if _, err := e.Commit(context.Background(), op); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}

// forget has the machine drop what it has of the files.
func forget(b *testing.B, dir string) {
	paths, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		const dontNeed = 4 // POSIX_FADV_DONTNEED
		if _, _, errno := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0); errno != 0 {
			b.Fatal(errno)
		}
		f.Close()
	}
}

func readAllOf(b *testing.B, opts Options) (n int) {
	e, err := Open(opts)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	s := openSnapshot(b, e)
	defer s.Close()
	if err := s.Range(store.Range{Lent: true}, func(store.KV) bool { n++; return true }); err != nil {
		b.Fatal(err)
	}
	return n
}
