// Package events writes core/v1 Events: what happened to an object, for people to read. Reporting never
// waits and never fails; what repeats is counted in one Event, and what is too much is dropped.
package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
)

const (
	maxQueued = 1000
	maxTries  = 12
	retryWait = 10 * time.Second
	// batch is how many events are written at a time. They share the syncs of the store.
	batch = 16
)

// Recorder reports in the name of a component. A nil Recorder reports nothing. It has a goroutine only while
// there is something to write.
type Recorder struct {
	transport       client.Transport
	component, host string
	log             *slog.Logger
	ctx             context.Context // of the writes
	cancel          context.CancelFunc

	// Dropped and Silenced count occurrences that were not written: because too much waits to be written,
	// or because there was too much about one object.
	Dropped, Silenced atomic.Uint64

	mu         sync.Mutex
	correlator correlator
	queue      []*series // to be written; each once
	idle       *sync.Cond
	writing    bool
	closed     bool
}

// NewRecorder makes a recorder for a component that runs on a host.
func NewRecorder(t client.Transport, component, host string) *Recorder {
	r := &Recorder{
		transport: t, component: component, host: host,
		log: slog.Default().With("component", component), correlator: newCorrelator(),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.idle = sync.NewCond(&r.mu)
	return r
}

// Event reports that something happened to an object. The type is corev1.EventTypeNormal or Warning.
func (r *Recorder) Event(o client.Object, eventType, reason, message string) {
	if r != nil {
		r.EventFor(client.ReferenceTo(o), eventType, reason, message)
	}
}

// Eventf is Event with a formatted message.
func (r *Recorder) Eventf(o client.Object, eventType, reason, format string, args ...any) {
	r.Event(o, eventType, reason, fmt.Sprintf(format, args...))
}

// EventFor is Event for an object that is known by a reference, which may point into the object.
func (r *Recorder) EventFor(about corev1.ObjectReference, eventType, reason, message string) {
	if r == nil {
		return
	}
	revision := about.ResourceVersion
	about.ResourceVersion = ""
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		r.Dropped.Add(1)
		return
	}
	o := occurrence{about: about, kind: eventType, reason: reason, message: message}
	s, write := r.correlator.add(o, revision, time.Now())
	if !write {
		r.Silenced.Add(1)
		return
	}
	if s.queued {
		return
	}
	if len(r.queue) >= maxQueued {
		r.Dropped.Add(1)
		return
	}
	s.queued = true
	r.queue = append(r.queue, s)
	if !r.writing {
		r.writing = true
		go r.drain()
	}
}

// Close refuses further reports, and waits until those that were made are written or the context ends.
func (r *Recorder) Close(ctx context.Context) {
	defer r.cancel()
	defer context.AfterFunc(ctx, r.cancel)()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for r.writing {
		r.idle.Wait()
	}
}

// drain writes a batch at a time, so that no two writes of a series are ever under way.
func (r *Recorder) drain() {
	for {
		all := r.next()
		switch len(all) {
		case 0:
			return
		case 1:
			r.write(all[0])
			continue
		}
		var writing sync.WaitGroup
		for _, d := range all {
			writing.Go(func() { r.write(d) })
		}
		writing.Wait()
	}
}

// draft is a series and its Event as of now.
type draft struct {
	*series
	event *corev1.Event
}

// next takes the first series.
func (r *Recorder) next() []draft {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		r.Dropped.Add(uint64(len(r.queue)))
		r.queue = nil
	}
	if len(r.queue) == 0 {
		r.queue = nil
		r.writing = false
		r.idle.Broadcast()
		return nil
	}
	all := make([]draft, min(len(r.queue), batch))
	for i, s := range r.queue[:len(all)] {
		s.queued = false
		all[i] = draft{s, r.event(s)}
	}
	r.queue = r.queue[len(all):]
	return all
}

func (r *Recorder) event(s *series) *corev1.Event {
	about := s.about
	about.ResourceVersion = s.resourceVersion
	namespace := about.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: s.name},
		InvolvedObject: about, Type: s.kind, Reason: s.reason, Message: s.message,
		Source:         corev1.EventSource{Component: r.component, Host: r.host},
		FirstTimestamp: metav1.NewTime(s.first), LastTimestamp: metav1.NewTime(s.last), Count: s.count,
		ReportingController: r.component, ReportingInstance: r.host,
	}
}

// write tries until the server has said something.
func (r *Recorder) write(d draft) {
	e := d.event
	for try := 1; ; try++ {
		err := r.send(d.series, e)
		var status *apierrors.StatusError
		switch {
		case err == nil:
			return
		case errors.As(err, &status):
			r.refused(e, err)
			return
		case try == maxTries || r.ctx.Err() != nil:
			r.Dropped.Add(1)
			r.log.Error("Event could not be written", "event", e.Reason, "about", e.InvolvedObject.Name, "err", err)
			return
		}
		wait := retryWait
		if try == 1 {
			wait = rand.N(retryWait) // so that components do not return all at once
		}
		r.sleep(wait)
	}
}

func (r *Recorder) refused(e *corev1.Event, err error) {
	r.Dropped.Add(1)
	level := slog.LevelWarn
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		level = slog.LevelDebug
	}
	r.log.Log(r.ctx, level, "Server refused an event", "event", e.Reason, "about", e.InvolvedObject.Name, "err", err)
}

func (r *Recorder) send(s *series, e *corev1.Event) error {
	if s.created {
		patch := map[string]any{"count": e.Count, "lastTimestamp": e.LastTimestamp, "message": e.Message}
		_, err := client.Events.MergePatch(r.ctx, r.transport, e.Namespace, e.Name, patch, "")
		if !apierrors.IsNotFound(err) {
			return err
		}
	}
	_, err := client.Events.Create(r.ctx, r.transport, e)
	if apierrors.IsAlreadyExists(err) { // by a try whose answer was lost
		err = nil
	}
	s.created = err == nil
	return err
}

func (r *Recorder) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.ctx.Done():
	case <-timer.C:
	}
}
