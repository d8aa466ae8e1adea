package builtin

import (
	"maps"
	"math/rand/v2"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
)

// What is skimmed of a stored object is what the whole object, decoded and defaulted, has.
func TestSkimmedIsAsDecoded(t *testing.T) {
	const rounds = 80
	seed := rand.Int64()
	t.Logf("seed %d", seed)
	fill := randfill.NewWithSeed(seed).NilChance(0.3).NumElements(1, 2).MaxDepth(8).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewQuantity(c.Int63n(1000), resource.DecimalSI)
		},
		func(x *intstr.IntOrString, c randfill.Continue) { *x = intstr.FromInt32(c.Int31n(1000)) },
		func(*runtime.RawExtension, randfill.Continue) {},
		func(f *metav1.FieldsV1, _ randfill.Continue) { *f = *metav1.NewFieldsV1(`{"f:spec":{}}`) },
		func(x *metav1.Time, c randfill.Continue) { *x = metav1.Unix(c.Int63n(1<<31), 0) },
	)
	for _, typ := range Types(Options{}) {
		if !typ.Has("get") || !encoding.HasProtobuf(typ.Hub.New()) {
			continue
		}
		skimmer, empty := encoding.NewSkimmer(typ), 0
		for range rounds {
			o := typ.Hub.New()
			fill.Fill(o)
			data, err := encoding.Stored(typ, o)
			if err != nil {
				t.Fatalf("%s: %v", typ.Name, err)
			}
			whole, err := encoding.DecodeStored(typ, data)
			if err != nil {
				t.Fatalf("%s: %v", typ.Name, err)
			}
			skimmed, err := skimmer.Read(data)
			if err != nil {
				t.Fatalf("%s: %v", typ.Name, err)
			}
			empty += sameFacts(t, typ, skimmed, whole)
			sameHeader(t, typ, skimmer, data, whole)
			sameMetadata(t, typ, data)
		}
		if empty == rounds*len(typ.Fields) && empty > 0 {
			t.Errorf("%s: no selectable field ever had a value: the test proves nothing", typ.Name)
		}
	}
}

// sameFacts compares what the cache asks of two objects, and counts the fields without a value.
func sameFacts(t *testing.T, typ *registry.Type, got, want registry.Object) (empty int) {
	t.Helper()
	if got.GetName() != want.GetName() || got.GetNamespace() != want.GetNamespace() {
		t.Fatalf("%s: %q %q, want %q %q", typ.Name, got.GetName(), got.GetNamespace(), want.GetName(), want.GetNamespace())
	}
	for _, f := range typ.Fields {
		if f.Value(got) != f.Value(want) {
			t.Fatalf("%s: %s is %q, want %q", typ.Name, f.Name, f.Value(got), f.Value(want))
		}
		if f.Value(want) == "" {
			empty++
		}
	}
	return empty
}

// sameHeader compares UID and labels, which are decoded for values in another version than the hub.
func sameHeader(t *testing.T, typ *registry.Type, skimmer *encoding.Skimmer, data []byte, whole registry.Object) {
	t.Helper()
	var last string
	labels := map[string]string{}
	uid, ok := skimmer.Header(data, func(key, value []byte) {
		if string(key) < last {
			t.Errorf("%s: label %s comes after %s", typ.Name, key, last)
		}
		last = string(key)
		labels[last] = string(value)
	})
	if ok != (typ.Storage.GroupVersion == typ.Hub.GroupVersion && !typ.DefaultLabels) {
		t.Fatalf("%s: a header is read: %v", typ.Name, ok)
	}
	if ok && (string(uid) != string(whole.GetUID()) || !maps.Equal(labels, whole.GetLabels())) {
		t.Fatalf("%s: %q %v, want %q %v", typ.Name, uid, labels, whole.GetUID(), whole.GetLabels())
	}
}

// sameMetadata compares the metadata that is read alone with the whole object's.
func sameMetadata(t *testing.T, typ *registry.Type, data []byte) {
	t.Helper()
	alone, err := encoding.Metadata(data)
	if err != nil {
		t.Fatalf("%s: %v", typ.Name, err)
	}
	whole := typ.Storage.New()
	if _, err := encoding.DecodeProtobuf(data, whole); err != nil {
		t.Fatalf("%s: %v", typ.Name, err)
	}
	whole.SetManagedFields(nil)
	want := whole.(metav1.ObjectMetaAccessor).GetObjectMeta().(*metav1.ObjectMeta)
	if !equality.Semantic.DeepEqual(&alone.ObjectMeta, want) {
		t.Fatalf("%s: metadata %+v, want %+v", typ.Name, alone.ObjectMeta, want)
	}
}

func BenchmarkFactsOfAStoredPod(b *testing.B) {
	for _, typ := range Types(Options{}) {
		if typ.Kind != "Pod" {
			continue
		}
		o := typ.Hub.New()
		randfill.NewWithSeed(1).NilChance(0.8).NumElements(1, 2).MaxDepth(6).Funcs(
			func(*resource.Quantity, randfill.Continue) {}, func(*runtime.RawExtension, randfill.Continue) {},
			func(f *metav1.FieldsV1, _ randfill.Continue) { *f = *metav1.NewFieldsV1(`{"f:spec":{}}`) },
		).Fill(o)
		data, err := encoding.Stored(typ, o)
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("%d bytes", len(data))
		skimmer := encoding.NewSkimmer(typ)
		for name, read := range map[string]func() (registry.Object, error){
			"skimmed": func() (registry.Object, error) { return skimmer.Read(data) },
			"decoded": func() (registry.Object, error) { return encoding.DecodeStored(typ, data) },
		} {
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := read(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
