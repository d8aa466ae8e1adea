package apiserver

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/component-helpers/apps/poddisruptionbudget"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/registry"
)

var (
	evictionKind = schema.GroupVersionKind{Group: "policy", Version: "v1", Kind: "Eviction"}
	budgets      = schema.GroupResource{Group: "policy", Resource: "poddisruptionbudgets"}
	maxDisrupted = 2000 // pods that a budget may have in its disruptedPods
)

// evict deletes a pod if its disruption budget allows that.
func (s *Server) evict(ctx context.Context, c *call) (*answer, error) {
	e := &policyv1.Eviction{}
	want := evictionKind
	if c.body.object == nil && strings.Contains(string(c.body.data[:min(len(c.body.data), 512)]), "policy/v1beta1") {
		want.Version = "v1beta1"
	}
	if err := c.decodeBody(e, want); err != nil {
		return nil, err
	}
	if e.Name != "" && e.Name != c.name {
		return nil, badRequest("name in URL does not match name in Eviction object")
	}
	c.delete = metav1.DeleteOptions{}
	if e.DeleteOptions != nil {
		c.delete = *e.DeleteOptions
	}
	c.delete.DryRun = append(c.delete.DryRun, c.create.DryRun...)
	if err := c.settleDelete(); err != nil {
		return nil, err
	}
	if err := s.evictable(ctx, c); err != nil {
		return nil, err
	}
	// The deletion is an ordinary one from here on.
	pod := *c
	pod.verb, pod.subresource, pod.body = "delete", "", body{}
	if _, err := s.delete(ctx, &pod); err != nil {
		return nil, err
	}
	return created(), nil
}

// evictable spends the budget of a pod that has one, and marks the pod.
func (s *Server) evictable(ctx context.Context, c *call) error {
	pod, err := access.Get[corev1.Pod](ctx, s, schema.GroupResource{Resource: "pods"}, c.namespace, c.name)
	if err != nil {
		return err
	}
	if bypassesBudget(pod) {
		return nil
	}
	all, err := access.List[policyv1.PodDisruptionBudget](ctx, s, budgets, c.namespace, nil)
	if err != nil {
		return err
	}
	var matching []*policyv1.PodDisruptionBudget
	for _, b := range all {
		sel, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err == nil && sel.Matches(labels.Set(pod.Labels)) {
			matching = append(matching, b)
		}
	}
	switch len(matching) {
	case 0:
	case 1:
		if err := s.spendBudget(ctx, c, matching[0], pod); err != nil {
			return err
		}
	default:
		return apierrors.NewInternalError(fmt.Errorf("this pod has more than one PodDisruptionBudget, which the eviction subresource does not support"))
	}
	return s.markDisrupted(ctx, c)
}

// bypassesBudget tells of pods whose loss disrupts nothing.
func bypassesBudget(pod *corev1.Pod) bool {
	switch pod.Status.Phase {
	case corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending:
		return true
	}
	return pod.DeletionTimestamp != nil
}

func podReady(pod *corev1.Pod) bool {
	for _, cond := range pod.Status.Conditions {
		if cond.Type == corev1.PodReady {
			return cond.Status == corev1.ConditionTrue
		}
	}
	return false
}

// spendBudget takes one disruption from the budget, which the server does in its own name.
func (s *Server) spendBudget(ctx context.Context, c *call, b *policyv1.PodDisruptionBudget, pod *corev1.Pod) error {
	if policy := b.Spec.UnhealthyPodEvictionPolicy; !podReady(pod) {
		healthy := b.Status.CurrentHealthy >= b.Status.DesiredHealthy && b.Status.DesiredHealthy > 0
		if healthy || policy != nil && *policy == policyv1.AlwaysAllow {
			return nil
		}
	}
	rt := s.routes.Load().find(policyv1.SchemeGroupVersion, "poddisruptionbudgets")
	spend := &call{user: c.user, res: rt.res, typ: rt.res.Type, version: rt.version, verb: "update", subresource: "status", manager: "kube-apiserver", namespace: c.namespace, name: b.Name, dryRun: c.dryRun}
	_, err := s.replace(ctx, spend, func(live registry.Object) (registry.Object, error) {
		b, err := spent(live.(*policyv1.PodDisruptionBudget), c.name, metav1.NewTime(s.now()))
		if err != nil {
			return nil, err
		}
		s.own(spend, live, b)
		return b, nil
	})
	return err
}

// spent is the budget with one disruption less.
func spent(live *policyv1.PodDisruptionBudget, pod string, now metav1.Time) (*policyv1.PodDisruptionBudget, error) {
	switch {
	case live.Status.ObservedGeneration < live.Generation:
		err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 10)
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
			Type: policyv1.DisruptionBudgetCause, Message: fmt.Sprintf("The disruption budget %s is still being processed by the server.", live.Name),
		})
		return nil, err
	case live.Status.DisruptionsAllowed < 0:
		return nil, apierrors.NewForbidden(budgets, live.Name, fmt.Errorf("pdb disruptions allowed is negative"))
	case len(live.Status.DisruptedPods) > maxDisrupted:
		return nil, apierrors.NewForbidden(budgets, live.Name, fmt.Errorf("DisruptedPods map too big - too many evictions not confirmed by PDB controller"))
	case live.Status.DisruptionsAllowed == 0:
		err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0)
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
			Type:    policyv1.DisruptionBudgetCause,
			Message: fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", live.Name, live.Status.DesiredHealthy, live.Status.CurrentHealthy),
		})
		return nil, err
	}
	b := live.DeepCopy()
	b.Status.DisruptionsAllowed--
	if b.Status.DisruptedPods == nil {
		b.Status.DisruptedPods = map[string]metav1.Time{}
	}
	b.Status.DisruptedPods[pod] = now
	if b.Status.DisruptionsAllowed == 0 {
		poddisruptionbudget.UpdateDisruptionAllowedCondition(b)
	}
	return b, nil
}

// markDisrupted says on the pod why it goes.
func (s *Server) markDisrupted(ctx context.Context, c *call) error {
	_, err := s.replace(ctx, c, func(live registry.Object) (registry.Object, error) {
		pod := live.DeepCopyObject().(*corev1.Pod)
		setPodCondition(&pod.Status, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI",
			Message: "Eviction API: evicting", LastTransitionTime: metav1.NewTime(s.now()),
		})
		return pod, nil
	})
	return err
}
