package garbage

import (
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestJudge(t *testing.T) {
	const background, foreground, orphan = metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan
	for name, c := range map[string]struct {
		owners        []standing
		hasDependents bool
		finalizers    []string
		want          verdict
	}{
		"no owner":                     {want: verdict{}},
		"an owner":                     {owners: []standing{solid}, want: verdict{}},
		"two owners":                   {owners: []standing{solid, solid}, hasDependents: true, want: verdict{}},
		"one of two is gone":           {owners: []standing{dangling, solid}, want: verdict{drop: []types.UID{"0"}}},
		"one of two waits":             {owners: []standing{solid, waiting}, hasDependents: true, want: verdict{drop: []types.UID{"1"}}},
		"one of three is there":        {owners: []standing{waiting, solid, dangling}, want: verdict{drop: []types.UID{"0", "2"}}},
		"all gone":                     {owners: []standing{dangling, dangling}, hasDependents: true, want: verdict{remove: background}},
		"all gone, wants to orphan":    {owners: []standing{dangling}, finalizers: []string{"x", metav1.FinalizerOrphanDependents}, want: verdict{remove: orphan}},
		"all gone, wants to wait":      {owners: []standing{dangling}, finalizers: []string{metav1.FinalizerDeleteDependents}, want: verdict{remove: foreground}},
		"owner waits for a leaf":       {owners: []standing{waiting}, want: verdict{remove: background}},
		"owner waits for a tree":       {owners: []standing{waiting, dangling}, hasDependents: true, want: verdict{remove: foreground}},
		"owner waits for an orphaning": {owners: []standing{waiting}, hasDependents: true, finalizers: []string{metav1.FinalizerOrphanDependents}, want: verdict{remove: foreground}},
	} {
		o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Finalizers: c.finalizers}}
		for n := range c.owners {
			o.OwnerReferences = append(o.OwnerReferences, metav1.OwnerReference{UID: types.UID(rune('0' + n))})
		}
		if got := judge(o, c.owners, c.hasDependents); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
