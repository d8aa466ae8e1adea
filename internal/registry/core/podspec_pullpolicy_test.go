package core

import (
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The oracle is the parser of references.
func TestOtherTagsArePulledIfNotPresent(t *testing.T) {
	check := func(image string) bool {
		if got, want := pullPolicyFor(image), parsedPullPolicy(image); got != want {
			t.Errorf("%q: %s, the parser says %s", image, got, want)
		}
		return saysOtherTag(image)
	}
	for image, want := range map[string]bool{
		"web:1": true, "a.b:5000/web:1.2": true, "web:1/x": false, "web": false, "web:latest": false, "a.b:5000/web": false, "": false,
		"web@sha256:0123456789012345678901234567890123456789012345678901234567890123": false, "web:1@latest": false, "[::1]:5000/a:v": true,
	} {
		if check(image) != want {
			t.Errorf("%q says another tag: %t", image, !want)
		}
	}
	if pullPolicyFor("web:latest") != corev1.PullAlways || pullPolicyFor("web") != corev1.PullAlways {
		t.Error("latest is not pulled always")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	pieces := []string{"a", "web", ".", ":", "/", "@", "latest", "5000", "sha256:", "A", "_", "localhost", "[::1]", "-", "docker.io",
		"0123456789012345678901234567890123456789012345678901234567890123"}
	for range 20000 {
		image := ""
		for range r.IntN(7) {
			image += pieces[r.IntN(len(pieces))]
		}
		check(image)
	}
}
