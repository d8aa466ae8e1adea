package backends

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/pods"
	"github.com/proa-dev/proa/internal/informer"
)

// Triggers finds out what change of a pod or Service made endpoints change, so that the time it took for that
// to reach every node can be measured. The zero value is ready.
type Triggers struct {
	mu   sync.Mutex
	seen map[controller.Key]trigger // guarded by mu
}

type trigger struct {
	service time.Time
	pods    map[string]time.Time // when each became ready, or stopped being so
}

// Since is when the first of the changes happened that came since the last call; the zero time if none did.
func (t *Triggers) Since(s *corev1.Service, all []*corev1.Pod) time.Time {
	now := trigger{service: s.CreationTimestamp.Time, pods: make(map[string]time.Time, len(all))}
	for _, p := range all {
		if c := pods.Condition(p, corev1.PodReady); c != nil && !c.LastTransitionTime.IsZero() {
			now.pods[p.Name] = c.LastTransitionTime.Time
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k := informer.KeyOf(s)
	old, known := t.seen[k]
	if t.seen == nil {
		t.seen = map[controller.Key]trigger{}
	}
	t.seen[k] = now
	if !known {
		return now.service
	}
	return now.after(old)
}

func (now trigger) after(old trigger) time.Time {
	var first time.Time
	consider := func(at, before time.Time) {
		if at.After(before) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	consider(now.service, old.service)
	for name, at := range now.pods {
		consider(at, old.pods[name])
	}
	return first
}

// Forget is called when the Service is gone.
func (t *Triggers) Forget(k controller.Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.seen, k)
}

// Annotate notes a time in annotations as the last that triggered a change, or that it is unknown.
func Annotate(annotations map[string]string, at time.Time) {
	if at.IsZero() {
		delete(annotations, corev1.EndpointsLastChangeTriggerTime)
		return
	}
	annotations[corev1.EndpointsLastChangeTriggerTime] = at.UTC().Format(time.RFC3339Nano)
}
