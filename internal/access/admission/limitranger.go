package admission

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/component-helpers/resource"

	"github.com/proa-dev/proa/internal/access"
)

var (
	limitRanges = schema.GroupResource{Resource: "limitranges"}
	claims      = schema.GroupResource{Resource: "persistentvolumeclaims"}
)

// limitRangerSet is the annotation that tells what the plugin filled in.
const limitRangerSet = "kubernetes.io/limit-ranger"

// LimitRanger fills in containers' default requests and limits, and refuses pods and claims that are
// beyond the namespace's limits.
type LimitRanger struct {
	Objects access.Objects
}

var (
	_ Mutator   = LimitRanger{}
	_ Validator = LimitRanger{}
)

// Name implements Plugin.
func (LimitRanger) Name() string { return "LimitRanger" }

// Handles implements Plugin. What containers ask for changes after their creation only by resize.
func (LimitRanger) Handles(op Operation, resource schema.GroupResource, subresource string) bool {
	switch resource {
	case pods:
		return op == Create && subresource == "" || op == Update && subresource == "resize"
	case claims:
		return subresource == "" && (op == Create || op == Update)
	}
	return false
}

// Mutate implements Mutator.
func (l LimitRanger) Mutate(ctx context.Context, r *Request) error {
	pod, ok := r.Object.(*corev1.Pod)
	if !ok {
		return nil
	}
	return l.each(ctx, r, func(limits *corev1.LimitRange) error {
		fillLimits(pod, limits)
		return nil
	})
}

// Validate implements Validator.
func (l LimitRanger) Validate(ctx context.Context, r *Request) error {
	return l.each(ctx, r, func(limits *corev1.LimitRange) error {
		switch o := r.Object.(type) {
		case *corev1.Pod:
			return checkPod(o, limits)
		case *corev1.PersistentVolumeClaim:
			return checkClaim(o, limits)
		}
		return nil
	})
}

func (l LimitRanger) each(ctx context.Context, r *Request, f func(*corev1.LimitRange) error) error {
	if r.Old != nil {
		if old, err := meta.Accessor(r.Old); err == nil && old.GetDeletionTimestamp() != nil {
			return nil
		}
	}
	all, err := access.List[corev1.LimitRange](ctx, l.Objects, limitRanges, r.Namespace, nil)
	if err != nil {
		return Forbidden(r, fmt.Errorf("unable to %s %v at this time because there was an error enforcing limit ranges", r.Operation, r.Resource))
	}
	for _, limits := range all {
		if err := f(limits); err != nil {
			return Forbidden(r, err)
		}
	}
	return nil
}

func fillLimits(pod *corev1.Pod, limits *corev1.LimitRange) {
	requests, maxima := corev1.ResourceList{}, corev1.ResourceList{}
	for _, l := range limits.Spec.Limits {
		if l.Type == corev1.LimitTypeContainer {
			maps.Copy(requests, l.DefaultRequest)
			maps.Copy(maxima, l.Default)
		}
	}
	var notes []string
	for _, list := range []struct {
		kind       string
		containers []corev1.Container
	}{{"container", pod.Spec.Containers}, {"init container", pod.Spec.InitContainers}} {
		for i := range list.containers {
			c := &list.containers[i]
			if added := fill(&c.Resources.Requests, requests); added != "" {
				notes = append(notes, fmt.Sprintf("%s request for %s %s", added, list.kind, c.Name))
			}
			if added := fill(&c.Resources.Limits, maxima); added != "" {
				notes = append(notes, fmt.Sprintf("%s limit for %s %s", added, list.kind, c.Name))
			}
		}
	}
	if len(notes) == 0 {
		return
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[limitRangerSet] = "LimitRanger plugin set: " + strings.Join(notes, "; ")
}

// fill adds what the list lacks and returns its names.
func fill(list *corev1.ResourceList, defaults corev1.ResourceList) string {
	var added []string
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		if _, ok := (*list)[name]; ok {
			continue
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[name] = defaults[name].DeepCopy()
		added = append(added, string(name))
	}
	return strings.Join(added, ", ")
}

func checkPod(pod *corev1.Pod, limits *corev1.LimitRange) error {
	var errs []error
	for _, l := range limits.Spec.Limits {
		switch l.Type {
		case corev1.LimitTypeContainer:
			for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
				for _, c := range list {
					errs = append(errs, checkLimits(l, c.Resources.Requests, c.Resources.Limits)...)
				}
			}
		case corev1.LimitTypePod:
			options := resource.PodResourcesOptions{ExcludeOverhead: true}
			errs = append(errs, checkLimits(l, resource.PodRequests(pod, options), resource.PodLimits(pod, options))...)
		}
	}
	return utilerrors.NewAggregate(errs)
}

func checkClaim(claim *corev1.PersistentVolumeClaim, limits *corev1.LimitRange) error {
	var errs []error
	for _, l := range limits.Spec.Limits {
		if l.Type != corev1.LimitTypePersistentVolumeClaim {
			continue
		}
		requests := claim.Spec.Resources.Requests
		errs = append(errs, eachOf(l.Min, func(b bound) error { return b.atLeast(requests, nil) }, l.Type)...)
		errs = append(errs, eachOf(l.Max, func(b bound) error { return b.requestAtMost(requests) }, l.Type)...)
	}
	return utilerrors.NewAggregate(errs)
}

func checkLimits(l corev1.LimitRangeItem, requests, limits corev1.ResourceList) []error {
	errs := eachOf(l.Min, func(b bound) error { return b.atLeast(requests, limits) }, l.Type)
	errs = append(errs, eachOf(l.Max, func(b bound) error { return b.atMost(requests, limits) }, l.Type)...)
	return append(errs, eachOf(l.MaxLimitRequestRatio, func(b bound) error { return b.ratio(requests, limits) }, l.Type)...)
}
