package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/proa-dev/proa"
	"github.com/proa-dev/proa/internal/footprint"
)

// serverFlags are the flags of `proa server` beside those that are the control plane's own.
type serverFlags struct {
	proa.Config
	disable   string
	verbosity int
}

func serverCommand() *cobra.Command {
	f := &serverFlags{}
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a whole control plane: API server, controllers, scheduler and nodes in one process",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.Flags = shown(cmd.Flags())
			return f.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	f.add(cmd.Flags())
	cmd.Flags().IntVar(&f.Nodes, "nodes", 1, "number of simulated nodes, which run pods in name only; 0 is none")
	cmd.Flags().StringVar(&f.disable, "disable", "", "parts not to run, separated by commas: "+strings.Join(proa.Parts, ", "))
	return cmd
}

// add are the flags of everything that serves the API.
func (f *serverFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.DataDir, "data-dir", defaultDataDir(), "directory of the store, the keys and the admin kubeconfig")
	flags.BoolVar(&f.InMemory, "in-memory", false, "keep everything in memory, and lose it on exit")
	flags.StringVar(&f.BindAddress, "bind-address", "127.0.0.1", "address to listen on")
	flags.IntVar(&f.SecurePort, "secure-port", 6443, "port to serve HTTPS on; 0 takes a free one")
	flags.IntVar(&f.InsecurePort, "insecure-port", 0, "port to serve plain HTTP on, to this machine only, without any authentication; 0 is off")
	flags.StringVar(&f.Kubeconfig, "kubeconfig", "", "where to write the administrator's kubeconfig (default admin.kubeconfig in the data directory)")
	flags.StringVar(&f.TokenAuthFile, "token-auth-file", "", `file of static bearer tokens, a line each: token,user,uid,"group1,group2"`)
	flags.StringVar(&f.ServiceClusterIPRange, "service-cluster-ip-range", "10.0.0.0/24", "CIDR that Services get their addresses from")
	flags.StringVar(&f.Durability, "durability", "sync", "when a write is acknowledged: sync (it is on disk), batch (it will be within 100ms), memory (it never is)")
	flags.DurationVar(&f.WatchHistory, "watch-history", 10*time.Minute, "for how long a watch can resume where it was, across restarts too")
	flags.StringVar(&f.KubeletCertificateAuthority, "kubelet-certificate-authority", "", "PEM file of the authority of kubelets' certificates; without, any certificate of theirs is believed")
	flags.DurationVar(&f.ShutdownDelay, "shutdown-delay-duration", 0, "how long to serve on, with /readyz failing, once told to stop")
	flags.Float64Var(&f.GoawayChance, "goaway-chance", 0, "chance, from 0 to 0.02, that an HTTP/2 request makes its client connect anew, to spread clients over servers")
	f.addEtcd(flags)
	flags.IntVarP(&f.verbosity, "v", "v", 0, "what to log: 0 warnings, 1 events of the server, 3 one line a request, 4 everything")
}

// addEtcd are the flags that say where etcd is.
func (f *serverFlags) addEtcd(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.Etcd.Servers, "etcd-servers", nil, "URLs of an etcd cluster to keep the objects in, for several servers; without, they are in the data directory")
	flags.StringVar(&f.Etcd.Prefix, "etcd-prefix", "/registry", "what all keys in etcd begin with")
	flags.StringVar(&f.Etcd.CAFile, "etcd-cafile", "", "PEM file of the authority of etcd's certificates")
	flags.StringVar(&f.Etcd.CertFile, "etcd-certfile", "", "PEM file of the certificate to show to etcd")
	flags.StringVar(&f.Etcd.KeyFile, "etcd-keyfile", "", "PEM file of that certificate's key")
}

func (f *serverFlags) run(ctx context.Context, out io.Writer) error {
	begin := time.Now()
	f.Logger, f.SetVerbosity = newLogger(f.verbosity)
	slog.SetDefault(f.Logger)
	if f.disable != "" {
		f.Disable = strings.Split(f.disable, ",")
	}
	if f.Nodes < 0 {
		return usageError{fmt.Errorf("--nodes %d is negative", f.Nodes)}
	}
	if f.Nodes == 0 {
		f.Nodes = -1 // the library's zero is its default
	}
	if f.InMemory {
		f.DataDir = ""
	}
	if err := f.Validate(); err != nil {
		return usageError{err}
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Before the start, which makes much garbage where there are many objects.
	var started atomic.Pointer[proa.Server]
	go (&footprint.Keeper{Cool: func() (freed int64, more bool) {
		if s := started.Load(); s != nil {
			return s.Cool()
		}
		return 0, false
	}}).Run(ctx)
	s, err := proa.Start(ctx, f.Config)
	if err != nil {
		return err
	}
	started.Store(s)
	fmt.Fprintf(out, "Proa %s serves Kubernetes %s on %s, ready in %d ms.\n", proa.Version, proa.KubernetesVersion, s.URL(), time.Since(begin).Milliseconds())
	if file := s.Kubeconfig(); file != "" {
		fmt.Fprintf(out, "\n  export KUBECONFIG=%s\n  kubectl get nodes\n\nor, without kubectl installed: proa kubectl get nodes\n", file)
	}
	return s.Wait()
}

// shown are all flags with their values, for /flagz. None of them is a secret: those are in files.
func shown(flags *pflag.FlagSet) map[string]string {
	values := map[string]string{}
	flags.VisitAll(func(f *pflag.Flag) { values[f.Name] = f.Value.String() })
	return values
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q; see '%s --help'", args[0], cmd.CommandPath())}
	}
	return nil
}

// defaultDataDir is /var/lib/proa for root, and the user's own place for data otherwise.
func defaultDataDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/proa"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "proa")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "proa-data"
	}
	return filepath.Join(home, ".local", "share", "proa")
}

// newLogger logs to standard error, the more the higher the verbosity, which can be set anew.
func newLogger(verbosity int) (log *slog.Logger, set func(verbosity int)) {
	level := &slog.LevelVar{}
	set = func(v int) { level.Set(levelOf(v)) }
	set(verbosity)
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})), set
}

func levelOf(verbosity int) slog.Level {
	switch {
	case verbosity >= 4:
		return slog.LevelDebug
	case verbosity == 3:
		return proa.LevelRequests
	case verbosity >= 1:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}
