package apiserver

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/proa-dev/proa/internal/registry/core"
)

// randomMeta is metadata that is in order, with up to one thing that need not be.
func randomMeta(r *rand.Rand) metav1.ObjectMeta {
	yes := true
	owner := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "a", UID: "u", Controller: &yes}
	m := metav1.ObjectMeta{
		Name: "a", Namespace: "n", UID: "u", ResourceVersion: "5", Generation: 3, CreationTimestamp: metav1.Unix(1e9, 0),
		Labels: map[string]string{"app": "web", "example.com/a": ""}, Annotations: map[string]string{"a/b": "any text"},
		OwnerReferences: []metav1.OwnerReference{owner},
		ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "m", Operation: "Update", FieldsType: "FieldsV1"}},
	}
	odd := []string{"", "A", "a_b", "-a", "a/b/c", "é", strings.Repeat("x", 300), "a b", "kubernetes", "orphan", "Apply"}
	text := odd[r.IntN(len(odd))]
	switch r.IntN(24) {
	case 0:
		m.Name = text
	case 1:
		m.Namespace = text
	case 2:
		m.UID = types.UID(text)
	case 3:
		m.ResourceVersion = text
	case 4:
		m.Generation = r.Int64N(5) - 2
	case 5:
		m.CreationTimestamp = metav1.Unix(r.Int64N(2)+1e9, 0)
	case 6:
		m.Labels[text] = "v"
	case 7:
		m.Labels["k"] = text
	case 8:
		m.Annotations[text] = text
	case 9:
		m.Annotations["big"] = strings.Repeat("x", validation.TotalAnnotationSizeLimitB-10+r.IntN(10))
	case 10:
		m.OwnerReferences[0].Name = text
	case 11:
		m.OwnerReferences[0].APIVersion = text
	case 12:
		m.OwnerReferences = append(m.OwnerReferences, owner)
	case 13:
		m.Finalizers = []string{text}
	case 14:
		m.ManagedFields[0].Manager = text
	case 15:
		m.ManagedFields[0].Operation = metav1.ManagedFieldsOperationType(text)
	case 16:
		m.ManagedFields[0].FieldsType = text
	case 17:
		m.ManagedFields[0].Subresource = text
	case 18:
		m.DeletionTimestamp = &metav1.Time{Time: time.Unix(1e9+r.Int64N(2), 0)}
	case 19:
		seconds := r.Int64N(2)
		m.DeletionGracePeriodSeconds = &seconds
	}
	return m
}

// The oracle is apimachinery: what is taken for plain has no errors there, and what is in order is mostly
// taken for plain.
func TestPlainMetadataIsValid(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	c := &call{typ: core.ConfigMaps.Erase()}
	at := field.NewPath("metadata")
	created, updated, refused := 0, 0, 0
	for range 5000 {
		o, old := &corev1.ConfigMap{ObjectMeta: randomMeta(r)}, &corev1.ConfigMap{ObjectMeta: randomMeta(r)}
		want := validation.ValidateObjectMetaAccessor(o, true, validation.NameIsDNSSubdomain, at)
		got := c.validateMeta(o)
		if got.ToAggregate() != nil && want.ToAggregate() == nil || len(got) != len(want) {
			t.Fatalf("new: got %v, want %v: %+v", got, want, o.ObjectMeta)
		}
		if c.plainName(o.Name) && plainMeta(o, true) {
			created++
		}
		for _, whole := range []bool{false, true} {
			want := validation.ValidateObjectMetaAccessorUpdate(o, old, at)
			if whole {
				want = append(want, validation.ValidateObjectMetaAccessor(o, true, anyName, at)...)
			}
			if got := c.validateMetaUpdate(o, old, whole); len(got) != len(want) {
				t.Fatalf("update: got %v, want %v: %+v from %+v", got, want, o.ObjectMeta, old.ObjectMeta)
			}
			if len(want) > 0 {
				refused++
			}
		}
		if plainMeta(o, true) && plainlySame(o, old) {
			updated++
		}
	}
	if created < 500 || updated < 500 || refused < 500 {
		t.Errorf("of 5000, %d new ones and %d updates are plain, %d are refused: the test has lost its point", created, updated, refused)
	}
}
