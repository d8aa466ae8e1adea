package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/client"
)

// server keeps events, takes a second for each request, and fails with what it is told to.
type server struct {
	client.Transport
	mu     sync.Mutex
	events map[string]*corev1.Event
	log    []string
	fail   []error
}

func (s *server) Do(ctx context.Context, r *client.Request) (*client.Response, error) {
	time.Sleep(time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, r.Verb)
	if len(s.fail) > 0 {
		err := s.fail[0]
		s.fail = s.fail[1:]
		return nil, err
	}
	if r.Verb == "create" {
		e := r.Object.(*corev1.Event)
		s.events[e.Name] = e
		return &client.Response{Object: e}, nil
	}
	e := s.events[r.Name]
	if e == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "events"}, r.Name)
	}
	if err := json.Unmarshal(r.Patch, e); err != nil {
		return nil, err
	}
	return &client.Response{Object: e}, nil
}

func (s *server) only(t *testing.T) *corev1.Event {
	t.Helper()
	if len(s.events) != 1 {
		t.Fatalf("%d events, want 1", len(s.events))
	}
	for _, e := range s.events {
		return e
	}
	return nil
}

func newServer() *server { return &server{events: map[string]*corev1.Event{}} }

func pod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: "u", ResourceVersion: "5"}}
}

func TestRepeatsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		r := NewRecorder(s, "kubelet", "node-1")
		begin := time.Now()
		r.Eventf(pod("p"), corev1.EventTypeWarning, "BackOff", "exit %d", 1)
		synctest.Wait() // until it is being written
		for range 4 {
			r.Eventf(pod("p"), corev1.EventTypeWarning, "BackOff", "exit %d", 1)
		}
		if time.Since(begin) != 0 {
			t.Error("the caller had to wait")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		r.Event(pod("p"), corev1.EventTypeWarning, "BackOff", "exit 1")
		r.Close(t.Context())
		e := s.only(t)
		if e.Name != fmt.Sprintf("p.%x", begin.UnixNano()) || e.Namespace != "ns" || e.Count != 6 || e.Message != "exit 1" ||
			e.InvolvedObject != (corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "ns", Name: "p", UID: "u", ResourceVersion: "5"}) ||
			e.Source != (corev1.EventSource{Component: "kubelet", Host: "node-1"}) || e.ReportingController != "kubelet" ||
			!e.FirstTimestamp.Time.Equal(begin) || e.LastTimestamp.Sub(begin) != time.Minute {
			t.Errorf("got %+v", e)
		}
		if want := []string{"create", "patch", "patch"}; !slices.Equal(s.log, want) {
			t.Errorf("requests %q, want %q", s.log, want)
		}
		r.Event(pod("p"), "Normal", "TooLate", "")
		if r.Dropped.Load() != 1 {
			t.Error("a closed recorder records")
		}
	})
}

func TestWhatServersSay(t *testing.T) {
	unreachable := errors.New("connection refused")
	for name, c := range map[string]struct {
		fail    []error
		written bool
		dropped uint64
		took    time.Duration // at least
	}{
		"unreachable for a while":  {slices.Repeat([]error{unreachable}, 5), true, 0, 40 * time.Second},
		"unreachable for too long": {slices.Repeat([]error{unreachable}, 20), false, 1, 100 * time.Second},
		"refused":                  {[]error{apierrors.NewForbidden(schema.GroupResource{}, "", nil)}, false, 1, time.Second},
		"written before":           {[]error{unreachable, apierrors.NewAlreadyExists(schema.GroupResource{}, "")}, false, 0, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				s.fail = c.fail
				r := NewRecorder(s, "c", "")
				begin := time.Now()
				r.Event(pod("p"), "Normal", "R", "m")
				r.Close(t.Context())
				if (len(s.events) == 1) != c.written || r.Dropped.Load() != c.dropped || time.Since(begin) < c.took {
					t.Errorf("written %d, dropped %d, after %v", len(s.events), r.Dropped.Load(), time.Since(begin))
				}
			})
		})
	}
}

func TestEventThatExpiredIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		r := NewRecorder(s, "c", "")
		r.Event(pod("p"), "Normal", "R", "m")
		time.Sleep(time.Minute)
		synctest.Wait()
		clear(s.events)
		r.Event(pod("p"), "Normal", "R", "m")
		r.Close(t.Context())
		if e := s.only(t); e.Count != 2 {
			t.Errorf("count %d, want 2", e.Count)
		}
	})
}

func TestTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		r := NewRecorder(s, "c", "")
		for n := range maxQueued + 100 {
			r.Event(pod(fmt.Sprint("p", n)), "Normal", "R", "m")
		}
		if n := r.Dropped.Load(); n < 100-batch || n > 100 {
			t.Errorf("%d dropped", n)
		}
		for range 30 {
			r.Event(pod("chatty"), "Normal", "Other", "m")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		r.Close(ctx)
		if took := time.Since(begin); took > 30*time.Second {
			t.Errorf("Close took %v, its context 10s", took)
		}
		if r.Silenced.Load() != 5 {
			t.Errorf("%d silenced, want 5", r.Silenced.Load())
		}
		if written, dropped := len(s.events), int(r.Dropped.Load()); written+dropped < maxQueued+100 || written > 11*batch {
			t.Errorf("%d written, %d dropped", written, dropped)
		}
	})
}

func TestEventsAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		r := NewRecorder(s, "c", "")
		begin := time.Now()
		r.Event(pod("first"), "Normal", "R", "m")
		synctest.Wait() // until it is being written
		for range 3 {
			for n := range batch {
				r.Event(pod(fmt.Sprint("p", n)), "Normal", "R", "m")
			}
		}
		r.Close(t.Context())
		if took := time.Since(begin); took != 2*time.Second || len(s.log) != batch+1 {
			t.Errorf("%d writes of a second each took %v, want %d in 2s", len(s.log), took, batch+1)
		}
		for _, e := range s.events {
			if e.InvolvedObject.Name != "first" && e.Count != 3 {
				t.Errorf("%s: count %d, want 3", e.InvolvedObject.Name, e.Count)
			}
		}
	})
}

func TestClusterObjectsAndNil(t *testing.T) {
	var none *Recorder
	none.Event(pod("p"), "Normal", "R", "m")
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		r := NewRecorder(s, "c", "")
		r.Event(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, "Normal", "Ready", "m")
		r.EventFor(corev1.ObjectReference{Kind: "Pod", Namespace: "ns", Name: "p", FieldPath: "spec.containers{c}"}, "Normal", "Pulled", "m")
		r.Close(t.Context())
		var got []string
		for _, e := range s.events {
			got = append(got, e.Namespace+" "+e.InvolvedObject.Kind+" "+e.InvolvedObject.FieldPath)
		}
		slices.Sort(got)
		if want := "default Node |ns Pod spec.containers{c}"; strings.Join(got, "|") != want {
			t.Errorf("got %q, want %q", strings.Join(got, "|"), want)
		}
	})
}
