package embedded

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func benchSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := benchValue(1)
	// As in a recycled log, the blocks are there already.
	for range 4096 {
		f.Write(block)
	}
	f.Sync()
	n := 0
	for b.Loop() {
		if _, err := f.WriteAt(block, int64(n%4096)*benchValueSize); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
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
