package encoding_test

import (
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"

	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/encoding"
)

func sample() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: "settings", Namespace: "test", UID: "u-1", Generation: 3,
			Labels:      map[string]string{"a": "b"},
			Annotations: map[string]string{"long": string(make([]byte, 300))},
		},
		Data: map[string]string{"k": "v"},
	}
}

// The oracle is apimachinery's serializer, which kube-apiserver stores with.
func TestStoredIsByteEqualToTheLibrary(t *testing.T) {
	typ := core.ConfigMaps.Erase()
	got, err := encoding.Stored(typ, sample())
	if err != nil {
		t.Fatal(err)
	}
	o := sample()
	o.APIVersion, o.Kind = "v1", "ConfigMap"
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	want, err := runtime.Encode(protobuf.NewSerializer(scheme, scheme), o)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("stored bytes differ:\n got %q\nwant %q", got, want)
	}
}

func TestWithRevisionChangesNothingElse(t *testing.T) {
	typ := core.ConfigMaps.Erase()
	stored, err := encoding.Stored(typ, sample())
	if err != nil {
		t.Fatal(err)
	}
	for _, revision := range []int64{1, 127, 128, 1 << 40} {
		spliced, err := encoding.WithRevision(stored, revision)
		if err != nil {
			t.Fatal(err)
		}
		want := sample()
		want.ResourceVersion = strconv.FormatInt(revision, 10)
		got, err := encoding.DecodeStored(typ, spliced)
		if err != nil {
			t.Fatal(err)
		}
		if !equality.Semantic.DeepEqual(got, want) {
			t.Errorf("revision %d: got %+v", revision, got)
		}
		again, err := encoding.WithRevision(spliced, 7)
		if err != nil {
			t.Fatal(err)
		}
		first, _ := encoding.WithRevision(stored, 7)
		if string(again) != string(first) {
			t.Errorf("splicing over revision %d is not the same as splicing once", revision)
		}
	}
}

func TestSameButRevision(t *testing.T) {
	typ := core.ConfigMaps.Erase()
	stored, err := encoding.Stored(typ, sample())
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []struct {
		what string
		to   func(*corev1.ConfigMap)
		same bool
	}{
		{"nothing", func(*corev1.ConfigMap) {}, true},
		{"the revision", func(m *corev1.ConfigMap) { m.ResourceVersion = "1234567890" }, true},
		{"what stands before it", func(m *corev1.ConfigMap) { m.Name = "sEttings" }, false},
		{"what stands after it", func(m *corev1.ConfigMap) { m.Generation++ }, false},
		{"the rest", func(m *corev1.ConfigMap) { m.Data["k"] = "w" }, false},
		{"the size", func(m *corev1.ConfigMap) { m.Data["l"] = string(make([]byte, 100)) }, false},
	} {
		o := sample()
		change.to(o)
		other, err := encoding.Stored(typ, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, pair := range [][2][]byte{{stored, other}, {other, stored}} {
			if same, err := encoding.SameButRevision(pair[0], pair[1]); err != nil || same != change.same {
				t.Errorf("%s: %t, %v", change.what, same, err)
			}
		}
	}
	if _, err := encoding.SameButRevision(stored, append([]byte("k8s\x00\xff"), stored[5:]...)); err == nil {
		t.Error("damage is not told of")
	}
}

func FuzzWithRevision(f *testing.F) {
	stored, _ := encoding.Stored(core.ConfigMaps.Erase(), sample())
	f.Add(stored)
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := encoding.WithRevision(data, 5)
		if err != nil {
			return
		}
		if again, err := encoding.WithRevision(out, 5); err != nil || string(again) != string(out) {
			t.Fatalf("not idempotent: %v", err)
		}
	})
}
