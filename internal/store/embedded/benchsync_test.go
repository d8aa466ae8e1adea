package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/proa-dev/proa/internal/store"
)

func benchSync(b *testing.B) {
	f, err := machine().Create(filepath.Join(b.TempDir(), "log"), vfs.WriteCategoryUnspecified)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := benchValue(1)
	// As in the log, the blocks are there already.
	for range 4096 {
		f.Write(block)
	}
	f.Sync()
	n := 0
	for b.Loop() {
		if _, err := f.WriteAt(block, int64(n%4096)*benchValueSize); err != nil {
			b.Fatal(err)
		}
		if err := f.SyncData(); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// cpuTime is what the process has used so far; on a busy machine it says more than the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// written is how much the log has, all of which was written to it.
func (l *log) written() (n int64) {
	for _, s := range l.files.byID {
		n += s.size.Load()
	}
	return n - l.last.size.Load() + l.end
}

// BenchmarkWritten says what a write of a value of 1,170 bytes costs the disk, with sixteen writers: what goes to the log,
// to tables when memory tables are full, and what the process dirtied, which is whole pages.
func BenchmarkWritten(b *testing.B) {
	for _, update := range []bool{false, true} {
		b.Run(fmt.Sprintf("update=%t", update), func(b *testing.B) {
			e := openBench(b)
			before, metrics := dirtied(b), e.db.Metrics()
			var next atomic.Int64
			var all sync.WaitGroup
			for w := range 16 {
				all.Go(func() {
					op := store.Op{Key: benchKey(int64(w)), Value: benchValue(uint64(w))[:1170]}
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if !update {
							op.Key = benchKey(i)
						}
						rev, err := e.Commit(context.Background(), op)
						if err != nil {
							b.Error(err)
							return
						}
						if update {
							op.Expect = rev
						}
					}
				})
			}
			all.Wait()
			now := e.db.Metrics()
			per := func(n uint64) float64 { return float64(n) / float64(b.N) }
			b.ReportMetric(per(uint64(e.log.written())), "log-B/op")
			b.ReportMetric(per(now.Levels[0].TableBytesFlushed-metrics.Levels[0].TableBytesFlushed), "flushed-B/op")
			b.ReportMetric(per(dirtied(b)-before), "dirtied-B/op")
		})
	}
}

// dirtied is how many bytes of the page cache the process has dirtied so far, for the disk to take.
func dirtied(b *testing.B) (n uint64) {
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Skip(err)
	}
	_, rest, _ := strings.Cut(string(data), "\nwrite_bytes: ")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		b.Fatal(err)
	}
	return n
}
