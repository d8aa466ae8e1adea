package core

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

// The rules of a pod's spec.
//
// One podSpecCheck walks one spec and gathers every error, in the order in which the parts are listed in
// check; the parts lie in the files podspec_validation_*.go. It relies on DefaultPodSpec having run. What it
// learns on the way (which volumes are sound, which claims exist) later parts look up in it, so the order of
// the first three calls matters.
//
// A spec in a pod obeys a few rules more than one in a template, which defaulting and admission still
// complete when its pods are made; meta tells the two apart.
type podSpecCheck struct {
	podErrors
	spec *corev1.PodSpec
	path *field.Path
	// meta of the pod that the spec is in, nil in a template.
	meta *metav1.ObjectMeta
	// volumes that are sound, by name; mounts of others are not found.
	volumes map[string]*corev1.VolumeSource
	// claims are the names in spec.resourceClaims.
	claims sets.Set[string]
	// hostUsers is false where the pod has a user namespace of its own.
	hostUsers bool
}

// validatePodSpec finds out whether there are errors, and only then where they are.
func validatePodSpec(s *corev1.PodSpec, meta *metav1.ObjectMeta, path *field.Path) field.ErrorList {
	if len(podSpecErrors(s, meta, field.Nowhere)) == 0 {
		return nil
	}
	return podSpecErrors(s, meta, path)
}

func podSpecErrors(s *corev1.PodSpec, meta *metav1.ObjectMeta, path *field.Path) field.ErrorList {
	c := podSpecCheck{
		spec: s, path: path, meta: meta,
		volumes:   map[string]*corev1.VolumeSource{},
		claims:    sets.New[string](),
		hostUsers: s.HostUsers == nil || *s.HostUsers,
	}
	c.check()
	return c.list
}

func (c *podSpecCheck) check() {
	if c.spec.TerminationGracePeriodSeconds == nil {
		c.required(c.path.Child("terminationGracePeriodSeconds"), "")
	}
	c.checkVolumes()
	c.checkResourceClaims()
	c.checkContainers()
	c.checkInitContainers()
	c.checkEphemeralContainers()
	c.checkPodResources()
	c.checkHostPorts()
	oneOf(&c.podErrors, c.path.Child("restartPolicy"), c.spec.RestartPolicy,
		corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
	oneOf(&c.podErrors, c.path.Child("dnsPolicy"), c.spec.DNSPolicy,
		corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)
	c.add(metavalidation.ValidateLabels(c.spec.NodeSelector, c.path.Child("nodeSelector").Common())...)
	c.checkPodSecurity()
	c.checkAffinity()
	c.checkDNSConfig()
	c.checkGates()
	c.checkTopologySpread()
	c.checkHostProcess()
	c.checkHostUsers()
	c.checkHostnameOverride()
	c.checkNames()
	c.checkTolerations()
	c.checkHostAliases()
	c.checkClasses()
	c.checkOS()
	c.checkFileKeyVolumes()
}

// checkNames covers the fields that name something or somebody.
func (c *podSpecCheck) checkNames() {
	s := c.spec
	if s.ServiceAccountName != "" {
		c.invalid(c.path.Child("serviceAccountName"), s.ServiceAccountName, apivalidation.ValidateServiceAccountName(s.ServiceAccountName, false)...)
	}
	if s.NodeName != "" {
		c.invalid(c.path.Child("nodeName"), s.NodeName, apivalidation.NameIsDNSSubdomain(s.NodeName, false)...)
	}
	if d := s.ActiveDeadlineSeconds; d != nil && (*d < 1 || *d > math.MaxInt32) {
		c.invalid(c.path.Child("activeDeadlineSeconds"), *d, validation.InclusiveRangeError(1, math.MaxInt32))
	}
	if s.Hostname != "" {
		c.invalid(c.path.Child("hostname"), s.Hostname, validation.IsDNS1123Label(s.Hostname)...)
	}
	if s.Subdomain != "" {
		c.invalid(c.path.Child("subdomain"), s.Subdomain, validation.IsDNS1123Label(s.Subdomain)...)
	}
}

// checkClasses covers the classes that a pod is in, and what they bring along.
func (c *podSpecCheck) checkClasses() {
	s := c.spec
	if s.PriorityClassName != "" {
		c.invalid(c.path.Child("priorityClassName"), s.PriorityClassName, apivalidation.NameIsDNSSubdomain(s.PriorityClassName, false)...)
	}
	if s.RuntimeClassName != nil {
		c.invalid(c.path.Child("runtimeClassName"), *s.RuntimeClassName, apivalidation.NameIsDNSSubdomain(*s.RuntimeClassName, false)...)
	}
	if s.PreemptionPolicy != nil {
		oneOf(&c.podErrors, c.path.Child("preemptionPolicy"), *s.PreemptionPolicy, corev1.PreemptLowerPriority, corev1.PreemptNever)
	}
	if s.Overhead != nil {
		c.checkResources(&corev1.ResourceRequirements{Limits: s.Overhead}, containerResourceName, nil, c.path.Child("overhead"))
	}
}
