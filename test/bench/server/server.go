// Package server starts the programs that are compared, each side as its users run it, and accounts for them.
package server

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Shape is what a server is made of. The zero value is an API server alone.
type Shape struct {
	// Whole has controllers and scheduler too.
	Whole bool
	// Nodes is the number of simulated nodes of a whole control plane. 0 is what a side has by itself: none
	// at the peer, one at Proa.
	Nodes int
	// Patience is how long it may take to be ready; 0 is a minute.
	Patience time.Duration
}

// Side starts servers of one kind.
type Side struct {
	Name string
	// Needs are the files without which even its API server cannot start.
	Needs []string
	Start func(Shape) (*Server, error)
}

// Server is one side of the comparison, running.
type Server struct {
	Name string
	URL  string
	// Etcd is the URL of the peer's store, "" where there is none.
	Etcd string
	// UnmadeNodes is how many Node objects are still to be made: kwok lets nodes live that others have made.
	UnmadeNodes int
	// Begun is when its first process started, and Ready how long it took from then to /readyz.
	Begun time.Time
	Ready time.Duration

	files    tlsFiles
	dir      string
	patience time.Duration
	commands []command
	procs    []*exec.Cmd
}

// command is a process of a server, as it is started again after a halt.
type command struct {
	name, bin string
	args      []string
}

func newServer(name string, shape Shape) (*Server, error) {
	s := &Server{Name: name, patience: shape.Patience}
	if s.patience == 0 {
		s.patience = time.Minute
	}
	var err error
	s.dir, err = os.MkdirTemp("", "bench-"+name+"-")
	return s, err
}

// run says that the server has one more process, and starts it.
func (s *Server) run(name, bin string, args ...string) error {
	c := command{name, bin, args}
	s.commands = append(s.commands, c)
	return s.spawn(c)
}

// spawn starts a process, its output in a file of the directory.
func (s *Server) spawn(c command) error {
	log, err := os.Create(s.file(c.name + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	bin, err := filepath.Abs(c.bin) // for it runs in a directory of its own
	if err != nil {
		return err
	}
	cmd := exec.Command(bin, c.args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, s.dir
	// Whoever kills the benchmark shall not leave its servers behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if len(s.procs) == 0 {
		s.Begun = time.Now()
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.procs = append(s.procs, cmd)
	return nil
}

func (s *Server) file(name string) string { return s.dir + "/" + name }

// Halt ends the processes, the last started first. Their files stay, for Restart.
func (s *Server) Halt() {
	for i := len(s.procs) - 1; i >= 0; i-- {
		p := s.procs[i]
		p.Process.Signal(syscall.SIGTERM)
		done := make(chan struct{})
		go func() { p.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(time.Minute):
			p.Process.Kill()
			<-done
		}
	}
	s.procs = nil
}

// Restart starts the processes of a halted server again, over what it had stored.
func (s *Server) Restart() error {
	for _, c := range s.commands {
		if err := s.spawn(c); err != nil {
			return err
		}
	}
	return s.waitReady()
}

// Stop ends the processes and removes their files.
func (s *Server) Stop() {
	s.Halt()
	os.RemoveAll(s.dir)
}

// waitReady polls /readyz, which both sides answer to strangers.
func (s *Server) waitReady() error {
	probe := &http.Client{Transport: insecureTransport(), Timeout: time.Second}
	for time.Since(s.Begun) < s.patience {
		if res, err := probe.Get(s.URL + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				s.Ready = time.Since(s.Begun)
				return nil
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("%s is not ready after %v:\n%s", s.Name, s.patience, s.Logs())
}

// Logs are the last words of its processes, to show when one did not come up.
func (s *Server) Logs() string {
	var all strings.Builder
	for _, c := range s.commands {
		data, _ := os.ReadFile(s.file(c.name + ".log"))
		fmt.Fprintf(&all, "%s: %s\n", c.name, data[max(0, len(data)-2000):])
	}
	return all.String()
}

// freePorts are ports of the loopback interface that nobody listens on now.
func freePorts(n int) ([]string, error) {
	ports := make([]string, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that no port is given twice
		ports[i] = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
