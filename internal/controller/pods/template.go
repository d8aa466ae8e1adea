package pods

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/dump"

	"github.com/proa-dev/proa/internal/client"
)

// New is a pod of a template, to be created for its owner. It shares what it consists of with the template,
// so whoever wants another pod than this changes a copy; one that is just created any number of times
// needs none.
func New(template *corev1.PodTemplateSpec, owner client.Object, ref metav1.OwnerReference) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       owner.GetNamespace(),
			GenerateName:    prefix(owner.GetName()),
			Labels:          template.Labels,
			Annotations:     template.Annotations,
			Finalizers:      template.Finalizers,
			OwnerReferences: []metav1.OwnerReference{ref},
		},
		Spec: template.Spec,
	}
}

// ErrNoLabels is why pods without labels are not created: nobody would find them.
var ErrNoLabels = errors.New("unable to create pods, no labels")

func prefix(owner string) string {
	p := owner + "-"
	if len(validation.NameIsDNSSubdomain(p, true)) > 0 {
		return owner
	}
	return p
}

// Hash names the content of a template, as labels and object names carry it. Two templates with one hash can
// be told apart by counting collisions, which nil does not.
func Hash(template *corev1.PodTemplateSpec, collisions *int32) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%v", dump.ForHash(*template))
	if collisions != nil {
		var b [8]byte
		binary.LittleEndian.PutUint32(b[:], uint32(*collisions))
		h.Write(b[:])
	}
	return rand.SafeEncodeString(fmt.Sprint(h.Sum32()))
}
