package typedjson_test

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"

	"github.com/proa-dev/proa/internal/registry/encoding/typedjson"
)

const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"pod-1","namespace":"bench","labels":{"app":"bench","pick":"no",` +
	`"pod-template-hash":"6c5f67b5f7"},"annotations":{"note":"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"}},` +
	`"spec":{"serviceAccountName":"default","automountServiceAccountToken":false,` +
	`"containers":[{"name":"web","image":"registry.example/web:1.27.3","ports":[{"name":"http","containerPort":8080,"protocol":"TCP"}],` +
	`"env":[{"name":"MODE","value":"production"},{"name":"ZONE","value":"a"}],"resources":{"requests":{"cpu":"100m","memory":"128Mi"},` +
	`"limits":{"memory":"256Mi"}},"readinessProbe":{"httpGet":{"path":"/ready","port":8080},"periodSeconds":5},` +
	`"volumeMounts":[{"name":"data","mountPath":"/data"}]},{"name":"sidecar","image":"registry.example/proxy:2.1","args":["--quiet"]}],` +
	`"volumes":[{"name":"data","emptyDir":{}}],"tolerations":[{"key":"dedicated","operator":"Equal","value":"web","effect":"NoSchedule"}]}}`

func BenchmarkDecodePod(b *testing.B) {
	data := []byte(pod)
	b.Run("Plan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !typedjson.Decode(data, new(corev1.Pod)) {
				b.Fatal("not read")
			}
		}
	})
	b.Run("Library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := kjson.UnmarshalStrict(data, new(corev1.Pod)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAppendPod(b *testing.B) {
	var o corev1.Pod
	if !typedjson.Decode([]byte(pod), &o) {
		b.Fatal("not read")
	}
	b.Run("Plan", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf, _ = typedjson.Append(buf[:0], &o)
		}
	})
	b.Run("Library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(&o); err != nil {
				b.Fatal(err)
			}
		}
	})
}
