package proa

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/google/uuid"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/pki"
	"github.com/proa-dev/proa/internal/client/leader"
	"github.com/proa-dev/proa/internal/store"
	"github.com/proa-dev/proa/internal/store/embedded"
	"github.com/proa-dev/proa/internal/store/etcd"
)

// Several servers over one etcd cluster are one control plane. They share, beside the objects, the keys
// that clients and tokens are verified with: the first server puts them into etcd, the others take them
// from there. Each serves the API; controllers and scheduler work in the one that holds the Lease.

// Etcd is a cluster that keeps the objects. Without Servers it is not used.
type Etcd struct {
	// Servers are the URLs of the members.
	Servers []string
	// Prefix is what all keys begin with; /registry if empty.
	Prefix string
	// CAFile, CertFile and KeyFile are PEM files for https.
	CAFile, CertFile, KeyFile string
}

func (e *Etcd) used() bool { return len(e.Servers) > 0 }

func (e *Etcd) options() etcd.Options {
	return etcd.Options{
		Endpoints: e.Servers, Prefix: e.Prefix, Strip: etcd.DefaultPrefix,
		CAFile: e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile,
	}
}

func (e *Etcd) validate(c *Config) error {
	switch {
	case !e.used() && (e.CAFile != "" || e.CertFile != "" || e.KeyFile != ""):
		return errors.New("certificates for etcd are given, but no etcd servers")
	case !e.used():
		return nil
	case c.InMemory:
		return errors.New("objects are kept in memory or in etcd, not in both")
	case c.Durability != "" && embedded.Durability(c.Durability) != embedded.Sync:
		return fmt.Errorf("durability %q is for the store in the data directory; etcd decides its own", c.Durability)
	}
	return e.options().Validate()
}

func (p *plane) openEtcd(ctx context.Context) (store.Store, error) {
	o := p.config.Etcd.options()
	o.CompactInterval, o.Logger = p.config.WatchHistory, p.log
	return etcd.Open(ctx, o)
}

// sharedKeys is where servers that share a store find the keys that they share.
const sharedKeys = "/registry/proa/pki"

// shareKeys makes the directory's keys those of the servers that share the store. The first server gives
// its own, made now if there are none.
func shareKeys(ctx context.Context, s store.Store, dir string) error {
	shared, err := s.Get(ctx, sharedKeys)
	if errors.Is(err, store.ErrNotFound) {
		shared, err = offerKeys(ctx, s, dir)
	}
	if err != nil {
		return fmt.Errorf("the servers' shared keys: %w", err)
	}
	return pki.Install(dir, shared.Value)
}

// offerKeys returns the keys that all agree on, if another server was faster too.
func offerKeys(ctx context.Context, s store.Store, dir string) (store.KV, error) {
	keys, err := pki.Bundle(dir)
	if err != nil {
		return store.KV{}, err
	}
	_, err = s.Commit(ctx, store.Op{Key: sharedKeys, Value: keys, Expect: store.MustNotExist})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return store.KV{}, err
	}
	return s.Get(ctx, sharedKeys)
}

// elected makes work wait until this server leads among those that share the store, and again after it has
// lost the lead. A server with a store of its own works at once.
func (p *plane) elected(lease string, work func(context.Context) error) func(context.Context) error {
	if !p.config.Etcd.used() {
		return work
	}
	return func(ctx context.Context) error {
		host, err := os.Hostname()
		if err != nil {
			return err
		}
		transport, err := localIdentities{p}.component("system:apiserver", access.MastersGroup)
		if err != nil {
			return err
		}
		o := leader.Options{Namespace: "kube-system", Name: lease, Identity: host + "_" + uuid.NewString(), Logger: p.log}
		for ctx.Err() == nil {
			var failed error
			err := leader.Run(ctx, transport, o, func(ctx context.Context) { failed = work(ctx) })
			if ctx.Err() == nil && !errors.Is(err, leader.ErrLost) {
				return errors.Join(failed, err)
			}
		}
		return nil
	}
}
