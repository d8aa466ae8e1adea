package core

import (
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// DefaultPodSpec fills the zero fields of a pod's spec that are the same in pods and in templates. It also
// drops fields of features that are off, so that nothing downstream ever sees them.
func DefaultPodSpec(s *corev1.PodSpec) {
	setIfZero(&s.DNSPolicy, corev1.DNSClusterFirst)
	setIfZero(&s.RestartPolicy, corev1.RestartPolicyAlways)
	setIfZero(&s.SchedulerName, corev1.DefaultSchedulerName)
	setIfNil(&s.SecurityContext, corev1.PodSecurityContext{})
	setIfNil(&s.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)

	// serviceAccount is the old name of serviceAccountName, which wins.
	setIfZero(&s.ServiceAccountName, s.DeprecatedServiceAccount)
	s.DeprecatedServiceAccount = s.ServiceAccountName
	s.SchedulingGroup = nil

	for i := range s.Volumes {
		defaultPodVolume(&s.Volumes[i].VolumeSource)
	}
	for c := range podContainers(s) {
		defaultPodContainer(c.Container)
	}
	roundUpToMilli(s.Overhead)
	defaultPodResources(s.Resources)
}

func defaultPodContainer(c *corev1.Container) {
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = pullPolicyFor(c.Image)
	}
	setIfZero(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	setIfZero(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		setIfZero(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		defaultPodEnv(c.Env[i].ValueFrom)
	}
	defaultPodResources(&c.Resources)
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		defaultPodProbe(p)
	}
	if c.Lifecycle != nil && c.Lifecycle.StopSignal != nil {
		c.Lifecycle.StopSignal = nil
		if *c.Lifecycle == (corev1.Lifecycle{}) {
			c.Lifecycle = nil
		}
	}
	if c.Lifecycle != nil {
		for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if h != nil {
				defaultPodHTTPGet(h.HTTPGet)
			}
		}
	}
}

func defaultPodEnv(v *corev1.EnvVarSource) {
	if v == nil {
		return
	}
	defaultPodFieldRef(v.FieldRef)
	if v.FileKeyRef != nil {
		setIfNil(&v.FileKeyRef.Optional, false)
	}
}

func defaultPodFieldRef(f *corev1.ObjectFieldSelector) {
	if f != nil {
		setIfZero(&f.APIVersion, "v1")
	}
}

func defaultPodProbe(p *corev1.Probe) {
	if p == nil {
		return
	}
	setIfZero(&p.TimeoutSeconds, 1)
	setIfZero(&p.PeriodSeconds, 10)
	setIfZero(&p.SuccessThreshold, 1)
	setIfZero(&p.FailureThreshold, 3)
	defaultPodHTTPGet(p.HTTPGet)
	if p.GRPC != nil {
		setIfNil(&p.GRPC.Service, "")
	}
}

func defaultPodHTTPGet(h *corev1.HTTPGetAction) {
	if h != nil {
		setIfZero(&h.Path, "/")
		setIfZero(&h.Scheme, corev1.URISchemeHTTP)
	}
}

func defaultPodResources(r *corev1.ResourceRequirements) {
	if r != nil {
		roundUpToMilli(r.Limits)
		roundUpToMilli(r.Requests)
	}
}

// pullPolicyFor pulls an image always where its reference says latest, or nothing. A reference that cannot be
// parsed is another's business.
func pullPolicyFor(image string) corev1.PullPolicy {
	if saysOtherTag(image) {
		return corev1.PullIfNotPresent
	}
	return parsedPullPolicy(image)
}

func parsedPullPolicy(image string) corev1.PullPolicy {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return corev1.PullIfNotPresent
	}
	tagged, hasTag := named.(reference.Tagged)
	_, hasDigest := named.(reference.Digested)
	if hasTag && tagged.Tag() == "latest" || !hasTag && !hasDigest {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// saysOtherTag tells whether an image's last part ends in a tag that is not latest. It may be no reference at
// all then, but is certainly not one that is pulled always. Digests are for the parser.
func saysOtherTag(image string) bool {
	last := image[strings.LastIndexByte(image, '/')+1:]
	colon := strings.LastIndexByte(last, ':')
	return colon >= 0 && last[colon+1:] != "latest" && !strings.Contains(image, "@")
}

// roundUpToMilli rounds quantities to the precision that the API keeps.
func roundUpToMilli(list corev1.ResourceList) {
	for name, q := range list {
		if exact := q.RoundUp(resource.Milli); !exact {
			list[name] = q
		}
	}
}

func setIfZero[V comparable](field *V, value V) {
	var zero V
	if *field == zero {
		*field = value
	}
}

func setIfNil[V any](field **V, value V) {
	if *field == nil {
		*field = &value
	}
}
