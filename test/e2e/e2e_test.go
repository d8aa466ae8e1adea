// Package e2e_test drives the built binary and kubectl as a user does: as processes, by scripts that a user
// could type. Each script in testdata has a control plane of its own, first in one process and then in
// several. The script's language is testscript's, with a few words more:
//
//	kubectl ARG...            runs the embedded kubectl
//	eventually ARG... -- RE   runs it until its output matches, for two minutes at most
//	watch FILE ARG...         runs it beside the script, once it has shown something into FILE
//	watched FILE -- RE        ends that when what it has shown matches
//	restart [SIGNAL]          ends the server by a signal (TERM) and starts it again
//
// PROA names the binary; `make e2e` sets it.
package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/proa-dev/proa/test/ports"
)

const patience = 2 * time.Minute

func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("PROA")
	if path == "" {
		path = "../../bin/proa"
	}
	abs, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(abs)
	}
	if err != nil {
		t.Fatalf("no binary to test (%v): run make e2e", err)
	}
	return abs
}

func TestOneProcess(t *testing.T) {
	run(t, "testdata", false)
	run(t, "testdata/one", false) // what holds for one process alone
}

func TestSeveralProcesses(t *testing.T) { run(t, "testdata", true) }

func run(t *testing.T, dir string, several bool) {
	bin := binary(t)
	clusters := &sync.Map{} // work directory → *cluster
	of := func(ts *testscript.TestScript) *cluster {
		c, _ := clusters.Load(ts.Getenv("WORK"))
		return c.(*cluster)
	}
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			c := &cluster{bin: bin, dir: env.WorkDir, several: several, watches: map[string]*process{}}
			env.Setenv("KUBECONFIG", filepath.Join(env.WorkDir, "kubeconfig"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("DATA", filepath.Join(env.WorkDir, "data"))
			env.Setenv("EDITOR", filepath.Join(env.WorkDir, "editor.sh"))
			clusters.Store(env.WorkDir, c)
			env.Defer(func() { c.stop(syscall.SIGTERM) })
			if err := c.start(); err != nil {
				return err
			}
			env.Setenv("PROA", bin)
			env.Setenv("PORT", c.port)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"kubectl": func(ts *testscript.TestScript, neg bool, args []string) {
				err := ts.Exec(bin, append([]string{"kubectl"}, args...)...)
				if neg && err == nil {
					ts.Fatalf("kubectl %v should have failed", args)
				}
				if !neg && err != nil {
					ts.Fatalf("kubectl %v: %v", args, err)
				}
			},
			"eventually": eventually(bin),
			"watch": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) < 2 {
					ts.Fatalf("usage: watch FILE ARG...")
				}
				ts.Check(of(ts).watch(ts, args[0], args[1:]))
			},
			"watched": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) != 3 || args[1] != "--" {
					ts.Fatalf("usage: watched FILE -- REGEXP")
				}
				ts.Check(of(ts).watched(ts, args[0], args[2]))
			},
			"restart": func(ts *testscript.TestScript, _ bool, args []string) {
				signal := syscall.SIGTERM
				if slices.Contains(args, "KILL") {
					signal = syscall.SIGKILL
				}
				c := of(ts)
				err := c.stop(signal)
				if signal == syscall.SIGTERM && err != nil {
					ts.Fatalf("the server did not end well: %v\n%s", err, c.logs())
				}
				if err := c.start(); err != nil {
					ts.Fatalf("restart: %v", err)
				}
			},
		},
	})
}

// eventually runs kubectl until its output matches.
func eventually(bin string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		i := slices.Index(args, "--")
		if i < 0 || i != len(args)-2 {
			ts.Fatalf("usage: eventually ARG... -- REGEXP")
		}
		re, err := regexp.Compile("(?s)" + args[i+1])
		if err != nil {
			ts.Fatalf("%v", err)
		}
		var out []byte
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			cmd := exec.Command(bin, append([]string{"kubectl"}, args[:i]...)...)
			cmd.Env = []string{"KUBECONFIG=" + ts.Getenv("KUBECONFIG"), "HOME=" + ts.Getenv("HOME")}
			cmd.Dir = ts.Getenv("WORK")
			out, err = cmd.CombinedOutput()
			if re.Match(out) != neg {
				return
			}
		}
		ts.Fatalf("kubectl %v never came to match %q (negated: %v), last: %v\n%s", args[:i], args[i+1], neg, err, out)
	}
}

// cluster is a control plane as one process or several.
type cluster struct {
	bin, dir string
	several  bool
	port     string
	running  []*process
	watches  map[string]*process // by file
}

type process struct {
	*exec.Cmd
	out *output
}

// output is what a process prints, readable while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (c *cluster) start() error {
	data := filepath.Join(c.dir, "data")
	command := []string{"server", "--nodes", "3"}
	if c.several {
		command = []string{"apiserver"}
	}
	if c.port == "" {
		port, err := ports.Free() // it is the server's while that restarts
		if err != nil {
			return err
		}
		c.port = port
	}
	api := append(command, "--data-dir", data, "--secure-port", c.port, "--kubeconfig", filepath.Join(c.dir, "kubeconfig"), "-v", "1")
	if err := c.spawn(`https://127\.0\.0\.1:`+c.port, api...); err != nil {
		return err
	}
	if !c.several {
		return nil
	}
	for _, part := range [][]string{{"controller-manager"}, {"scheduler"}, {"kubelet", "--nodes", "3"}} {
		file := filepath.Join(data, part[0]+".kubeconfig")
		if err := c.spawn("works for the server", append(part, "--kubeconfig", file, "-v", "1")...); err != nil {
			return err
		}
	}
	return nil
}

// spawn starts the binary and waits until it prints what tells that it works.
func (c *cluster) spawn(ready string, args ...string) error {
	p := &process{Cmd: exec.Command(c.bin, args...), out: &output{}}
	p.Stdout, p.Stderr = p.out, p.out
	if err := p.Start(); err != nil {
		return err
	}
	c.running = append(c.running, p)
	return p.shows(ready)
}

// shows waits until what a process prints matches.
func (p *process) shows(pattern string) error {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if re.MatchString(p.out.String()) {
			return nil
		}
	}
	return fmt.Errorf("%s never showed %q:\n%s", strings.Join(p.Args, " "), pattern, p.out)
}

// watch runs kubectl until watched ends it.
func (c *cluster) watch(ts *testscript.TestScript, file string, args []string) error {
	p := &process{Cmd: exec.Command(c.bin, append([]string{"kubectl"}, args...)...), out: &output{}}
	p.Stdout = p.out
	p.Env = []string{"KUBECONFIG=" + ts.Getenv("KUBECONFIG"), "HOME=" + ts.Getenv("HOME")}
	if err := p.Start(); err != nil {
		return err
	}
	ts.Defer(func() {
		p.Process.Kill()
		p.Wait()
	})
	c.watches[file] = p
	return p.shows(".")
}

// watched waits until a watch has shown what matches, and writes all that it has shown to its file.
func (c *cluster) watched(ts *testscript.TestScript, file, pattern string) error {
	p := c.watches[file]
	if p == nil {
		return fmt.Errorf("nothing is watched into %s", file)
	}
	if err := p.shows("(?s)" + pattern); err != nil {
		return err
	}
	return os.WriteFile(ts.MkAbs(file), []byte(p.out.String()), 0o600)
}

// stop ends all processes, the server last, and returns how the server ended.
func (c *cluster) stop(signal syscall.Signal) (err error) {
	for _, p := range slices.Backward(c.running) {
		p.Process.Signal(signal)
		err = p.Wait()
	}
	c.running = nil
	return err
}

func (c *cluster) logs() string {
	var all strings.Builder
	for _, p := range c.running {
		all.WriteString(p.out.String())
	}
	return all.String()
}
