package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

func (c *podSpecCheck) checkLifecycleAndProbes(ctr *corev1.Container, path *field.Path) {
	if l := ctr.Lifecycle; l != nil {
		if l.PostStart != nil {
			c.checkHook(l.PostStart, path.Child("lifecycle", "postStart"))
		}
		if l.PreStop != nil {
			c.checkHook(l.PreStop, path.Child("lifecycle", "preStop"))
		}
	}
	if p := ctr.LivenessProbe; p != nil {
		c.checkProbe(p, path.Child("livenessProbe"))
		c.checkSuccessOnce(p, path.Child("livenessProbe"))
	}
	if p := ctr.ReadinessProbe; p != nil {
		at := path.Child("readinessProbe")
		c.checkProbe(p, at)
		if p.TerminationGracePeriodSeconds != nil {
			c.invalid(at.Child("terminationGracePeriodSeconds"), *p.TerminationGracePeriodSeconds, "must not be set for readinessProbes")
		}
	}
	if p := ctr.StartupProbe; p != nil {
		c.checkProbe(p, path.Child("startupProbe"))
		c.checkSuccessOnce(p, path.Child("startupProbe"))
	}
}

// checkSuccessOnce is for probes that kill: the first success clears the container.
func (e *podErrors) checkSuccessOnce(p *corev1.Probe, path *field.Path) {
	if p.SuccessThreshold != 1 {
		e.invalid(path.Child("successThreshold"), p.SuccessThreshold, "must be 1")
	}
}

func (c *podSpecCheck) checkProbe(p *corev1.Probe, path *field.Path) {
	c.checkHandler(podHandler{exec: p.Exec, httpGet: p.HTTPGet, tcp: p.TCPSocket, grpc: p.GRPC}, path)
	for _, f := range []struct {
		name  string
		value int32
	}{
		{"initialDelaySeconds", p.InitialDelaySeconds},
		{"timeoutSeconds", p.TimeoutSeconds},
		{"periodSeconds", p.PeriodSeconds},
		{"successThreshold", p.SuccessThreshold},
		{"failureThreshold", p.FailureThreshold},
	} {
		c.add(apivalidation.ValidateNonnegativeField(int64(f.value), path.Child(f.name).Common())...)
	}
	if g := p.TerminationGracePeriodSeconds; g != nil && *g <= 0 {
		c.invalid(path.Child("terminationGracePeriodSeconds"), *g, "must be greater than 0")
	}
}

func (c *podSpecCheck) checkHook(h *corev1.LifecycleHandler, path *field.Path) {
	c.checkHandler(podHandler{exec: h.Exec, httpGet: h.HTTPGet, tcp: h.TCPSocket, sleep: h.Sleep}, path)
}

// podHandler is what probes and hooks do: exactly one of these.
type podHandler struct {
	exec    *corev1.ExecAction
	httpGet *corev1.HTTPGetAction
	tcp     *corev1.TCPSocketAction
	grpc    *corev1.GRPCAction
	sleep   *corev1.SleepAction
}

func (c *podSpecCheck) checkHandler(h podHandler, path *field.Path) {
	found := false
	one := func(name string, set bool, check func(*field.Path)) {
		switch at := path.Child(name); {
		case !set:
		case found:
			c.forbid(at, "may not specify more than 1 handler type")
		default:
			found = true
			check(at)
		}
	}
	one("exec", h.exec != nil, func(at *field.Path) {
		if len(h.exec.Command) == 0 {
			c.required(at.Child("command"), "")
		}
	})
	one("httpGet", h.httpGet != nil, func(at *field.Path) { c.checkHTTPGet(h.httpGet, at) })
	one("tcpSocket", h.tcp != nil, func(at *field.Path) { c.checkPort(h.tcp.Port, at.Child("port")) })
	one("grpc", h.grpc != nil, func(at *field.Path) { c.checkPort(intstr.FromInt32(h.grpc.Port), at.Child("port")) })
	one("sleep", h.sleep != nil, func(at *field.Path) {
		limit := c.spec.TerminationGracePeriodSeconds
		if limit != nil && (h.sleep.Seconds < 0 || h.sleep.Seconds > *limit) {
			c.invalid(at, h.sleep.Seconds, fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", *limit))
		}
	})
	if !found {
		c.required(path, "must specify a handler type")
	}
}

func (e *podErrors) checkHTTPGet(h *corev1.HTTPGetAction, path *field.Path) {
	e.needed(path.Child("path"), h.Path)
	e.checkPort(h.Port, path.Child("port"))
	knownOf(e, path.Child("scheme"), h.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)
	for _, header := range h.HTTPHeaders {
		e.invalid(path.Child("httpHeaders"), header.Name, validation.IsHTTPHeaderName(header.Name)...)
	}
}

// checkPort covers a port by number or by the name that the container gives it.
func (e *podErrors) checkPort(port intstr.IntOrString, path *field.Path) {
	switch port.Type {
	case intstr.Int:
		e.invalid(path, port.IntValue(), validation.IsValidPortNum(port.IntValue())...)
	case intstr.String:
		e.invalid(path, port.StrVal, validation.IsValidPortName(port.StrVal)...)
	default:
		e.add(field.InternalError(path, fmt.Errorf("unknown type: %v", port.Type)))
	}
}

func (c *podSpecCheck) checkResizePolicy(policies []corev1.ContainerResizePolicy, path *field.Path) {
	seen := sets.New[corev1.ResourceName]()
	for i, p := range policies {
		if seen.Has(p.ResourceName) {
			c.duplicate(path.Index(i), p.ResourceName)
		}
		seen.Insert(p.ResourceName)
		oneOf(&c.podErrors, path, p.ResourceName, corev1.ResourceCPU, corev1.ResourceMemory)
		oneOf(&c.podErrors, path, p.RestartPolicy, corev1.NotRequired, corev1.RestartContainer)
		if c.spec.RestartPolicy == corev1.RestartPolicyNever && p.RestartPolicy != corev1.NotRequired {
			c.invalid(path, p.RestartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'")
		}
	}
}

const (
	restartRulesNeedPolicy = "must specify restartPolicy when restart rules are used"

	// maxRestartRules bounds the rules of one container, maxRestartExitCodes the values of one rule.
	maxRestartRules     = 20
	maxRestartExitCodes = 255
)

// checkRestartRules covers a container's own restart policy and the exit codes that are exceptions from it.
func (e *podErrors) checkRestartRules(ctr *corev1.Container, path *field.Path) {
	switch {
	case ctr.RestartPolicy != nil:
		knownOf(e, path.Child("restartPolicy"), *ctr.RestartPolicy,
			corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)
	case len(ctr.RestartPolicyRules) > 0:
		e.required(path.Child("restartPolicy"), restartRulesNeedPolicy)
	}
	rules := path.Child("restartPolicyRules")
	if n := len(ctr.RestartPolicyRules); n > maxRestartRules {
		e.add(field.TooMany(rules, n, maxRestartRules))
	}
	for i, r := range ctr.RestartPolicyRules {
		at := rules.Index(i)
		knownOf(e, at.Child("action"), r.Action,
			corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)
		if r.ExitCodes == nil {
			e.required(at.Child("exitCodes"), "must be specified")
			continue
		}
		knownOf(e, at.Child("exitCodes", "operator"), r.ExitCodes.Operator,
			corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)
		if n := len(r.ExitCodes.Values); n > maxRestartExitCodes {
			e.add(field.TooMany(at.Child("exitCodes", "values"), n, maxRestartExitCodes))
		}
	}
}
