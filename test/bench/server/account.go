package server

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the user and system time that all processes have used, those of threads that ended included.
//
// It is read from the CPU clock of each process (clock_getcpuclockid(3)), which counts in nanoseconds what the
// scheduler accounts, where /proc/PID/stat counts in ticks of 10 ms.
func (s *Server) CPU() (time.Duration, error) {
	var total time.Duration
	for _, p := range s.procs {
		used, err := cpuOf(p.Process.Pid)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.Path, err)
		}
		total += used
	}
	return total, nil
}

// The low bits of a process's clock: the process as a whole, as the scheduler accounts it.
const scheduled = 2

func cpuOf(pid int) (time.Duration, error) {
	var at unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &at); err != nil {
		return 0, err
	}
	return time.Duration(at.Nano()), nil
}

// Memory is the anonymous and the whole resident memory of all processes, in bytes.
func (s *Server) Memory() (anonymous, resident int64, err error) {
	for _, p := range s.procs {
		status, err := living(p)
		if err != nil {
			return 0, 0, err
		}
		anonymous += status["RssAnon"] << 10
		resident += status["VmRSS"] << 10
	}
	return anonymous, resident, nil
}

// Check fails if one of the processes has ended: figures of those that are left would flatter.
func (s *Server) Check() error {
	for _, p := range s.procs {
		if _, err := living(p); err != nil {
			return fmt.Errorf("%w:\n%s", err, s.Logs())
		}
	}
	return nil
}

// living is the status of a process that has memory, which one that ended has not.
func living(p *exec.Cmd) (map[string]int64, error) {
	status, err := fields(p.Process.Pid, "status")
	if _, ok := status["VmRSS"]; !ok && err == nil {
		err = fmt.Errorf("%s has ended", filepath.Base(p.Path))
	}
	return status, err
}

// Written is what all processes caused to be written to disk, in bytes: what they dirtied in the page cache
// counts when it is dirtied.
func (s *Server) Written() (total int64, err error) {
	for _, p := range s.procs {
		io, err := fields(p.Process.Pid, "io")
		if err != nil {
			return 0, err
		}
		total += io["write_bytes"]
	}
	return total, nil
}

// fields are the numbers of a file of /proc/PID that has lines of the form "name: number [kB]".
func fields(pid int, name string) (map[string]int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := map[string]int64{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err == nil {
			all[key] = n
		}
	}
	return all, lines.Err()
}
