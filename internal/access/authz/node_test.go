package authz

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/accesstest"
)

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name)}
}

// nodeWorld has two nodes with a pod each; n1's names one of everything, and a mirror pod names more.
func nodeWorld() *accesstest.Objects {
	local := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	s := &accesstest.Objects{}
	s.Put(pods,
		&corev1.Pod{ObjectMeta: meta("ns", "p1"), Spec: corev1.PodSpec{
			NodeName: "n1", ServiceAccountName: "sa", ImagePullSecrets: []corev1.LocalObjectReference{local("pull")},
			Containers: []corev1.Container{{
				EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: local("envs")}}},
				Env:     []corev1.EnvVar{{ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: local("key")}}}},
			}},
			Volumes: []corev1.Volume{
				{Name: "a", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
					{Secret: &corev1.SecretProjection{LocalObjectReference: local("projected")}}}}}},
				{Name: "b", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "claim"}}},
				{Name: "c", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}},
			},
			ResourceClaims: []corev1.PodResourceClaim{{Name: "d", ResourceClaimName: ptr.To("device")}},
		}},
		&corev1.Pod{ObjectMeta: meta("ns", "p2"), Spec: corev1.PodSpec{NodeName: "n2", ServiceAccountName: "other", ImagePullSecrets: []corev1.LocalObjectReference{local("theirs")}}},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "mirror", Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "x"}},
			Spec:       corev1.PodSpec{NodeName: "n1", ImagePullSecrets: []corev1.LocalObjectReference{local("grabbed")}},
		})
	s.Put(claims, &corev1.PersistentVolumeClaim{ObjectMeta: meta("ns", "claim"), Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "volume"}})
	s.Put(volumes, &corev1.PersistentVolume{ObjectMeta: meta("", "volume"), Spec: corev1.PersistentVolumeSpec{
		ClaimRef: &corev1.ObjectReference{Namespace: "ns", Name: "claim", UID: "claim"},
		PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
			NodePublishSecretRef:       &corev1.SecretReference{Namespace: "storage", Name: "login"},
			ControllerPublishSecretRef: &corev1.SecretReference{Namespace: "storage", Name: "controller"},
		}},
	}}, &corev1.PersistentVolume{ObjectMeta: meta("", "loose")})
	s.Put(attachments, &storagev1.VolumeAttachment{ObjectMeta: meta("", "attached"), Spec: storagev1.VolumeAttachmentSpec{NodeName: "n1"}})
	return s
}

func TestNode(t *testing.T) {
	rules := []rbacv1.PolicyRule{
		rule([]string{"get", "list", "watch"}, "", "services"), rule([]string{"get"}, "", "secrets"), rule([]string{"get"}, "", "nodes"),
	}
	z := NewNode(nodeWorld(), rules)
	const none = "no relationship found between node 'n1' and this object"
	core := func(verb, resource, namespace, name string) access.Attributes {
		return access.Attributes{Verb: verb, Resource: resource, Namespace: namespace, Name: name}
	}
	sub := func(a access.Attributes, subresource string) access.Attributes { a.Subresource = subresource; return a }
	in := func(group string, a access.Attributes) access.Attributes { a.Group = group; return a }
	by := func(a access.Attributes, selector string) access.Attributes {
		a.Fields = fields.ParseSelectorOrDie(selector).Requirements()
		return a
	}
	const yes = "yes"
	for _, c := range []struct {
		a    access.Attributes
		want string // yes or the reason for no
	}{
		{core("get", "secrets", "ns", "pull"), yes},
		{core("watch", "secrets", "ns", "key"), yes},
		{core("get", "secrets", "ns", "projected"), yes},
		{core("get", "secrets", "storage", "login"), yes},
		{core("get", "secrets", "storage", "controller"), none},
		{core("get", "secrets", "ns", "theirs"), none},
		{core("get", "secrets", "ns", "grabbed"), none},
		{core("get", "secrets", "other", "pull"), none},
		{core("list", "secrets", "ns", ""), "No Object name found"},
		{core("list", "secrets", "", "pull"), "can only read namespaced object of this type"},
		{core("update", "secrets", "ns", "pull"), "can only read resources of this type"},
		{core("get", "configmaps", "ns", "envs"), yes},
		{core("get", "configmaps", "ns", "others"), none},
		{core("get", "persistentvolumeclaims", "ns", "claim"), yes},
		{core("get", "persistentvolumeclaims", "ns", "p1-c"), yes},
		{core("list", "persistentvolumeclaims", "ns", "claim"), "can only get individual resources of this type"},
		{sub(core("patch", "persistentvolumeclaims", "ns", "claim"), "status"), yes},
		{sub(core("get", "persistentvolumeclaims", "ns", "claim"), "status"), "can only get/update/patch this type"},
		{core("get", "persistentvolumes", "", "volume"), yes},
		{core("get", "persistentvolumes", "", "loose"), none},
		{in("resource.k8s.io", core("get", "resourceclaims", "ns", "device")), yes},
		{in("storage.k8s.io", core("get", "volumeattachments", "", "attached")), yes},
		{in("storage.k8s.io", core("get", "volumeattachments", "", "other")), none},
		{core("get", "serviceaccounts", "ns", "sa"), yes},
		{sub(core("create", "serviceaccounts", "ns", "sa"), "token"), yes},
		{sub(core("create", "serviceaccounts", "ns", "other"), "token"), none},
		{core("create", "serviceaccounts", "ns", "sa"), "can only create token subresource of serviceaccount"},
		{core("list", "serviceaccounts", "ns", ""), "can only create tokens for individual service accounts"},
		{in("coordination.k8s.io", core("update", "leases", "kube-node-lease", "n1")), yes},
		{in("coordination.k8s.io", core("create", "leases", "kube-node-lease", "")), yes},
		{in("coordination.k8s.io", core("update", "leases", "kube-node-lease", "n2")), "can only access node lease with the same name as the requesting node"},
		{in("coordination.k8s.io", core("update", "leases", "ns", "n1")), `can only access leases in the "kube-node-lease" system namespace`},
		{in("coordination.k8s.io", core("list", "leases", "kube-node-lease", "n1")), "can only get, create, update, patch, or delete a node lease"},
		{in("storage.k8s.io", core("patch", "csinodes", "", "n1")), yes},
		{in("storage.k8s.io", core("patch", "csinodes", "", "n2")), "can only access CSINode with the same name as the requesting node"},
		{by(in("resource.k8s.io", core("list", "resourceslices", "", "")), "spec.nodeName=n1"), yes},
		{by(in("resource.k8s.io", core("list", "resourceslices", "", "")), "spec.nodeName!=n1"), "can only list/watch/deletecollection resourceslices with nodeName field selector"},
		{core("get", "nodes", "", "n1"), yes},
		{core("get", "nodes", "", "n2"), "node 'n1' cannot read 'n2', only its own Node object"},
		{core("list", "nodes", "", ""), "node 'n1' cannot read all nodes, only its own Node object"},
		{sub(core("patch", "nodes", "", "n1"), "status"), yes},
		{core("delete", "nodes", "", "n1"), ""},
		{core("get", "pods", "ns", "p1"), yes},
		{core("get", "pods", "ns", "p2"), none},
		{by(core("watch", "pods", "", ""), "spec.nodeName=n1"), yes},
		{by(core("watch", "pods", "", ""), "spec.nodeName=n2"), "can only list/watch pods with spec.nodeName field selector"},
		{sub(core("create", "pods", "ns", "p2"), "eviction"), yes},
		{sub(core("get", "pods", "ns", "p1"), "log"), ""},
		{core("list", "services", "", ""), yes},
		{core("create", "services", "ns", ""), ""},
	} {
		c.a.IsResource, c.a.User = true, &access.User{Name: "system:node:n1", Groups: []string{"system:nodes"}}
		decision, reason, err := z.Authorize(t.Context(), &c.a)
		if decision == access.Allow {
			reason = yes
		}
		if reason != c.want || err != nil || decision == access.Deny {
			t.Errorf("%s %s/%s %s:%s: got %q, want %q", c.a.Verb, c.a.Resource, c.a.Subresource, c.a.Namespace, c.a.Name, reason, c.want)
		}
	}
	ask := core("list", "services", "", "")
	ask.IsResource = true
	for _, c := range []struct {
		user  access.User
		want  string
		rules string
	}{
		{access.User{Name: "system:node:n1"}, "", ""},
		{access.User{Name: "n1", Groups: []string{"system:nodes"}}, "", ""},
		{access.User{Name: "system:node:", Groups: []string{"system:nodes"}}, `unknown node for user "system:node:"`, "node authorizer does not support user rule resolution"},
	} {
		ask.User = &c.user
		if decision, reason, _ := z.Authorize(t.Context(), &ask); decision != access.NoOpinion || reason != c.want {
			t.Errorf("%+v: %d %q", c.user, decision, reason)
		}
		if _, incomplete := z.Rules(t.Context(), &c.user, "ns"); incomplete != c.rules {
			t.Errorf("%+v: %q", c.user, incomplete)
		}
	}
}
