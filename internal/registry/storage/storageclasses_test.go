package storage

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/registrytest"
)

func TestStorageClass(t *testing.T) {
	valid := func() *storagev1.StorageClass {
		return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "example.com/Disk", Parameters: map[string]string{"type": "ssd"}}
	}
	zones := func(key string, values ...string) corev1.TopologySelectorTerm {
		return corev1.TopologySelectorTerm{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: key, Values: values}}}
	}
	type row = registrytest.Edit[storagev1.StorageClass]
	registrytest.Create(t, StorageClasses, valid,
		row{"no provisioner", func(c *storagev1.StorageClass) { c.Provisioner = "" }, []string{"provisioner: Required value"}},
		row{"empty key", func(c *storagev1.StorageClass) { c.Parameters = map[string]string{"": "x"} },
			[]string{`parameters: Invalid value: "": field can not be empty.`}},
		row{"too many parameters", func(c *storagev1.StorageClass) {
			for i := range 513 {
				c.Parameters[fmt.Sprint(i)] = ""
			}
		}, []string{"parameters: Too long: may not be more than 512 bytes"}},
		row{"too long parameters", func(c *storagev1.StorageClass) { c.Parameters["x"] = strings.Repeat("x", 256<<10) },
			[]string{"parameters: Too long: may not be more than 262144 bytes"}},
		row{"reclaim", func(c *storagev1.StorageClass) { c.ReclaimPolicy = ptr.To(corev1.PersistentVolumeReclaimRecycle) },
			[]string{`reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"`}},
		row{"binding", func(c *storagev1.StorageClass) { c.VolumeBindingMode = ptr.To(storagev1.VolumeBindingMode("Late")) },
			[]string{`volumeBindingMode: Unsupported value: "Late": supported values: "Immediate", "WaitForFirstConsumer"`}},
		row{"topologies", func(c *storagev1.StorageClass) {
			c.AllowedTopologies = []corev1.TopologySelectorTerm{zones("zone", "a", "b"), zones("zone", "b", "a"), zones("zone"), zones("rack", "x", "x")}
		}, []string{
			`allowedTopologies[1].matchLabelExpressions: Duplicate value: ""`,
			"allowedTopologies[2].matchLabelExpressions[0].values: Required value",
			`allowedTopologies[3].matchLabelExpressions[0].values[1]: Duplicate value: "x"`,
		}},
	)
	registrytest.Update(t, StorageClasses, valid,
		row{"parameters", func(c *storagev1.StorageClass) { c.Parameters = nil }, []string{"parameters: Invalid value: null: field is immutable"}},
		row{"provisioner", func(c *storagev1.StorageClass) { c.Provisioner = "other" }, []string{`provisioner: Invalid value: "other": field is immutable`}},
		row{"reclaim", func(c *storagev1.StorageClass) { c.ReclaimPolicy = ptr.To(corev1.PersistentVolumeReclaimRetain) },
			[]string{`reclaimPolicy: Invalid value: "Retain": field is immutable`}},
		row{"binding", func(c *storagev1.StorageClass) {
			c.VolumeBindingMode = ptr.To(storagev1.VolumeBindingWaitForFirstConsumer)
		},
			[]string{`volumeBindingMode: Invalid value: "WaitForFirstConsumer": field is immutable`}},
		row{"expansion", func(c *storagev1.StorageClass) { c.AllowVolumeExpansion = ptr.To(true) }, nil},
	)
	c, typ := valid(), StorageClasses.Erase()
	typ.Default(c)
	cells := map[string]any{"Name": "fast", "Provisioner": "example.com/Disk", "ReclaimPolicy": "Delete", "VolumeBindingMode": "Immediate", "AllowVolumeExpansion": false}
	registrytest.Columns(t, typ, c, cells)
	c.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
	cells["Name"] = "fast (default)"
	registrytest.Columns(t, typ, c, cells)

	c.AllowedTopologies = []corev1.TopologySelectorTerm{zones("failure-domain.beta.kubernetes.io/zone", "a")}
	want := []string{`allowedTopologies[0].matchLabelExpressions[0].key: deprecated since v1.17; use "topology.kubernetes.io/zone" instead`}
	if got := typ.Warn(c, nil); !slices.Equal(got, want) {
		t.Errorf("warnings %q, want %q", got, want)
	}
}
