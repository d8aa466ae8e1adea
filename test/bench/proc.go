package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is one side of the comparison, running.
type server struct {
	name  string
	url   string
	files tlsFiles
	procs []*exec.Cmd
	dir   string
	ready time.Duration // from the start of the first process to /readyz
}

// tlsFiles are the PEM contents that a client needs.
type tlsFiles struct{ ca, cert, key []byte }

// ticks of the operating system's CPU accounting a second. It is 100 on every Linux that Go supports.
const ticks = 100

// cpu is the user and system time that all processes of the server have used.
func (s *server) cpu() (time.Duration, error) {
	var total int64
	for _, p := range s.procs {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
		if err != nil {
			return 0, err
		}
		// The second field is the command in parentheses, which may hold spaces.
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		user, err := strconv.ParseInt(fields[11], 10, 64)
		if err != nil {
			return 0, err
		}
		system, err := strconv.ParseInt(fields[12], 10, 64)
		if err != nil {
			return 0, err
		}
		total += user + system
	}
	return time.Duration(total) * time.Second / ticks, nil
}

// memory is the anonymous and the whole resident memory of all processes, in bytes.
func (s *server) memory() (anonymous, resident int64, err error) {
	for _, p := range s.procs {
		f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
		if err != nil {
			return 0, 0, err
		}
		scan := bufio.NewScanner(f)
		for scan.Scan() {
			name, value, _ := strings.Cut(scan.Text(), ":")
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			switch name {
			case "RssAnon":
				anonymous += n << 10
			case "VmRSS":
				resident += n << 10
			}
		}
		f.Close()
	}
	return anonymous, resident, nil
}

// spawn starts a process of the server, its output in a file of the directory.
func (s *server) spawn(bin string, args ...string) error {
	log, err := os.Create(fmt.Sprintf("%s/%d.log", s.dir, len(s.procs)))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, s.dir
	if err := cmd.Start(); err != nil {
		return err
	}
	s.procs = append(s.procs, cmd)
	return nil
}

// stop ends the processes, the last started first, and removes their files.
func (s *server) stop() {
	for i := len(s.procs) - 1; i >= 0; i-- {
		p := s.procs[i]
		p.Process.Signal(syscall.SIGTERM)
		done := make(chan struct{})
		go func() { p.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(15 * time.Second):
			p.Process.Kill()
			<-done
		}
	}
	os.RemoveAll(s.dir)
}

// logs is what the processes printed, to show when one did not come up.
func (s *server) logs() string {
	var all strings.Builder
	for i := range s.procs {
		data, _ := os.ReadFile(fmt.Sprintf("%s/%d.log", s.dir, i))
		all.Write(data[max(0, len(data)-2000):])
	}
	return all.String()
}
