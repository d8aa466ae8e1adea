package core

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

func (c *podSpecCheck) checkContainers() {
	path := c.path.Child("containers")
	if len(c.spec.Containers) == 0 {
		c.required(path, "")
		return
	}
	names := sets.New[string]()
	for i := range c.spec.Containers {
		ctr, at := &c.spec.Containers[i], path.Index(i)
		c.checkContainer(ctr, at)
		if names.Has(ctr.Name) {
			c.duplicate(at.Child("name"), ctr.Name)
		}
		names.Insert(ctr.Name)
		c.checkLifecycleAndProbes(ctr, at)
		c.checkRestartRules(ctr, at)
	}
	c.checkHostPortConflicts(c.spec.Containers, path)
}

func (c *podSpecCheck) checkInitContainers() {
	path := c.path.Child("initContainers")
	names := sets.New[string]()
	for i := range c.spec.Containers {
		names.Insert(c.spec.Containers[i].Name)
	}
	for i := range c.spec.InitContainers {
		ctr, at := &c.spec.InitContainers[i], path.Index(i)
		c.checkContainer(ctr, at)
		if ctr.RestartPolicy == nil && len(ctr.RestartPolicyRules) > 0 {
			c.required(at.Child("restartPolicy"), restartRulesNeedPolicy)
		} else {
			c.checkRestartRules(ctr, at)
		}
		if names.Has(ctr.Name) {
			c.duplicate(at.Child("name"), ctr.Name)
		} else if ctr.Name != "" {
			names.Insert(ctr.Name)
		}
		// Init containers run one after another, so each may have the ports of another.
		c.checkHostPortConflicts(c.spec.InitContainers[i:i+1], path)
		if isSidecar(ctr) {
			c.checkLifecycleAndProbes(ctr, at)
			continue
		}
		c.forbidBesideSidecars(ctr, at)
	}
}

// forbidBesideSidecars refuses what makes sense for containers only that stay.
func (c *podSpecCheck) forbidBesideSidecars(ctr *corev1.Container, path *field.Path) {
	const reason = "may not be set for init containers without restartPolicy=Always"
	if ctr.Lifecycle != nil {
		c.forbid(path.Child("lifecycle"), reason)
	}
	if ctr.LivenessProbe != nil {
		c.forbid(path.Child("livenessProbe"), reason)
	}
	if ctr.ReadinessProbe != nil {
		c.forbid(path.Child("readinessProbe"), reason)
	}
	if ctr.StartupProbe != nil {
		c.forbid(path.Child("startupProbe"), reason)
	}
	for j, p := range ctr.ResizePolicy {
		if p.RestartPolicy == corev1.RestartContainer {
			c.invalid(path.Child("resizePolicy").Index(j).Child("restartPolicy"), p.RestartPolicy,
				"must not be set to 'RestartContainer' for non-sidecar initContainers")
		}
	}
}

func (c *podSpecCheck) checkEphemeralContainers() {
	path := c.path.Child("ephemeralContainers")
	lasting := sets.New[string]()
	for i := range c.spec.Containers {
		lasting.Insert(c.spec.Containers[i].Name)
	}
	for i := range c.spec.InitContainers {
		lasting.Insert(c.spec.InitContainers[i].Name)
	}
	names := lasting.Clone()
	for i := range c.spec.EphemeralContainers {
		eph, at := &c.spec.EphemeralContainers[i], path.Index(i)
		ctr := (*corev1.Container)(&eph.EphemeralContainerCommon)
		c.checkContainer(ctr, at)
		c.checkImageSpace(ctr, at)
		if names.Has(eph.Name) {
			c.duplicate(at.Child("name"), eph.Name)
		}
		names.Insert(eph.Name)
		if t := eph.TargetContainerName; t != "" && !lasting.Has(t) {
			c.add(field.NotFound(at.Child("targetContainerName"), t))
		}
		c.forbidOtherFields(eph.EphemeralContainerCommon, ephemeralFields, "cannot be set for an Ephemeral Container", at)
		for j, m := range eph.VolumeMounts {
			if m.SubPath != "" {
				c.forbid(at.Child("volumeMounts").Index(j).Child("subPath"), "cannot be set for an Ephemeral Container")
			}
			if m.SubPathExpr != "" {
				c.forbid(at.Child("volumeMounts").Index(j).Child("subPathExpr"), "cannot be set for an Ephemeral Container")
			}
		}
	}
}

// ephemeralFields are those that an ephemeral container may have: a list of the allowed ones, so that new
// fields of containers are refused until somebody thinks about them.
var ephemeralFields = sets.New("Name", "Image", "Command", "Args", "WorkingDir", "EnvFrom", "Env",
	"VolumeMounts", "VolumeDevices", "TerminationMessagePath", "TerminationMessagePolicy", "ImagePullPolicy",
	"SecurityContext", "Stdin", "StdinOnce", "TTY")

// forbidOtherFields refuses the fields of a struct that are set but not among the allowed ones.
func (e *podErrors) forbidOtherFields(value any, allowed sets.Set[string], reason string, path *field.Path) {
	v := reflect.ValueOf(value)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if allowed.Has(name) || v.Field(i).IsZero() {
			continue
		}
		e.forbid(path.Child(string(unicode.ToLower(rune(name[0])))+name[1:]), reason)
	}
}

// checkContainer covers what containers of all kinds have in common.
func (c *podSpecCheck) checkContainer(ctr *corev1.Container, path *field.Path) {
	if c.needed(path.Child("name"), ctr.Name) {
		c.invalid(path.Child("name"), ctr.Name, validation.IsDNS1123Label(ctr.Name)...)
	}
	c.needed(path.Child("image"), ctr.Image)
	oneOf(&c.podErrors, path.Child("terminationMessagePolicy"), ctr.TerminationMessagePolicy,
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)
	c.checkPorts(ctr.Ports, path.Child("ports"))
	c.checkEnv(ctr.Env, path.Child("env"))
	c.checkEnvFrom(ctr.EnvFrom, path.Child("envFrom"))
	c.checkMounts(ctr, path.Child("volumeMounts"))
	c.checkDevices(ctr, path.Child("volumeDevices"))
	c.checkPullPolicy(ctr.ImagePullPolicy, path.Child("imagePullPolicy"))
	c.checkResources(&ctr.Resources, containerResourceName, c.claims, path.Child("resources"))
	c.checkResizePolicy(ctr.ResizePolicy, path.Child("resizePolicy"))
	c.checkContainerSecurity(ctr.SecurityContext, path.Child("securityContext"))
}

// checkImageSpace is for containers of pods only: a space is a placeholder in some templates.
func (e *podErrors) checkImageSpace(ctr *corev1.Container, path *field.Path) {
	if strings.TrimSpace(ctr.Image) != ctr.Image {
		e.invalid(path.Child("image"), ctr.Image, "must not have leading or trailing whitespace")
	}
}

func (e *podErrors) checkPullPolicy(p corev1.PullPolicy, path *field.Path) {
	oneOf(e, path, p, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
}

func (e *podErrors) checkPorts(ports []corev1.ContainerPort, path *field.Path) {
	names := sets.New[string]()
	for i, p := range ports {
		at := path.Index(i)
		if p.Name != "" {
			switch msgs := validation.IsValidPortName(p.Name); {
			case len(msgs) > 0:
				e.invalid(at.Child("name"), p.Name, msgs...)
			case names.Has(p.Name):
				e.duplicate(at.Child("name"), p.Name)
			default:
				names.Insert(p.Name)
			}
		}
		if p.ContainerPort == 0 {
			e.required(at.Child("containerPort"), "")
		} else {
			e.invalid(at.Child("containerPort"), p.ContainerPort, validation.IsValidPortNum(int(p.ContainerPort))...)
		}
		if p.HostPort != 0 {
			e.invalid(at.Child("hostPort"), p.HostPort, validation.IsValidPortNum(int(p.HostPort))...)
		}
		oneOf(e, at.Child("protocol"), p.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
	}
}

// checkHostPortConflicts refuses two claims of one port of the node by containers that run at the same time.
func (e *podErrors) checkHostPortConflicts(containers []corev1.Container, path *field.Path) {
	taken := sets.New[string]()
	for i := range containers {
		for j, p := range containers[i].Ports {
			if p.HostPort == 0 {
				continue
			}
			key := fmt.Sprintf("%s/%s/%d", p.Protocol, p.HostIP, p.HostPort)
			if taken.Has(key) {
				e.duplicate(path.Index(i).Child("ports").Index(j).Child("hostPort"), key)
			}
			taken.Insert(key)
		}
	}
}

// checkHostPorts covers pods in the node's network: their ports are the node's. A template may leave the
// host's port open, since it is filled when the pod is made.
func (c *podSpecCheck) checkHostPorts() {
	if !c.spec.HostNetwork {
		return
	}
	for i := range c.spec.Containers {
		for j, p := range c.spec.Containers[i].Ports {
			if p.HostPort == p.ContainerPort || p.HostPort == 0 && c.meta == nil {
				continue
			}
			c.invalid(c.path.Child("containers").Index(i).Child("ports").Index(j).Child("hostPort"), p.HostPort,
				"must match `containerPort` when `hostNetwork` is true")
		}
	}
}
