package server

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// Figures of a server one of whose processes has ended are refused.
func TestCheck(t *testing.T) {
	s, err := newServer("test", Shape{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if err := s.run("stays", "/bin/sleep", "600"); err != nil {
		t.Fatal(err)
	}
	if err := s.run("ends", "/bin/sh", "-c", "echo why; exit 1"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, s.procs[1].Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "sh has ended") || !strings.Contains(err.Error(), "ends: why") {
		t.Errorf("got %v", err)
	}
	s.procs = s.procs[:1]
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}
