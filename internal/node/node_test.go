package node

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/informer"
)

// cluster is an API server and an agent, in virtual time.
type cluster struct {
	t      testing.TB
	api    *clienttest.Server
	events clienttest.Events
	agent  *Agent
	stop   func()
}

func newCluster(t testing.TB, o Options, objects ...client.Object) *cluster {
	c := &cluster{t: t, api: clienttest.New(objects...)}
	c.run(o)
	return c
}

// run starts an agent over the server, as after a restart of the process.
func (c *cluster) run(o Options) {
	c.t.Helper()
	set := informer.NewSet(c.api, informer.SetOptions{Logger: slog.New(slog.DiscardHandler)})
	o.Client, o.Informers, o.Events, o.Version = c.api, set, &c.events, "v1.36.3+proatest"
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a, err := NewSimulated(o)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	go func() { set.Run(ctx); done <- struct{}{} }()
	go func() { a.Run(ctx); done <- struct{}{} }()
	c.agent, c.stop = a, func() { cancel(); <-done; <-done }
	synctest.Wait()
}

func (c *cluster) pod(name string) *corev1.Pod {
	return clienttest.Get(c.api, client.Pods, "default", name)
}

func (c *cluster) create(p *corev1.Pod) {
	c.t.Helper()
	if _, err := client.Pods.Create(c.t.Context(), c.api, p); err != nil {
		c.t.Fatal(err)
	}
	synctest.Wait()
}

func (c *cluster) delete(name string) {
	c.t.Helper()
	if err := client.Pods.Delete(c.t.Context(), c.api, "default", name, metav1.DeleteOptions{}); err != nil {
		c.t.Fatal(err)
	}
	synctest.Wait()
}

func podOn(node, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.PodSpec{
			NodeName: node, RestartPolicy: corev1.RestartPolicyAlways,
			Containers: []corev1.Container{{Name: "main", Image: "nginx:1"}},
		},
	}
}
