package admission

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/registry"
)

var priorityClasses = schema.GroupResource{Group: schedulingv1.GroupName, Resource: "priorityclasses"}

// Priority resolves pods' priority classes, and keeps to one default class.
type Priority struct {
	mu      sync.RWMutex
	classes map[string]*schedulingv1.PriorityClass // guarded by mu
}

var (
	_ Mutator   = (*Priority)(nil)
	_ Validator = (*Priority)(nil)
)

// NewPriority returns the plugin, which follows the stored classes. The system's own two exist whether or
// not they are stored yet.
func NewPriority(objects access.Objects) *Priority {
	p := &Priority{classes: systemClasses()}
	objects.Follow(priorityClasses, p.changed)
	return p
}

func systemClasses() map[string]*schedulingv1.PriorityClass {
	classes := map[string]*schedulingv1.PriorityClass{}
	for name, value := range map[string]int32{"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000} {
		c := &schedulingv1.PriorityClass{Value: value, PreemptionPolicy: ptr.To(corev1.PreemptLowerPriority)}
		c.Name = name
		classes[name] = c
	}
	return classes
}

func (p *Priority) changed(_, name string, o registry.Object) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, ok := o.(*schedulingv1.PriorityClass); ok {
		p.classes[name] = c
		return
	}
	delete(p.classes, name)
	if c := systemClasses()[name]; c != nil {
		p.classes[name] = c
	}
}

// Name implements Plugin.
func (*Priority) Name() string { return "Priority" }

// Handles implements Plugin.
func (*Priority) Handles(op Operation, resource schema.GroupResource, subresource string) bool {
	return subresource == "" && (op == Create || op == Update) && (resource == pods || resource == priorityClasses)
}

// Mutate implements Mutator.
func (p *Priority) Mutate(_ context.Context, r *Request) error {
	pod, ok := r.Object.(*corev1.Pod)
	if !ok {
		return nil
	}
	if r.Operation == Create {
		return p.create(r, pod)
	}
	// Clients that do not know the fields drop them.
	if old, ok := r.Old.(*corev1.Pod); ok {
		if pod.Spec.Priority == nil {
			pod.Spec.Priority = old.Spec.Priority
		}
		if pod.Spec.PreemptionPolicy == nil {
			pod.Spec.PreemptionPolicy = old.Spec.PreemptionPolicy
		}
	}
	return nil
}

func (p *Priority) create(r *Request, pod *corev1.Pod) error {
	spec := &pod.Spec
	value, policy := int32(0), ptr.To(corev1.PreemptLowerPriority)
	class := p.class(spec.PriorityClassName)
	if class == nil && spec.PriorityClassName != "" {
		return Forbidden(r, fmt.Errorf("no PriorityClass with name %v was found", spec.PriorityClassName))
	}
	if class != nil {
		spec.PriorityClassName, value, policy = class.Name, class.Value, class.PreemptionPolicy
	}
	if spec.Priority != nil && *spec.Priority != value {
		return Forbidden(r, fmt.Errorf("the integer value of priority (%d) must not be provided in pod spec; priority admission controller computed %d from the given PriorityClass name", *spec.Priority, value))
	}
	spec.Priority = &value
	if policy == nil {
		return nil
	}
	if spec.PreemptionPolicy != nil && *spec.PreemptionPolicy != *policy {
		return Forbidden(r, fmt.Errorf("the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority admission controller computed %s from the given PriorityClass name", *spec.PreemptionPolicy, *policy))
	}
	spec.PreemptionPolicy = ptr.To(*policy)
	return nil
}

// class returns the class of that name, or the default one if the name is empty; nil if there is none.
func (p *Priority) class(name string) *schedulingv1.PriorityClass {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if name != "" {
		return p.classes[name]
	}
	var least *schedulingv1.PriorityClass
	for _, c := range p.classes {
		if c.GlobalDefault && (least == nil || c.Value < least.Value || c.Value == least.Value && c.Name < least.Name) {
			least = c
		}
	}
	return least
}

// Validate implements Validator.
func (p *Priority) Validate(_ context.Context, r *Request) error {
	class, ok := r.Object.(*schedulingv1.PriorityClass)
	if !ok || !class.GlobalDefault {
		return nil
	}
	if other := p.class(""); other != nil && (r.Operation == Create || other.Name != class.Name) {
		return Forbidden(r, fmt.Errorf("PriorityClass %v is already marked as default. Only one default can exist", other.Name))
	}
	return nil
}
