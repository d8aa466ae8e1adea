package simulated

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Annotations of a pod that say how its containers behave. Each holds for the containers of spec.containers;
// with a dot and the name of a container behind it, it holds for that one alone, of whatever sort it is.
// Durations are Go's, like 1m30s.
const (
	// AnnotationStartAfter is how long a container takes to start.
	AnnotationStartAfter = "sim.proa.dev/start-after"
	// AnnotationRunFor is how long a container runs before it ends by itself, or Forever. By default those of
	// pods whose restartPolicy is Always run forever, as do sidecars and ephemeral containers; those of
	// other pods run for Options.RunFor; other init containers end at once.
	AnnotationRunFor = "sim.proa.dev/run-for"
	// AnnotationExitCode is the code with which a container ends by itself; 0 by default.
	AnnotationExitCode = "sim.proa.dev/exit-code"
	// AnnotationStopAfter is how long a container takes to end when it is told to; by default it does at
	// once. One that takes longer than its grace period is killed, with code 137.
	AnnotationStopAfter = "sim.proa.dev/stop-after"
)

// Forever is the value of AnnotationRunFor for a container that does not end by itself.
const Forever = "forever"

const (
	exitKilled      = 128 + 9
	exitInterrupted = 128 + 15
)

// behaviour is how one container of a pod behaves.
type behaviour struct {
	startAfter, stopAfter time.Duration
	runFor                time.Duration // negative is forever
	exitCode              int32         // when it ends by itself
	stopCode              int32         // when it is told to end, and does
}

const forever time.Duration = -1

func behaviourOf(p *corev1.Pod, name string, o Options) (behaviour, error) {
	b := behaviour{startAfter: o.StartAfter, runFor: forever}
	c, regular := sortOf(p, name)
	task := regular && p.Spec.RestartPolicy != corev1.RestartPolicyAlways && p.Spec.RestartPolicy != ""
	switch {
	case task:
		b.runFor = o.RunFor
	case c != nil && !regular && !sidecar(c):
		b.runFor = 0
	}
	r := reader{pod: p, name: name, shared: regular}
	b.startAfter = r.duration(AnnotationStartAfter, b.startAfter)
	b.stopAfter = r.duration(AnnotationStopAfter, b.stopAfter)
	if v, ok := r.value(AnnotationRunFor); ok && v == Forever {
		b.runFor = forever
	} else {
		b.runFor = r.duration(AnnotationRunFor, b.runFor)
	}
	b.exitCode = r.code(AnnotationExitCode, 0)
	if task || b.runFor != forever {
		b.stopCode = exitInterrupted // a task that is stopped was not done
	}
	if c != nil && c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep != nil {
		b.stopAfter += time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	}
	return b, r.err
}

// sortOf finds a container of the spec, and tells whether it is one of spec.containers. It is nil for an
// ephemeral one.
func sortOf(p *corev1.Pod, name string) (c *corev1.Container, regular bool) {
	for i := range p.Spec.Containers {
		if p.Spec.Containers[i].Name == name {
			return &p.Spec.Containers[i], true
		}
	}
	for i := range p.Spec.InitContainers {
		if p.Spec.InitContainers[i].Name == name {
			return &p.Spec.InitContainers[i], false
		}
	}
	return nil, false
}

func sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func imageOf(p *corev1.Pod, name string) string {
	if c, _ := sortOf(p, name); c != nil {
		return c.Image
	}
	for i := range p.Spec.EphemeralContainers {
		if c := &p.Spec.EphemeralContainers[i]; c.Name == name {
			return c.Image
		}
	}
	return ""
}

// reader reads annotations for one container, and keeps the first error.
type reader struct {
	pod    *corev1.Pod
	name   string
	shared bool // the annotations without a name hold too
	err    error
}

func (r *reader) value(key string) (string, bool) {
	if v, ok := r.pod.Annotations[key+"."+r.name]; ok {
		return v, true
	}
	v, ok := r.pod.Annotations[key]
	return v, ok && r.shared
}

func (r *reader) duration(key string, otherwise time.Duration) time.Duration {
	v, ok := r.value(key)
	if !ok {
		return otherwise
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		r.fail(key, v, "a duration such as 20s")
		return otherwise
	}
	return d
}

func (r *reader) code(key string, otherwise int32) int32 {
	v, ok := r.value(key)
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseUint(v, 10, 8)
	if err != nil {
		r.fail(key, v, "a number from 0 to 255")
		return otherwise
	}
	return int32(n)
}

func (r *reader) fail(key, value, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("annotation %s of container %s is %q, not %s", key, r.name, value, want)
	}
}
