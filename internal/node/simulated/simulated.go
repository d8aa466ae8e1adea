// Package simulated is a container runtime that runs pods in name only. Containers start, run, become ready,
// end, fail and stop as annotations of the pod say; nothing is ever executed.
//
// The state of a container is a function of the time and of a few dates: when it starts, when it ends. A
// timer per change to come tells the agent to look; there is no goroutine. A runtime keeps nothing on disk
// either: what a pod's status says ran here before is taken up from there.
package simulated

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/node/container"
)

// Options shape the behaviour of pods without annotations. The zero value is usable.
type Options struct {
	// StartAfter is how long a container takes to start; by default none, so that a pod goes from Pending to
	// Running in one write.
	StartAfter time.Duration
	// RunFor is how long containers run that do not run forever; DefaultRunFor if zero.
	RunFor time.Duration
	// Version is what the node says of the runtime.
	Version string
}

// DefaultRunFor is how long the containers of a Job's pod run.
const DefaultRunFor = time.Second

// idPrefix begins the IDs of containers that were simulated.
const idPrefix = "simulated://"

// Runtime is the simulated runtime of one node.
type Runtime struct {
	options Options
	changed container.Changed

	mu        sync.Mutex
	addresses addresses              // guarded by mu
	pods      map[types.UID]*sandbox // guarded by mu
}

var _ container.Runtime = (*Runtime)(nil)

type sandbox struct {
	pod        types.NamespacedName
	id         string
	ip         netip.Addr // the zero value on the host's network
	containers []*instance
}

// New makes a runtime for a node whose pods have addresses of a prefix.
func New(o Options, pods netip.Prefix, changed container.Changed) *Runtime {
	if o.RunFor == 0 {
		o.RunFor = DefaultRunFor
	}
	return &Runtime{options: o, changed: changed, addresses: newAddresses(pods), pods: map[types.UID]*sandbox{}}
}

// Version is made up.
func (r *Runtime) Version() container.Version {
	return container.Version{Name: "proa-simulated", Version: r.options.Version}
}

// Pod is what the clock says of a pod. One that is not known is taken up from its status.
func (r *Runtime) Pod(_ context.Context, p *corev1.Pod) (container.Pod, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.pods[p.UID]
	if s == nil {
		if s = r.adopt(p); s == nil {
			return container.Pod{}, nil
		}
	}
	seen := container.Pod{Sandbox: &container.Sandbox{ID: s.id}, Containers: make([]container.Status, len(s.containers))}
	if s.ip.IsValid() {
		seen.Sandbox.IPs = []string{s.ip.String()}
	}
	now := time.Now()
	for i, c := range s.containers {
		seen.Containers[i] = c.status(now)
	}
	return seen, nil
}

// CreateSandbox takes an address.
func (r *Runtime) CreateSandbox(_ context.Context, p *corev1.Pod) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pods[p.UID] != nil {
		return nil
	}
	s := newSandbox(p)
	if !p.Spec.HostNetwork {
		ip, err := r.addresses.take()
		if err != nil {
			return err
		}
		s.ip = ip
	}
	r.pods[p.UID] = s
	return nil
}

// Start sets the dates of a new attempt.
func (r *Runtime) Start(_ context.Context, p *corev1.Pod, name string, attempt int32) error {
	b, err := behaviourOf(p, name, r.options)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.pods[p.UID]
	if s == nil {
		return fmt.Errorf("pod %s has no sandbox", p.Name)
	}
	now := time.Now()
	c := newInstance(p, name, attempt)
	c.startsAt = now.Add(b.startAfter)
	c.exitCode = b.exitCode
	if b.runFor != forever {
		c.endsAt = c.startsAt.Add(b.runFor)
	}
	s.put(c, now)
	r.arm(s, c, now)
	return nil
}

// Stop moves the end of a container.
func (r *Runtime) Stop(_ context.Context, p *corev1.Pod, name string, grace time.Duration) error {
	b, err := behaviourOf(p, name, r.options)
	if err != nil {
		b.stopAfter = 0 // what cannot be understood shall not keep a pod from ending
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.pods[p.UID]
	if s == nil {
		return nil
	}
	now := time.Now()
	if c := s.find(name); c != nil && c.stop(now, b, grace) {
		r.arm(s, c, now)
	}
	return nil
}

// Remove forgets a pod.
func (r *Runtime) Remove(_ context.Context, uid types.UID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.pods[uid]
	if s == nil {
		return nil
	}
	for _, c := range s.containers {
		c.disarm()
	}
	r.addresses.release(s.ip)
	delete(r.pods, uid)
	return nil
}

// arm sees to it that the agent looks when the container changes next.
func (r *Runtime) arm(s *sandbox, c *instance, now time.Time) {
	c.disarm()
	next := c.nextChange(now)
	if next.IsZero() {
		return
	}
	pod := s.pod
	c.timer = time.AfterFunc(next.Sub(now), func() {
		r.mu.Lock()
		r.arm(s, c, time.Now())
		r.mu.Unlock()
		r.changed(pod)
	})
}

func newSandbox(p *corev1.Pod) *sandbox {
	return &sandbox{
		pod: types.NamespacedName{Namespace: p.Namespace, Name: p.Name}, id: idOf(p.UID, "", 0),
	}
}

func (s *sandbox) find(name string) *instance {
	for _, c := range s.containers {
		if c.name == name {
			return c
		}
	}
	return nil
}

// put makes an attempt the latest of its container.
func (s *sandbox) put(c *instance, now time.Time) {
	for i, old := range s.containers {
		if old.name == c.name {
			old.disarm()
			c.last = old.status(now).Exit
			s.containers[i] = c
			return
		}
	}
	s.containers = append(s.containers, c)
}

func idOf(uid types.UID, name string, attempt int32) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", uid, name, attempt))
	return hex.EncodeToString(sum[:])
}

// imageID is like that of a pulled image: its name without the tag, and a digest.
func imageID(image string) string {
	sum := sha256.Sum256([]byte(image))
	name, _, _ := strings.Cut(image, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	return name + "@sha256:" + hex.EncodeToString(sum[:])
}
