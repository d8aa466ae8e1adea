// Package owned is about the objects that an object controls: it finds them, adopts those that fit and have
// no controller, releases those that fit no longer, and tells a loop when they change.
package owned

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/informer"
)

const index = "controller"

// Index makes an informer's objects findable by By and Orphans.
func Index[T any](i *informer.Informer[T]) {
	i.AddIndex(index, func(o *T) []string {
		if ref := metav1.GetControllerOfNoCopy(object(o)); ref != nil {
			return []string{string(ref.UID)}
		}
		return []string{orphansOf(object(o).GetNamespace())}
	})
}

// By is the objects whose controller has the UID.
func By[T any](i *informer.Informer[T], uid types.UID) []*T { return i.ByIndex(index, string(uid)) }

// Orphans is the objects of a namespace that have no controller.
func Orphans[T any](i *informer.Informer[T], namespace string) []*T {
	return i.ByIndex(index, orphansOf(namespace))
}

func orphansOf(namespace string) string { return "/" + namespace }

// Selects tells whether a selector matches labels. One that is nil, empty or invalid matches nothing: no
// workload controls everything.
func Selects(s *metav1.LabelSelector, l map[string]string) bool {
	if s == nil || len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		return false
	}
	if !Contains(l, s.MatchLabels) {
		return false
	}
	if len(s.MatchExpressions) == 0 {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(l))
}

// Contains tells whether all labels in want are in l.
func Contains(l, want map[string]string) bool {
	for k, v := range want {
		if got, ok := l[k]; !ok || got != v {
			return false
		}
	}
	return true
}

func object[T any](o *T) client.Object { return any(o).(client.Object) }
