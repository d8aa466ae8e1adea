package proa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/authn"
	"github.com/proa-dev/proa/internal/bootstrap"
	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/events"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/all"
	"github.com/proa-dev/proa/internal/informer"
	"github.com/proa-dev/proa/internal/node"
	"github.com/proa-dev/proa/internal/scheduler"
)

// Users that the parts act as.
const (
	controllerManagerUser = "system:kube-controller-manager"
	schedulerUser         = "system:kube-scheduler"
)

// identities hands out transports that act as a component or as one of its service accounts. The server
// does so in its own process, and another process by a kubeconfig and tokens.
type identities interface {
	// component is the transport of a user.
	component(user string, groups ...string) (client.Transport, error)
	// account is the transport of a service account in kube-system.
	account(ctx context.Context, name string) (client.Transport, error)
}

// localIdentities are those of parts that run in the server's process.
type localIdentities struct{ plane *plane }

func (l localIdentities) component(user string, groups ...string) (client.Transport, error) {
	u := &access.User{Name: user, Groups: append(groups, access.AuthenticatedGroup)}
	return l.plane.api.Local(u, agentOf(user)), nil
}

func (l localIdentities) account(_ context.Context, name string) (client.Transport, error) {
	u := &access.User{
		Name:   access.ServiceAccountPrefix + "kube-system:" + name,
		Groups: []string{access.ServiceAccountsGroup, access.ServiceAccountsGroup + ":kube-system", access.AuthenticatedGroup},
	}
	return l.plane.api.Local(u, "kube-controller-manager"), nil
}

// agentOf is a component's name as a field manager.
func agentOf(user string) string { return strings.TrimPrefix(user, "system:") }

// startParts runs the components that work on the cluster's objects.
func (p *plane) startParts(ctx context.Context, parts *sync.WaitGroup) error {
	ids := localIdentities{p}
	metrics := &informer.Metrics{}
	tally := controller.NewTally()
	placing := scheduler.NewMetrics("default-scheduler")
	p.api.Metrics().MustRegister(informer.Collector(metrics), tally, placing)
	run := func(name string, f func(context.Context) error) {
		parts.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				p.log.Error(name+" ended", "err", err)
				p.ended.Store(name, err)
			}
		})
	}
	if p.config.runs(Controllers) {
		run("controller-manager", p.elected("kube-controller-manager", func(ctx context.Context) error {
			return runControllers(ctx, ids, p.clusterKeys(), metrics, tally, p.log)
		}))
	}
	if p.config.runs(Scheduler) {
		run("scheduler", p.elected("kube-scheduler", func(ctx context.Context) error { return runScheduler(ctx, ids, metrics, placing, p.log) }))
	}
	if p.config.runs(Nodes) && p.config.Nodes > 0 {
		run("nodes", p.elected("proa-simulated-nodes", func(ctx context.Context) error { return runNodes(ctx, ids, p.config.Nodes, metrics, p.log) }))
	}
	return nil
}

// components tells of the parts that Kubernetes knows, for componentstatuses.
func (p *plane) components() map[string]func(context.Context) error {
	checks := map[string]func(context.Context) error{}
	for component, part := range map[string]string{"controller-manager": Controllers, "scheduler": Scheduler} {
		checks[component] = func(context.Context) error {
			if !p.config.runs(part) {
				return errors.New("this server does not run it")
			}
			if err, ended := p.ended.Load(component); ended {
				return fmt.Errorf("it ended: %w", err.(error))
			}
			return nil
		}
	}
	return checks
}

// clusterKeys are what controllers publish or sign with.
type clusterKeys struct {
	// rootCA is the PEM by which pods trust the API server; nil publishes none.
	rootCA []byte
	// tokens signs tokens that Secrets hold; nil makes none.
	tokens func(context.Context, *corev1.ServiceAccount, *corev1.Secret) (string, error)
}

func (p *plane) clusterKeys() clusterKeys {
	return clusterKeys{rootCA: p.pki.CA, tokens: tokensOf(p.issuer)}
}

func tokensOf(issuer *authn.Issuer) func(context.Context, *corev1.ServiceAccount, *corev1.Secret) (string, error) {
	return func(_ context.Context, account *corev1.ServiceAccount, holder *corev1.Secret) (string, error) {
		return issuer.IssueLegacy(account, holder)
	}
}

// runControllers runs every controller until the context ends.
func runControllers(ctx context.Context, ids identities, keys clusterKeys, metrics *informer.Metrics, tally *controller.Tally, log *slog.Logger) error {
	manager, err := ids.component(controllerManagerUser)
	if err != nil {
		return err
	}
	set := informer.NewSet(manager, informer.SetOptions{Logger: log, Metrics: metrics})
	var running sync.WaitGroup
	errs := make(chan error, len(all.Controllers)+1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := func(name string, f func(context.Context) error) {
		running.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				errs <- fmt.Errorf("%s: %w", name, err)
				cancel()
			}
		})
	}
	for _, e := range all.Controllers {
		account := e.Account
		if account == "" {
			account = e.Name
		}
		transport, err := ids.account(ctx, account)
		if err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
		component := e.Component
		if component == "" {
			component = e.Name
		}
		recorder := events.NewRecorder(transport, component, "")
		runner := e.Start(controller.Deps{
			Client: transport, Informers: set, Events: recorder, Clock: clock.RealClock{}, Logger: log, Metrics: metrics, Tally: tally,
			RootCA: keys.rootCA, Tokens: keys.tokens,
		})
		start(e.Name, func(ctx context.Context) error {
			defer recorder.Close(context.WithoutCancel(ctx))
			return runner.Run(ctx)
		})
	}
	start("informers", set.Run)
	running.Wait()
	close(errs)
	var failed error
	for err := range errs {
		failed = errors.Join(failed, err)
	}
	return failed
}

// runScheduler runs the scheduler until the context ends.
func runScheduler(ctx context.Context, ids identities, metrics *informer.Metrics, placing *scheduler.Metrics, log *slog.Logger) error {
	transport, err := ids.component(schedulerUser)
	if err != nil {
		return err
	}
	set := informer.NewSet(transport, informer.SetOptions{Logger: log, Metrics: metrics})
	recorder := events.NewRecorder(transport, "default-scheduler", "")
	defer recorder.Close(context.WithoutCancel(ctx))
	s := scheduler.New(scheduler.Deps{Client: transport, Informers: set, Events: recorder, Logger: log, Metrics: placing})
	return controller.Together(controller.RunnerFunc(set.Run), s).Run(ctx)
}

// runNodes runs simulated nodes until the context ends.
func runNodes(ctx context.Context, ids identities, nodes int, metrics *informer.Metrics, log *slog.Logger) error {
	transport, err := ids.component(bootstrap.SimulatedNodesUser)
	if err != nil {
		return err
	}
	set := informer.NewSet(transport, informer.SetOptions{Logger: log, Metrics: metrics})
	recorder := events.NewRecorder(transport, "kubelet", "")
	defer recorder.Close(context.WithoutCancel(ctx))
	agent, err := node.NewSimulated(node.Options{
		Client: transport, Informers: set, Nodes: nodes, Version: KubernetesVersion + "+proa" + Version,
		Events: recorder, Logger: log, Metrics: metrics,
	})
	if err != nil {
		return err
	}
	return controller.Together(controller.RunnerFunc(set.Run), agent).Run(ctx)
}
