package job

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// failure is what the pod failure policy makes of a failed pod.
type failure struct {
	action  batchv1.PodFailurePolicyAction // Count if no rule applies
	message string                         // why the job fails, of FailJob
}

func (f failure) counts() bool { return f.action != batchv1.PodFailurePolicyActionIgnore }

// judgeFailure goes by the first rule that applies.
func judgeFailure(policy *batchv1.PodFailurePolicy, p *corev1.Pod) failure {
	if policy == nil {
		return failure{action: batchv1.PodFailurePolicyActionCount}
	}
	for n, rule := range policy.Rules {
		reason := ""
		switch {
		case rule.OnExitCodes != nil:
			if c := exitedWith(p, rule.OnExitCodes); c != nil {
				reason = fmt.Sprintf("Container %s for pod %s/%s failed with exit code %v", c.Name, p.Namespace, p.Name, c.State.Terminated.ExitCode)
			}
		case rule.OnPodConditions != nil:
			if c := conditionOf(p, rule.OnPodConditions); c != nil {
				reason = fmt.Sprintf("Pod %s/%s has condition %v", p.Namespace, p.Name, c.Type)
			}
		}
		if reason == "" {
			continue
		}
		f := failure{action: rule.Action}
		if rule.Action == batchv1.PodFailurePolicyActionFailJob {
			f.message = fmt.Sprintf("%s matching %v rule at index %d", reason, rule.Action, n)
		}
		return f
	}
	return failure{action: batchv1.PodFailurePolicyActionCount}
}

// exitedWith is the first container, before init containers, whose exit code a rule is about.
func exitedWith(p *corev1.Pod, r *batchv1.PodFailurePolicyOnExitCodesRequirement) *corev1.ContainerStatus {
	for _, statuses := range [][]corev1.ContainerStatus{p.Status.ContainerStatuses, p.Status.InitContainerStatuses} {
		for n := range statuses {
			c := &statuses[n]
			if c.State.Terminated == nil || c.State.Terminated.ExitCode == 0 || r.ContainerName != nil && *r.ContainerName != c.Name {
				continue
			}
			listed := slices.Contains(r.Values, c.State.Terminated.ExitCode)
			if listed && r.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn || !listed && r.Operator == batchv1.PodFailurePolicyOnExitCodesOpNotIn {
				return c
			}
		}
	}
	return nil
}

func conditionOf(p *corev1.Pod, patterns []batchv1.PodFailurePolicyOnPodConditionsPattern) *corev1.PodCondition {
	for n := range p.Status.Conditions {
		c := &p.Status.Conditions[n]
		if slices.ContainsFunc(patterns, func(x batchv1.PodFailurePolicyOnPodConditionsPattern) bool {
			return x.Type == c.Type && x.Status == c.Status
		}) {
			return c
		}
	}
	return nil
}

// succeedsBy is the first rule of the success policy that is met.
func succeedsBy(policy *batchv1.SuccessPolicy, completions int, done indexes) (message string, met bool) {
	if policy == nil || len(done) == 0 {
		return "", false
	}
	for n, rule := range policy.Rules {
		if meets(rule, completions, done) {
			return fmt.Sprintf("Matched rules at index %d", n), true
		}
	}
	return "", false
}

func meets(rule batchv1.SuccessPolicyRule, completions int, done indexes) bool {
	if rule.SucceededIndexes == nil {
		return rule.SucceededCount != nil && done.len() >= int(*rule.SucceededCount)
	}
	wanted := parseIndexes(*rule.SucceededIndexes, completions)
	if len(wanted) == 0 {
		return false
	}
	n := wanted.common(done)
	return n == wanted.len() || rule.SucceededCount != nil && n >= int(*rule.SucceededCount)
}
