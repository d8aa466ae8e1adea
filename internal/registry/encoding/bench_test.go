package encoding_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/encoding"
)

// podBody is a pod of 1.2 KB, as a controller makes it.
const podBody = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-6c5f67b5f7-x2x4z","namespace":"shop","labels":{"app":"web","tier":"front",
"pod-template-hash":"6c5f67b5f7"},"annotations":{"note":"made for a benchmark, and as long as a note may well be in real life"},
"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-6c5f67b5f7","uid":"3f0e8c9a-7f5e-4d5e-9a55-3e8d7f6c1b2a","controller":true}]},
"spec":{"serviceAccountName":"default","containers":[{"name":"web","image":"registry.example/web:1.27.3",
"ports":[{"name":"http","containerPort":8080,"protocol":"TCP"}],"env":[{"name":"MODE","value":"production"},{"name":"ZONE","value":"a"}],
"resources":{"requests":{"cpu":"100m","memory":"128Mi"},"limits":{"memory":"256Mi"}},
"readinessProbe":{"httpGet":{"path":"/ready","port":8080},"periodSeconds":5},"volumeMounts":[{"name":"data","mountPath":"/data"}]},
{"name":"sidecar","image":"registry.example/proxy:2.1","args":["--quiet"]}],"volumes":[{"name":"data","emptyDir":{}}],
"tolerations":[{"key":"dedicated","operator":"Equal","value":"web","effect":"NoSchedule"}]}}`

func decodedPod(b *testing.B) *corev1.Pod {
	p := &corev1.Pod{}
	if strict, err := encoding.DecodeJSON([]byte(podBody), p); err != nil || len(strict) > 0 {
		b.Fatal(strict, err)
	}
	return p
}

func BenchmarkDecode(b *testing.B) {
	typ := core.Pods.Erase()
	stored, err := encoding.Stored(typ, decodedPod(b))
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct {
		name   string
		data   []byte
		decode func([]byte) error
	}{
		{"JSON", []byte(podBody), func(data []byte) error { _, err := encoding.DecodeJSON(data, &corev1.Pod{}); return err }},
		{"protobuf", stored, func(data []byte) error { _, err := encoding.DecodeProtobuf(data, &corev1.Pod{}); return err }},
		{"stored", stored, func(data []byte) error { _, err := encoding.DecodeStored(typ, data); return err }},
	} {
		b.Run("pod/"+bb.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bb.data)))
			for b.Loop() {
				if err := bb.decode(bb.data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	typ := core.Pods.Erase()
	p := decodedPod(b)
	for _, bb := range []struct {
		name   string
		encode func(runtime.Object) ([]byte, error)
	}{
		{"JSON", encoding.JSON},
		{"stored", func(runtime.Object) ([]byte, error) { return encoding.Stored(typ, p) }},
	} {
		b.Run("pod/"+bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bb.encode(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
