// Package proa runs a Kubernetes control plane inside a Go program.
//
//	server, err := proa.Start(ctx, proa.Config{InMemory: true})
//	...
//	defer server.Stop()
//	client, err := kubernetes.NewForConfig(server.ClientConfig())
//
// The command proa is the same thing with flags. In tests, package proatest is shorter still.
package proa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/proa-dev/proa/internal/apiserver"
	"github.com/proa-dev/proa/internal/store/embedded"
)

// Version of Proa. The server tells it after the Kubernetes release whose API it serves.
const Version = "0.1"

// KubernetesVersion is the release whose API is served.
const KubernetesVersion = "v1.36.3"

// Parts of a control plane that Config.Disable can name.
const (
	Controllers = "controllers"
	Scheduler   = "scheduler"
	Nodes       = "nodes"
)

// Parts are all of them.
var Parts = []string{Controllers, Scheduler, Nodes}

// Config says what to run. The zero value with a DataDir, or with InMemory, is a whole control plane on a
// port of the loopback interface, with one simulated node.
type Config struct {
	// DataDir holds the store, the keys and the admin kubeconfig. It is made if it is missing.
	DataDir string
	// InMemory keeps everything in memory; nothing is written to disk but what is asked for by name.
	InMemory bool
	// BindAddress to listen on; 127.0.0.1 if empty.
	BindAddress string
	// SecurePort to listen on; 0 is a free one.
	SecurePort int
	// InsecurePort also serves plain HTTP without authentication, to this machine only; 0 is off.
	InsecurePort int
	// Kubeconfig is where the administrator's kubeconfig is written; empty is admin.kubeconfig in DataDir,
	// or nowhere with InMemory.
	Kubeconfig string
	// TokenAuthFile is a CSV file of static bearer tokens: token,user,uid,"group1,group2".
	TokenAuthFile string
	// ServiceClusterIPRange is where Services get their addresses from; 10.0.0.0/24 if empty.
	ServiceClusterIPRange string
	// Nodes is the number of simulated nodes; negative is none.
	Nodes int
	// Disable lists Parts that shall not run.
	Disable []string
	// Durability is sync (the default), batch or memory.
	Durability string
	// WatchHistory is for how long watches can resume; 0 is ten minutes.
	WatchHistory time.Duration
	// Etcd keeps the objects in an etcd cluster, which several servers can share; the zero value keeps them
	// in DataDir.
	Etcd Etcd
	// KubeletCertificateAuthority is a PEM file of the authority of node agents' certificates; empty believes
	// any, as kubelets sign their own by default.
	KubeletCertificateAuthority string
	// ShutdownDelay is how long the server serves on, and is not ready, once it is told to stop: load
	// balancers need a while to notice.
	ShutdownDelay time.Duration
	// GoawayChance is the chance that an HTTP/2 request makes its client connect anew, so that clients
	// spread over several servers behind a load balancer; 0 is never, and the most is 0.02.
	GoawayChance float64
	// Flags are those of the command line, which /flagz shows; nil leaves that path out.
	Flags map[string]string
	// SetVerbosity changes how much is logged: --v, which PUT /debug/flags/v sets; nil leaves that path out.
	SetVerbosity func(v int)
	// Logger gets what an operator should know; nil is slog.Default().
	Logger *slog.Logger
}

// Defaults that more than one place needs.
const (
	defaultBindAddress = "127.0.0.1"
	defaultNodes       = 1
	adminKubeconfig    = "admin.kubeconfig"
	maxGoawayChance    = 0.02
)

// Validate says in a sentence what makes no sense.
func (c *Config) Validate() error {
	if c.DataDir == "" && !c.InMemory {
		return errors.New("a data directory is needed, unless everything is kept in memory")
	}
	if c.BindAddress != "" {
		if _, err := netip.ParseAddr(c.BindAddress); err != nil {
			return fmt.Errorf("bind address %q is not an IP address", c.BindAddress)
		}
	}
	for name, port := range map[string]int{"secure port": c.SecurePort, "insecure port": c.InsecurePort} {
		if port < 0 || port > 65535 {
			return fmt.Errorf("%s %d is not between 0 and 65535", name, port)
		}
	}
	if c.InsecurePort != 0 && c.InsecurePort == c.SecurePort {
		return fmt.Errorf("the secure and the insecure port are both %d", c.SecurePort)
	}
	for _, part := range c.Disable {
		if !slices.Contains(Parts, part) {
			return fmt.Errorf("%q cannot be disabled; the parts are %v", part, Parts)
		}
	}
	if c.ServiceClusterIPRange != "" {
		if _, err := netip.ParsePrefix(c.ServiceClusterIPRange); err != nil {
			return fmt.Errorf("service cluster IP range %q is not a CIDR such as 10.0.0.0/24", c.ServiceClusterIPRange)
		}
	}
	if c.ShutdownDelay < 0 {
		return fmt.Errorf("shutdown delay %v is negative", c.ShutdownDelay)
	}
	if !(c.GoawayChance >= 0 && c.GoawayChance <= maxGoawayChance) {
		return fmt.Errorf("goaway chance %v is not between 0 and %v", c.GoawayChance, maxGoawayChance)
	}
	if err := c.Etcd.validate(c); err != nil {
		return err
	}
	switch embedded.Durability(c.Durability) {
	case "", embedded.Sync, embedded.Batch, embedded.Memory:
	default:
		return fmt.Errorf("durability %q is not one of sync, batch, memory", c.Durability)
	}
	return nil
}

func (c *Config) withDefaults() Config {
	d := *c
	if d.BindAddress == "" {
		d.BindAddress = defaultBindAddress
	}
	if d.Nodes == 0 {
		d.Nodes = defaultNodes
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Kubeconfig == "" && d.DataDir != "" {
		d.Kubeconfig = filepath.Join(d.DataDir, adminKubeconfig)
	}
	return d
}

func (c *Config) runs(part string) bool { return !slices.Contains(c.Disable, part) }

// Server is a running control plane.
type Server struct {
	config   Config
	address  netip.AddrPort
	plane    *plane
	admin    *rest.Config
	stop     context.CancelFunc
	done     chan struct{}
	err      error // why it ended; read after done
	stopOnce sync.Once
}

// Start runs a control plane and returns when it is ready. It ends with the context, or by Stop.
func Start(ctx context.Context, c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if c.DataDir != "" {
		if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
	}
	ctx, stop := context.WithCancel(ctx)
	s := &Server{config: c, stop: stop, done: make(chan struct{})}
	// What the plane is made of outlives ctx: requests under way still need it.
	alive, end := context.WithCancel(context.WithoutCancel(ctx))
	opened := context.AfterFunc(ctx, end)
	var err error
	if s.plane, err = openPlane(alive, c); err != nil {
		stop()
		end()
		return nil, err
	}
	opened()
	s.address = s.plane.address
	if s.admin, err = s.plane.adminConfig(s.URL()); err != nil {
		stop()
		end()
		s.plane.abandon()
		return nil, err
	}
	go func() {
		defer close(s.done)
		s.err = s.plane.run(ctx, end)
	}()
	if err := s.plane.waitReady(ctx, s.done); err != nil {
		s.Stop()
		return nil, errors.Join(err, s.err)
	}
	return s, nil
}

// Stop ends the control plane in good order: watches end, writes under way finish, the store is closed.
func (s *Server) Stop() error {
	s.stopOnce.Do(s.stop)
	<-s.done
	return s.err
}

// Wait returns when the control plane has ended, and why.
func (s *Server) Wait() error {
	<-s.done
	return s.err
}

// Cool lets go of what the server remembers of objects that nobody has asked for since the last call. A
// program that wants to be small calls it once in a while. It returns how many bytes it let go of, and whether
// another call may let go of more.
func (s *Server) Cool() (freed int64, more bool) {
	freed, more = s.plane.cache.Cool()
	return freed + s.plane.store.Cool(), more
}

// URL is where the API is served.
func (s *Server) URL() string {
	return "https://" + net.JoinHostPort(s.address.Addr().String(), strconv.Itoa(int(s.address.Port())))
}

// Kubeconfig is the path of the administrator's kubeconfig, "" if none was written.
func (s *Server) Kubeconfig() string { return s.config.Kubeconfig }

// ClientConfig is a client configuration of the administrator. It is a copy.
func (s *Server) ClientConfig() *rest.Config { return rest.CopyConfig(s.admin) }

// LevelRequests is the level at which the server logs one line for each request.
const LevelRequests = apiserver.LevelRequests
