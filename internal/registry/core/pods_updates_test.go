package core

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/proa-dev/proa/internal/registry/field"
)

// putOver puts the lines of a patch over a pod: those of metadata, spec and status over the whole, others
// over its spec.
func putOver(t *testing.T, p *corev1.Pod, patch string) {
	t.Helper()
	for line := range strings.SplitSeq(patch, "\n") {
		into := any(&p.Spec)
		for _, whole := range []string{"metadata:", "spec:", "status:"} {
			if strings.HasPrefix(line, whole) {
				into = p
			}
		}
		if err := yaml.UnmarshalStrict([]byte(line), into); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
}

func TestPodUpdates(t *testing.T) {
	testGolden(t, "testdata/pods_updates.txt", ">+ser", func(t *testing.T, c goldenCase) []string {
		old := rawPod(t, "{}")
		putOver(t, old, c.patch(">"))
		defaultPod(old)
		status := old.Status
		preparePodCreate(old)
		status.QOSClass = old.Status.QOSClass
		old.Status = status

		change := func(mark string) *corev1.Pod {
			p := old.DeepCopy()
			putOver(t, p, c.patch(mark))
			defaultPod(p)
			return p
		}
		var errs field.ErrorList
		switch c.lines[len(c.lines)-1][:1] {
		case "+":
			p := change("+")
			errs = append(validatePod(p), validatePodUpdate(p, old)...)
		case "s":
			p := change("s")
			preparePodStatus(p, old)
			errs = validatePodStatus(p, old)
		case "e":
			p := change("e")
			prepareEphemeralContainers(p, old)
			if len(p.Spec.NodeSelector) > 0 {
				t.Error("a view changed what it does not show")
			}
			errs = validateEphemeralContainers(p, old)
		case "r":
			p := change("r")
			preparePodResize(p, old)
			errs = validatePodResize(p, old)
		}
		return texts(errs)
	})
}

func TestPodStatusKeeps(t *testing.T) {
	old := podOf(t, "metadata: {name: p, ownerReferences: [{apiVersion: v1, kind: K, name: k, uid: u}]}\n"+
		"status: {qosClass: Burstable, observedGeneration: 3, conditions: [{type: A, observedGeneration: 1}, {type: A, observedGeneration: 2}]}")
	p := old.DeepCopy()
	p.OwnerReferences = nil
	p.Status = corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: "A"}, {Type: "A", ObservedGeneration: 9}, {Type: "B"}}}
	preparePodStatus(p, old)
	if len(p.OwnerReferences) != 1 || p.Status.QOSClass != corev1.PodQOSBurstable || p.Status.ObservedGeneration != 3 {
		t.Errorf("lost what kubelets leave out: %v", p)
	}
	for i, want := range []int64{1, 9, 0} {
		if got := p.Status.Conditions[i].ObservedGeneration; got != want {
			t.Errorf("condition %d: generation %d, want %d", i, got, want)
		}
	}
}
