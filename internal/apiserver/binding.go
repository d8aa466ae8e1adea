package apiserver

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/proa-dev/proa/internal/access/admission"
	"github.com/proa-dev/proa/internal/registry"
)

var bindingKind = schema.GroupVersionKind{Version: "v1", Kind: "Binding"}

// bind assigns a pod to a node.
func (s *Server) bind(ctx context.Context, c *call) (*answer, error) {
	b := &corev1.Binding{}
	if err := c.decodeBody(b, bindingKind); err != nil {
		return nil, err
	}
	if b.Name != "" && b.Name != c.name {
		return nil, badRequest("name in URL does not match name in Binding object")
	}
	if errs := validateBinding(b); len(errs) > 0 {
		return nil, apierrors.NewInvalid(bindingKind.GroupKind(), b.Name, errs)
	}
	c.dryRun = c.dryRun || len(c.create.DryRun) > 0
	adm := c.admission(admission.Create, nil, nil)
	adm.Object, adm.Kind = b, bindingKind
	if err := s.admit(ctx, adm); err != nil {
		return nil, err
	}
	_, err := s.replace(ctx, c, func(live registry.Object) (registry.Object, error) {
		return assignPod(c, live.(*corev1.Pod), b)
	})
	if err != nil {
		return nil, err
	}
	return created(), nil
}

// created is the answer of actions that have none of their own.
func created() *answer {
	return &answer{code: http.StatusCreated, other: &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess, Code: http.StatusCreated,
	}}
}

func validateBinding(b *corev1.Binding) field.ErrorList {
	var errs field.ErrorList
	target := field.NewPath("target")
	if kind := b.Target.Kind; kind != "" && kind != "Node" {
		errs = append(errs, field.NotSupported(target.Child("kind"), kind, []string{"Node", "<empty>"}))
	}
	if b.Target.Name == "" {
		errs = append(errs, field.Required(target.Child("name"), ""))
	}
	return errs
}

// assignPod returns the pod as the binding makes it.
func assignPod(c *call, live *corev1.Pod, b *corev1.Binding) (*corev1.Pod, error) {
	conflict := func(format string, args ...any) error {
		return apierrors.NewConflict(schema.GroupResource{Resource: "pods/binding"}, c.name, fmt.Errorf(format, args...))
	}
	switch {
	case b.UID != "" && b.UID != live.UID:
		return nil, c.uidConflict(string(b.UID), string(live.UID))
	case b.ResourceVersion != "" && b.ResourceVersion != live.ResourceVersion:
		return nil, c.conflict(modified)
	case live.DeletionTimestamp != nil:
		return nil, conflict("pod %s is being deleted, cannot be assigned to a host", live.Name)
	case live.Spec.NodeName != "":
		return nil, conflict("pod %v is already assigned to node %q", live.Name, live.Spec.NodeName)
	case len(live.Spec.SchedulingGates) > 0:
		return nil, conflict("pod %v has non-empty .spec.schedulingGates", live.Name)
	}
	assigned := *live // and shares what does not change
	pod := &assigned
	pod.Spec.NodeName = b.Target.Name
	pod.Status.NominatedNodeName = ""
	pod.Status.Conditions = slices.Clone(live.Status.Conditions)
	if len(b.Annotations) > 0 {
		pod.Annotations = merged(live.Annotations, b.Annotations)
	}
	if len(b.Labels) > 0 {
		pod.Labels = merged(b.Labels, live.Labels)
	}
	setPodCondition(&pod.Status, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
	return pod, nil
}

// merged is both maps in one; the second wins.
func merged(a, b map[string]string) map[string]string {
	both := make(map[string]string, len(a)+len(b))
	maps.Copy(both, a)
	maps.Copy(both, b)
	return both
}

// setPodCondition replaces the condition of the same type; its time stays if its status does.
func setPodCondition(s *corev1.PodStatus, cond corev1.PodCondition) {
	for i := range s.Conditions {
		if s.Conditions[i].Type != cond.Type {
			continue
		}
		if s.Conditions[i].Status == cond.Status {
			cond.LastTransitionTime = s.Conditions[i].LastTransitionTime
		}
		s.Conditions[i] = cond
		return
	}
	s.Conditions = append(s.Conditions, cond)
}
