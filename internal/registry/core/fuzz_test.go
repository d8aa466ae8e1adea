package core

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func FuzzFieldPath(f *testing.F) {
	for _, s := range []string{"metadata.labels['a']", "metadata.name", "['']", "a['b']['c']", "a['", "']", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name, key, hasKey := splitFieldPath(path)
		if hasKey && name+"['"+key+"']" != path || !hasKey && name != path {
			t.Errorf("%q is %q and %q", path, name, key)
		}
	})
}

// Images that are not parsed get the policy that parsing would give them.
func FuzzPullPolicy(f *testing.F) {
	for _, s := range []string{"", "a", "a:latest", "a:1", "r:5000/a", "r:5000/a:1", "a@sha256:" + strings.Repeat("0", 64), "a:1@sha256:x", "A/B:c", ":", "a:", "a/:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, image string) {
		if got, want := pullPolicyFor(image), parsedPullPolicy(image); got != want {
			t.Errorf("%q: %s, parsed %s", image, got, want)
		}
		if got := pullPolicyFor(image); got != corev1.PullAlways && got != corev1.PullIfNotPresent {
			t.Errorf("%q: %q", image, got)
		}
	})
}
