package admission

import (
	"context"
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/access"
)

// permissions are verbs on resources that are allowed, such as "delete pods".
type permissions []string

func (p permissions) Authorize(_ context.Context, a *access.Attributes) (access.Decision, string, error) {
	what := a.Verb + " " + a.Resource
	if a.Subresource != "" {
		what += "/" + a.Subresource
	}
	if slices.Contains(p, what+" "+a.Namespace+":"+a.Name) {
		return access.Allow, "", nil
	}
	return access.NoOpinion, "", nil
}

func TestOwnerReferences(t *testing.T) {
	owner := func(uid types.UID, blocks bool) metav1.OwnerReference {
		return metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "rs", UID: uid, BlockOwnerDeletion: ptr.To(blocks)}
	}
	pod := func(owners ...metav1.OwnerReference) *corev1.Pod {
		return onePod(func(p *corev1.Pod) { p.OwnerReferences = owners })
	}
	const noDelete = `pods "p" is forbidden: cannot set an ownerRef on a resource you can't delete: , <nil>`
	const noBlock = `pods "p" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , <nil>`
	for _, c := range []struct {
		name     string
		has      permissions
		new, old *corev1.Pod
		want     string
	}{
		{"create with owner", nil, pod(owner("1", false)), nil, ""},
		{"create, blocking", nil, pod(owner("1", true)), nil, noBlock},
		{"create, blocking, allowed", permissions{"update replicasets/finalizers ns:rs"}, pod(owner("1", true)), nil, ""},
		{"may finalize all", permissions{"update */finalizers :*"}, pod(owner("1", true)), nil, ""},
		{"update without change", nil, pod(owner("1", true)), pod(owner("1", true)), ""},
		{"new owner", nil, pod(owner("1", false)), pod(), noDelete},
		{"owner taken away", nil, pod(), pod(owner("1", true)), noDelete},
		{"new owner, may delete", permissions{"delete pods ns:p"}, pod(owner("1", false)), pod(), ""},
		{"begins to block", permissions{"delete pods ns:p"}, pod(owner("1", true)), pod(owner("1", false)), noBlock},
		{"blocked before", permissions{"delete pods ns:p"}, pod(owner("1", true), owner("2", false)), pod(owner("1", true)), ""},
		{"unknown kind", nil, pod(metav1.OwnerReference{APIVersion: "x/v1", Kind: "Y", UID: "1", BlockOwnerDeletion: ptr.To(true)}), nil,
			`pods "p" is forbidden: cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion x/v1 Kind Y: no such kind`},
	} {
		t.Run(c.name, func(t *testing.T) {
			plugin := OwnerReferencesPermissionEnforcement{c.has, func(k schema.GroupVersionKind) (schema.GroupVersionResource, bool, error) {
				if k.Kind != "ReplicaSet" {
					return schema.GroupVersionResource{}, false, errors.New("no such kind")
				}
				return k.GroupVersion().WithResource("replicasets"), true, nil
			}}
			r := create(pods, "ns", "p", c.new)
			if c.old != nil {
				r.Operation, r.Old = Update, c.old
			}
			checkText(t, run(t, plugin, r), c.want)
		})
	}
}
