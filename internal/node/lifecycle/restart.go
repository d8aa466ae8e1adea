package lifecycle

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Bounds of the delay between the end of a container and its next start. The first restart has none.
const (
	firstBackoff = 10 * time.Second
	maxBackoff   = 5 * time.Minute
)

// Backoff is how a container was restarted so far.
type Backoff struct {
	Delay time.Duration // before the next restart
	Since time.Time     // of the last restart
}

// due is when a container that ended may be started again.
func (b Backoff) due(finished time.Time) time.Time {
	if b.expired(finished) {
		return finished
	}
	return finished.Add(b.Delay)
}

func (b Backoff) next(finished, now time.Time) Backoff {
	if b.expired(finished) {
		return Backoff{Delay: firstBackoff, Since: now}
	}
	return Backoff{Delay: min(2*b.Delay, maxBackoff), Since: now}
}

// expired tells whether the container ran for so long that its past does not count.
func (b Backoff) expired(finished time.Time) bool {
	return b.Delay == 0 || finished.Sub(b.Since) > 2*maxBackoff
}

func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// restarts tells whether a container that ended with a code is started again. What a container says for
// itself goes before what the pod says for all; a rule of the container goes before both.
func restarts(p *corev1.Pod, c *corev1.Container, code int32) bool {
	if isInit(p, c) && c.RestartPolicy == nil && code == 0 {
		return false
	}
	if c.RestartPolicy == nil {
		return restartsUnder(string(p.Spec.RestartPolicy), code)
	}
	for _, r := range c.RestartPolicyRules {
		if r.ExitCodes == nil {
			continue
		}
		if slices.Contains(r.ExitCodes.Values, code) == (r.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) {
			return r.Action == corev1.ContainerRestartRuleActionRestart || restartsUnder(string(*c.RestartPolicy), code)
		}
	}
	return restartsUnder(string(*c.RestartPolicy), code)
}

func restartsUnder(policy string, code int32) bool {
	switch policy {
	case string(corev1.RestartPolicyNever):
		return false
	case string(corev1.RestartPolicyOnFailure):
		return code != 0
	}
	return true
}

func isInit(p *corev1.Pod, c *corev1.Container) bool {
	return slices.ContainsFunc(p.Spec.InitContainers, func(i corev1.Container) bool { return i.Name == c.Name })
}
