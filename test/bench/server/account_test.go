package server

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// The clock of a process counts what getrusage(2) tells the process itself.
func TestCPUClock(t *testing.T) {
	used := func() time.Duration {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			t.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	before := used()
	got, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	after := used()
	const grain = 2 * time.Microsecond // of getrusage, for user and system time
	if got < before-grain || got > after+grain {
		t.Errorf("the clock says %v, getrusage %v before and %v after", got, before, after)
	}
}

func TestFields(t *testing.T) {
	status, err := fields(os.Getpid(), "status")
	if err != nil {
		t.Fatal(err)
	}
	if status["VmRSS"] <= 0 || status["RssAnon"] <= 0 || status["RssAnon"] > status["VmRSS"] {
		t.Errorf("resident %d kB, anonymous of it %d kB", status["VmRSS"], status["RssAnon"])
	}
}
