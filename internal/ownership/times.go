package ownership

import (
	"reflect"

	"github.com/proa-dev/proa/internal/registry"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KeepTimes takes back the times of new's entries where nothing else differs from the stored object, of whose
// resourceVersion new need not know, so that a write without effect is one.
func KeepTimes(live, new registry.Object) {
	old, entries := live.GetManagedFields(), new.GetManagedFields()
	if len(entries) == 0 || !differOnlyInTime(old, entries) {
		return
	}
	revision := new.GetResourceVersion()
	defer func() { new.SetResourceVersion(revision) }()
	new.SetResourceVersion(live.GetResourceVersion())
	new.SetManagedFields(old)
	if !sameObject(live, new) {
		new.SetManagedFields(entries)
	}
}

func sameObject(live, new registry.Object) bool {
	if isUnstructured(new) {
		return equality.Semantic.DeepEqualWithNilDifferentFromEmpty(live, new)
	}
	return equality.Semantic.DeepEqual(live, new)
}

// differOnlyInTime tells that the entries are the same and some time is not.
func differOnlyInTime(old, new []metav1.ManagedFieldsEntry) bool {
	if len(old) != len(new) {
		return false
	}
	times := false
	for i := range new {
		a, b := old[i], new[i]
		times = times || !a.Time.Equal(b.Time)
		a.Time, b.Time = nil, nil
		if !reflect.DeepEqual(a, b) {
			return false
		}
	}
	return times
}
