package proa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/google/uuid"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/proa-dev/proa/internal/access/authn"
	"github.com/proa-dev/proa/internal/access/pki"
	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/leader"
	"github.com/proa-dev/proa/internal/client/remote"
	"github.com/proa-dev/proa/internal/informer"
)

// ComponentConfig says how a part of the control plane runs as a process of its own.
type ComponentConfig struct {
	// Kubeconfig names the API server and the credentials. The server writes one for each part into the
	// directory of its data.
	Kubeconfig string
	// NoLeaderElection works at once, without a Lease: for the only process of its kind.
	NoLeaderElection bool
	// ServiceAccountKeyFile is the PEM of the key that signs the tokens of Secrets, as the server has it in
	// pki/sa.key; empty leaves such Secrets to others.
	ServiceAccountKeyFile string
	// Nodes is the number of simulated nodes that a node agent runs.
	Nodes int
	// Logger gets what an operator should know; nil is slog.Default().
	Logger *slog.Logger
}

// remoteIdentities are those of a part in a process of its own: its user is the kubeconfig's, and service
// accounts are reached by tokens that this user asks for.
type remoteIdentities struct {
	transport *remote.Transport
	accounts  *remote.Accounts
	ca        []byte // PEM by which the server is trusted
}

func (r remoteIdentities) component(string, ...string) (client.Transport, error) {
	return r.transport, nil
}

func (r remoteIdentities) account(ctx context.Context, name string) (client.Transport, error) {
	return r.accounts.Transport(ctx, name)
}

// connect reads the kubeconfig.
func (c *ComponentConfig) connect(component string) (remoteIdentities, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Kubeconfig == "" {
		return remoteIdentities{}, errors.New("a kubeconfig is needed, to know which API server to work for")
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return remoteIdentities{}, fmt.Errorf("kubeconfig: %w", err)
	}
	if err := rest.LoadTLSFiles(config); err != nil {
		return remoteIdentities{}, fmt.Errorf("kubeconfig: %w", err)
	}
	config.UserAgent = component
	t, err := remote.New(config)
	if err != nil {
		return remoteIdentities{}, err
	}
	accounts, err := t.Accounts("kube-system")
	return remoteIdentities{transport: t, accounts: accounts, ca: config.CAData}, err
}

// RunControllerManager runs the controllers until the context ends.
func RunControllerManager(ctx context.Context, c ComponentConfig) error {
	ids, err := c.connect("kube-controller-manager")
	if err != nil {
		return err
	}
	keys, err := c.clusterKeys(ids)
	if err != nil {
		return err
	}
	return c.lead(ctx, ids, "kube-controller-manager", func(ctx context.Context) error {
		return runControllers(ctx, ids, keys, &informer.Metrics{}, nil, c.Logger)
	})
}

// clusterKeys takes the root of trust from the kubeconfig, and the signing key from its file.
func (c *ComponentConfig) clusterKeys(ids remoteIdentities) (clusterKeys, error) {
	keys := clusterKeys{rootCA: ids.ca}
	if c.ServiceAccountKeyFile == "" {
		return keys, nil
	}
	data, err := os.ReadFile(c.ServiceAccountKeyFile)
	if err != nil {
		return keys, fmt.Errorf("service account key: %w", err)
	}
	key, err := pki.ParseKey(data)
	if err != nil {
		return keys, fmt.Errorf("service account key %s: %w", c.ServiceAccountKeyFile, err)
	}
	issuer, err := authn.NewIssuer(tokenIssuer, key)
	if err != nil {
		return keys, err
	}
	keys.tokens = tokensOf(issuer)
	return keys, nil
}

// RunScheduler runs the scheduler until the context ends.
func RunScheduler(ctx context.Context, c ComponentConfig) error {
	ids, err := c.connect("kube-scheduler")
	if err != nil {
		return err
	}
	return c.lead(ctx, ids, "kube-scheduler", func(ctx context.Context) error {
		return runScheduler(ctx, ids, &informer.Metrics{}, nil, c.Logger)
	})
}

// RunNodes runs simulated nodes until the context ends.
func RunNodes(ctx context.Context, c ComponentConfig) error {
	ids, err := c.connect("kubelet")
	if err != nil {
		return err
	}
	return runNodes(ctx, ids, c.Nodes, &informer.Metrics{}, c.Logger)
}

// lead works while this process holds the Lease of its kind.
func (c *ComponentConfig) lead(ctx context.Context, ids remoteIdentities, name string, work func(context.Context) error) error {
	if c.NoLeaderElection {
		return work(ctx)
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err = leader.Run(ctx, ids.transport, leader.Options{
		Namespace: "kube-system", Name: name, Identity: host + "_" + uuid.NewString(), Logger: c.Logger,
	}, func(ctx context.Context) {
		c.Logger.Info("leading", "component", name)
		if err := work(ctx); err != nil && ctx.Err() == nil {
			cancel(err)
		}
	})
	if failed := context.Cause(ctx); failed != nil && !errors.Is(failed, context.Canceled) {
		return failed
	}
	return err
}
