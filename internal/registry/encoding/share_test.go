package encoding_test

import (
	"bytes"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/randfill"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/builtin"
	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/encoding"
)

func web(name string) *corev1.Pod {
	tolerations := append(make([]corev1.Toleration, 0, 4), corev1.Toleration{Key: "dedicated", Operator: corev1.TolerationOpEqual, Value: "web"})
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "web", Image: "web:1", Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{"cpu": resource.MustParse("100m")},
			}}},
			Tolerations:     tolerations,
			SecurityContext: &corev1.PodSecurityContext{},
		},
	}
}

// share encodes an object, as it will be stored, and shares it.
func share(t testing.TB, s *encoding.Sharer, typ *registry.Type, o registry.Object) {
	t.Helper()
	data, err := encoding.Stored(typ, o)
	if err != nil {
		t.Fatal(err)
	}
	s.Share(typ, o, data)
	again, err := encoding.Stored(typ, o)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, data) {
		t.Errorf("%s is not what it was: %q, before %q", typ.Kind, again, data)
	}
}

func TestSharerMakesEqualPartsOne(t *testing.T) {
	var s encoding.Sharer
	typ := core.Pods.Erase()
	one, two, other := web("one"), web("two"), web("other")
	other.Labels["app"] = "shop"
	other.Spec.Containers[0].Image = "web:2"
	for _, p := range []*corev1.Pod{one, two, other} {
		share(t, &s, typ, p)
	}
	at := func(v any) uintptr { return reflect.ValueOf(v).Pointer() }
	for _, part := range []struct {
		what            string
		one, two, other any
		inOther         bool
	}{
		{"labels", one.Labels, two.Labels, other.Labels, false},
		{"containers", one.Spec.Containers, two.Spec.Containers, other.Spec.Containers, false},
		{"tolerations", one.Spec.Tolerations, two.Spec.Tolerations, other.Spec.Tolerations, true},
		{"security context", one.Spec.SecurityContext, two.Spec.SecurityContext, other.Spec.SecurityContext, true},
	} {
		if at(part.one) != at(part.two) {
			t.Errorf("equal %s are there twice", part.what)
		}
		if same := at(part.one) == at(part.other); same != part.inOther {
			t.Errorf("%s of the other pod: the same is %t", part.what, same)
		}
	}
	if cap(one.Spec.Tolerations) != 1 {
		t.Errorf("appending to the tolerations would write into a list with room for %d", cap(one.Spec.Tolerations))
	}
	if one.Name != "one" || two.Name != "two" || other.Labels["app"] != "shop" {
		t.Errorf("got %v, %v, %v", one.ObjectMeta, two.ObjectMeta, other.ObjectMeta)
	}
}

// A set's template and its pods have their containers in common, though they stand in different places.
func TestSharerSeesThroughStructs(t *testing.T) {
	var s encoding.Sharer
	template := &corev1.PodTemplate{Template: corev1.PodTemplateSpec{Spec: web("").Spec}}
	pod := web("one")
	share(t, &s, core.PodTemplates.Erase(), template)
	share(t, &s, core.Pods.Erase(), pod)
	if &template.Template.Spec.Containers[0] != &pod.Spec.Containers[0] {
		t.Error("the pod has containers of its own")
	}
}

// Whatever an object of a type is like, and whatever was shared before, it stays what it was.
func TestSharingChangesNothing(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	texts := []string{"", "a", "b"}
	fill := randfill.NewWithSeed(seed).NilChance(0.4).NumElements(0, 2).MaxDepth(9).Funcs(
		func(s *string, c randfill.Continue) { *s = texts[c.Intn(len(texts))] },
		func(n *int32, c randfill.Continue) { *n = int32(c.Intn(2)) },
		func(n *int64, c randfill.Continue) { *n = int64(c.Intn(2)) },
		func(x *metav1.Time, c randfill.Continue) { *x = metav1.Unix(int64(c.Intn(2)), 0) },
		func(x *metav1.MicroTime, c randfill.Continue) {
			*x = metav1.NewMicroTime(time.Unix(int64(c.Intn(2)), 0))
		},
		func(q *resource.Quantity, c randfill.Continue) {
			*q = resource.MustParse([]string{"1", "5Gi"}[c.Intn(2)])
		},
		func(v *runtime.RawExtension, _ randfill.Continue) { v.Raw = []byte(`{}`) },
		func(v *metav1.FieldsV1, _ randfill.Continue) { v.Raw = []byte(`{}`) },
	)
	var s encoding.Sharer
	for _, typ := range builtin.Types(builtin.Options{}) {
		if !encoding.HasProtobuf(typ.Hub.New()) || typ.Storage == nil || !typ.Storage.IsHub {
			continue
		}
		for range 20 {
			o := typ.Hub.New()
			fill.Fill(o)
			before := o.DeepCopyObject()
			share(t, &s, typ, o)
			if !equality.Semantic.DeepEqual(o, before) {
				t.Fatalf("%s: got %v, before %v", typ.Kind, o, before)
			}
		}
	}
}

// What was not used for long is forgotten; what is used is not.
func TestSharerForgets(t *testing.T) {
	var s encoding.Sharer
	typ := core.Pods.Erase()
	often, once := web("often"), web("once")
	once.Spec.Containers[0].Image = "once:1"
	share(t, &s, typ, often)
	share(t, &s, typ, once)
	for n := range 5000 {
		p := web(fmt.Sprint("pod-", n))
		p.Annotations = map[string]string{"note": fmt.Sprint(n)}
		share(t, &s, typ, p)
		if &p.Spec.Containers[0] != &often.Spec.Containers[0] {
			t.Fatalf("what is used all the time was forgotten after %d", n)
		}
	}
	again := web("again")
	again.Spec.Containers[0].Image = "once:1"
	share(t, &s, typ, again)
	if &again.Spec.Containers[0] == &once.Spec.Containers[0] {
		t.Error("what was used once is remembered for ever")
	}
}

func TestSharerFromManySides(t *testing.T) {
	var s encoding.Sharer
	typ := core.Pods.Erase()
	var sides sync.WaitGroup
	for side := range 4 {
		sides.Go(func() {
			for n := range 200 {
				p := web("p")
				p.Annotations = map[string]string{"note": fmt.Sprint(side%2, n)}
				share(t, &s, typ, p)
			}
		})
	}
	sides.Wait()
}

func BenchmarkShare(b *testing.B) {
	typ := core.Pods.Erase()
	stored, err := encoding.Stored(typ, decodedPod(b))
	if err != nil {
		b.Fatal(err)
	}
	o, err := encoding.DecodeStored(typ, stored)
	if err != nil {
		b.Fatal(err)
	}
	if stored, err = encoding.Stored(typ, o); err != nil {
		b.Fatal(err)
	}
	var s encoding.Sharer
	b.ReportAllocs()
	for b.Loop() {
		s.Share(typ, o, stored)
	}
}
