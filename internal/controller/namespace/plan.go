package namespace

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// resource is a resource whose objects are to be deleted with their namespace.
type resource struct {
	schema.GroupVersionResource
	kind       string
	collection bool // they can be deleted together
}

var pods = schema.GroupResource{Resource: "pods"}

// contents is what a namespace may hold, pods first, each resource in its preferred version. What cannot be
// listed cannot be waited for and is left out. bad says which group versions make no sense.
func contents(lists []metav1.APIResourceList) (all []resource, bad error) {
	seen := map[schema.GroupResource]bool{}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			bad = err
			continue
		}
		for _, x := range l.APIResources {
			r := resource{gv.WithResource(x.Name), x.Kind, slices.Contains(x.Verbs, "deletecollection")}
			if !x.Namespaced || strings.Contains(x.Name, "/") || seen[r.GroupResource()] ||
				!slices.Contains(x.Verbs, "delete") || !slices.Contains(x.Verbs, "list") {
				continue
			}
			seen[r.GroupResource()] = true
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b resource) int { return order(a) - order(b) })
	return all, bad
}

func order(r resource) int {
	if r.GroupResource() == pods {
		return 0
	}
	return 1
}

// finalizerPatience is how long the finalizers of objects are expected to take.
const finalizerPatience = 15 * time.Second

// findings are what deleting the contents has come to.
type findings struct {
	discovery, parsing error
	deletion           []error
	remaining          map[schema.GroupResource]int
	finalizers         map[string]int
	wait               time.Duration // until the rest should be gone
}

// remain notes what is left of a resource. grace is what its objects take to end; an error says that they had
// no reason to be left.
func (f *findings) remain(namespace string, r resource, left []*metav1.PartialObjectMetadata, grace time.Duration) error {
	if len(left) == 0 {
		return nil
	}
	if f.remaining == nil {
		f.remaining, f.finalizers = map[schema.GroupResource]int{}, map[string]int{}
	}
	f.remaining[r.GroupResource()] = len(left)
	finalizers := false
	for _, o := range left {
		for _, name := range o.Finalizers {
			f.finalizers[name]++
			finalizers = true
		}
	}
	switch {
	case grace > 0:
		f.wait = max(f.wait, grace)
	case finalizers:
		f.wait = max(f.wait, finalizerPatience)
	default:
		return fmt.Errorf("unexpected items still remain in namespace: %s for gvr: %v", namespace, r.GroupVersionResource)
	}
	return nil
}

// podGrace is how much longer the pods of a namespace may take after it was deleted; zero if their time is up.
func podGrace(all []*corev1.Pod, deleted, now time.Time) time.Duration {
	var grace time.Duration
	for _, p := range all {
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		if s := p.Spec.TerminationGracePeriodSeconds; s != nil {
			grace = max(grace, time.Duration(*s)*time.Second)
		}
	}
	if now.Sub(deleted) >= grace {
		return 0
	}
	return grace
}

// conditions are what a namespace tells about its end. As long as the pods are waited for, nothing is known of
// the rest.
func (f *findings) conditions(podsOnly bool) []corev1.NamespaceCondition {
	all := []corev1.NamespaceCondition{
		condition(corev1.NamespaceDeletionDiscoveryFailure, f.discovery != nil, "DiscoveryFailed", message(f.discovery),
			"ResourcesDiscovered", "All resources successfully discovered"),
		condition(corev1.NamespaceDeletionGVParsingFailure, f.parsing != nil, "GroupVersionParsingFailed", message(f.parsing),
			"ParsedGroupVersions", "All legacy kube types successfully parsed"),
		condition(corev1.NamespaceDeletionContentFailure, len(f.deletion) > 0, "ContentDeletionFailed", f.failures(),
			"ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
	}
	return append(all,
		condition(corev1.NamespaceContentRemaining, len(f.remaining) > 0 && !podsOnly, "SomeResourcesRemain",
			"Some resources are remaining: "+list(f.remaining, func(r schema.GroupResource, n int) string {
				return fmt.Sprintf("%s.%s has %d resource instances", r.Resource, r.Group, n)
			}),
			"ContentRemoved", "All content successfully removed"),
		condition(corev1.NamespaceFinalizersRemaining, len(f.finalizers) > 0 && !podsOnly, "SomeFinalizersRemain",
			"Some content in the namespace has finalizers remaining: "+list(f.finalizers, func(name string, n int) string {
				return fmt.Sprintf("%s in %d resource instances", name, n)
			}),
			"ContentHasNoFinalizers", "All content-preserving finalizers finished"),
	)
}

func condition(t corev1.NamespaceConditionType, bad bool, reason, message, goodReason, goodMessage string) corev1.NamespaceCondition {
	if bad {
		return corev1.NamespaceCondition{Type: t, Status: corev1.ConditionTrue, Reason: reason, Message: message}
	}
	return corev1.NamespaceCondition{Type: t, Status: corev1.ConditionFalse, Reason: goodReason, Message: goodMessage}
}

func (f *findings) failures() string {
	var all []string
	for _, err := range f.deletion {
		all = append(all, err.Error())
	}
	slices.Sort(all)
	return fmt.Sprintf("Failed to delete all resource types, %d remaining: %s", len(all), strings.Join(all, ", "))
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func list[K comparable](counts map[K]int, say func(K, int) string) string {
	var all []string
	for k, n := range counts {
		all = append(all, say(k, n))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// tell writes conditions into a status and tells whether that changed anything.
func tell(status *corev1.NamespaceStatus, conditions []corev1.NamespaceCondition, now time.Time) (changed bool) {
	for _, c := range conditions {
		c.LastTransitionTime = metav1.NewTime(now)
		n := slices.IndexFunc(status.Conditions, func(old corev1.NamespaceCondition) bool { return old.Type == c.Type })
		if n < 0 {
			status.Conditions = append(status.Conditions, c)
			changed = true
			continue
		}
		old := &status.Conditions[n]
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		if old.Status != c.Status || old.Reason != c.Reason || old.Message != c.Message {
			*old = c
			changed = true
		}
	}
	return changed
}
