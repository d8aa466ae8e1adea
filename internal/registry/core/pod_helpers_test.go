package core

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/proa-dev/proa/internal/registry/field"
)

// podOf is a sound pod, defaulted, with the given parts of its spec or of the whole object put over it.
func podOf(t testing.TB, patch string) *corev1.Pod {
	t.Helper()
	p := rawPod(t, patch)
	defaultPod(p)
	return p
}

// rawPod is a pod before defaulting. A patch that starts with "metadata:" or "status:" is of the whole
// object, any other of the spec.
func rawPod(t testing.TB, patch string) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	patch = strings.TrimLeft(patch, "\n")
	into := any(&p.Spec)
	for _, whole := range []string{"metadata:", "status:", "spec:"} {
		if strings.HasPrefix(patch, whole) {
			into = p
		}
	}
	if err := yaml.UnmarshalStrict([]byte(patch), into); err != nil {
		t.Fatalf("patch %q: %v", patch, err)
	}
	return p
}

// container is the spec of a pod whose one container has the given fields, in flow style.
func container(fields string) string { return "containers: [{name: c, image: i, " + fields + "}]" }

// volume is the spec of a pod with one volume.
func volume(source string) string { return "volumes: [{name: v, " + source + "}]" }

func texts(errs field.ErrorList) []string {
	var all []string
	for _, e := range errs {
		all = append(all, e.Error())
	}
	return all
}

// checkTexts compares what was said with what should have been, whatever the order.
func checkTexts(t *testing.T, got, want []string) {
	t.Helper()
	got, want = slices.Clone(got), slices.Clone(want)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
