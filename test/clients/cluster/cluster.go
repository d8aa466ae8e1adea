// Package cluster starts the binary for a test: a control plane in a process of its own.
package cluster

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/proa-dev/proa/test/ports"
)

// Patience is for how long tests wait for what must happen.
const Patience = 2 * time.Minute

// Cluster is a running control plane.
type Cluster struct {
	URL        string
	Kubeconfig string // a file, the administrator's
	Dir        string // the test's own, where Kubeconfig lies
	Data       string // the server's data directory
	bin        string
	port       string
	args       []string
	process    *exec.Cmd
	log        *log
}

// Binary is the path of the binary under test: PROA, or bin/proa of the checkout.
func Binary() (string, error) {
	path := os.Getenv("PROA")
	if path == "" {
		root, err := Root()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, "bin", "proa")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no binary to test: run make clients: %w", err)
	}
	return filepath.Abs(path)
}

// Root is the checkout's directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "proa.go")); missing == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no checkout above the working directory: %v", err)
}

// Start runs `proa server` with further arguments until the test ends. It fails the test if that does not
// work, or if the server does not end well.
func Start(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c, err := Run(t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("the server did not end well: %v", err)
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", c.log)
		}
	})
	return c
}

// Run is Start for who has no testing.TB; the caller stops the cluster.
func Run(dir string, args ...string) (*Cluster, error) {
	bin, err := Binary()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, Kubeconfig: filepath.Join(dir, "kubeconfig"), Data: filepath.Join(dir, "data"), log: &log{}, bin: bin, args: args}
	if c.port, err = ports.Free(); err != nil { // it is the server's while that restarts
		return nil, err
	}
	return c, c.start()
}

func (c *Cluster) start() error {
	c.process = exec.Command(c.bin, append([]string{"server", "--data-dir", c.Data, "--secure-port", c.port, "--kubeconfig", c.Kubeconfig, "-v", "1"}, c.args...)...)
	out, err := c.process.StdoutPipe()
	if err != nil {
		return err
	}
	c.process.Stderr = c.log
	if err := c.process.Start(); err != nil {
		return err
	}
	late := time.AfterFunc(Patience, func() { c.process.Process.Kill() })
	defer late.Stop()
	url := regexp.MustCompile(`https://127\.0\.0\.1:\d+`)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if c.URL = url.FindString(lines.Text()); c.URL != "" {
			return nil
		}
	}
	return fmt.Errorf("%s is not ready: %v\n%s", strings.Join(c.process.Args, " "), c.process.Wait(), c.log)
}

// Restart ends the server and starts it again, on the same port.
func (c *Cluster) Restart() error {
	if err := c.Stop(); err != nil {
		return err
	}
	return c.start()
}

// Stop ends the server and says how it ended.
func (c *Cluster) Stop() error {
	if err := c.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := time.AfterFunc(Patience, func() { c.process.Process.Kill() })
	defer late.Stop()
	return c.process.Wait()
}

// Config is the administrator's; the client neither limits its requests nor prints the server's warnings.
func (c *Cluster) Config(t testing.TB) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	return config
}

// Eventually waits until what it is given no longer returns an error.
func Eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	err := f()
	for end := time.Now().Add(Patience); err != nil && time.Now().Before(end); err = f() {
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Spy returns a copy of the configuration that tells of every request.
func Spy(config *rest.Config, tell func(*http.Request)) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			tell(r)
			return next.RoundTrip(r)
		})
	})
	return config
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// log is what the server writes, readable while it runs.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
