package controller

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/informer"
)

// Deps is what a controller is made of. All fields are set but where they say otherwise.
type Deps struct {
	Client client.Transport // acts as the controller's own user
	// Informers are shared with the other controllers. They may run already.
	Informers *informer.Set
	Events    Events // reports in the controller's name
	Clock     clock.WithTicker
	Logger    *slog.Logger
	// Metrics is what the controller's queues report to; nil for none.
	Metrics *informer.Metrics
	// Tally is what controllers count of their own; nil for none.
	Tally *Tally
	// RootCA is the PEM bundle that pods trust the API server by; empty if there is none to publish.
	RootCA []byte
	// Tokens signs the token of a service account that a Secret shall hold; nil if none are made.
	Tokens func(ctx context.Context, account *corev1.ServiceAccount, holder *corev1.Secret) (string, error)
}

// Events reports what happened to objects, for people to read. It never waits and never fails. A
// *events.Recorder is one.
type Events interface {
	Event(o client.Object, eventType, reason, message string)
	Eventf(o client.Object, eventType, reason, format string, args ...any)
	EventFor(about corev1.ObjectReference, eventType, reason, message string)
}

// Runner is a controller. A Loop is one.
type Runner interface {
	// Run works until the context ends and waits for what is under way.
	Run(ctx context.Context) error
}

// RunnerFunc is a Runner in one function.
type RunnerFunc func(ctx context.Context) error

func (f RunnerFunc) Run(ctx context.Context) error { return f(ctx) }
