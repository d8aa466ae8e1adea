package encoding_test

import (
	"bytes"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/encoding"
)

// damaged are stored pods, whole and in parts.
func damaged(f *testing.F, typ *registry.Type) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "u", Labels: map[string]string{"a": "b", "": "c"}},
		Spec:       corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "c"}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, NominatedNodeName: "other"},
	}
	stored, err := encoding.Stored(typ, pod)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stored)
	f.Add(stored[:len(stored)/2])
	f.Add(bytes.Replace(stored, []byte("node"), []byte("nod\xff"), 1))
	f.Add([]byte(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","labels":null},"spec":{"nodeName":"x"}}`))
	f.Add([]byte("k8s\x00"))
	f.Add([]byte("k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod")) // no message
	f.Add([]byte("k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x02\x0a\x80"))
	f.Add([]byte("{"))
	f.Add([]byte(nil))
}

// What is skimmed of a value is what is there when it is read as a whole.
func FuzzSkim(f *testing.F) {
	typ := core.Pods.Erase()
	damaged(f, typ)
	skimmer := encoding.NewSkimmer(typ)
	f.Fuzz(func(t *testing.T, data []byte) {
		few, skimErr := skimmer.Read(data)
		whole, err := encoding.DecodeStored(typ, data)
		if err != nil {
			return // a skimmer need not see damage in what it skips
		}
		if skimErr != nil {
			t.Fatalf("only the skimmer says: %v", skimErr)
		}
		if few.GetName() != whole.GetName() || few.GetNamespace() != whole.GetNamespace() {
			t.Errorf("skimmed %v, there is %v", few, whole)
		}
		labels := map[string]string{}
		uid, ok := skimmer.Header(data, func(key, value []byte) { labels[string(key)] = string(value) })
		if ok && (string(uid) != string(whole.GetUID()) || !equality.Semantic.DeepEqual(labels, whole.GetLabels())) {
			t.Errorf("the header has %q and %v, there is %v", uid, labels, whole)
		}
		for _, field := range typ.Fields {
			if got, want := field.Value(few), field.Value(whole); got != want {
				t.Errorf("%s is %q, skimmed %q", field.Name, want, got)
			}
		}
	})
}

// What can be read can be written, and is the same then.
func FuzzDecodeStored(f *testing.F) {
	typ := core.Pods.Erase()
	damaged(f, typ)
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := encoding.DecodeStored(typ, data)
		if err != nil {
			return
		}
		stored, err := encoding.Stored(typ, o)
		if err != nil {
			return // text that is not UTF-8
		}
		again, err := encoding.DecodeStored(typ, stored)
		if err != nil {
			t.Fatal(err)
		}
		o.SetResourceVersion("")
		if !equality.Semantic.DeepEqual(o, again) {
			t.Errorf("%v became %v", o, again)
		}
	})
}

// The parts of an envelope are found wherever the whole can be read.
func FuzzEnvelope(f *testing.F) {
	typ := core.Pods.Erase()
	damaged(f, typ)
	f.Fuzz(func(t *testing.T, data []byte) {
		if !encoding.IsProtobuf(data) {
			return
		}
		whole, err := encoding.DecodeStored(typ, data)
		if err != nil {
			return
		}
		if _, err := encoding.Message(data); err != nil {
			t.Errorf("only the message cannot be found: %v", err)
		}
		if m, err := encoding.Metadata(data); err != nil || m.Name == "" && m.UID == "" && whole.GetName() != "" {
			t.Errorf("%v, there is %v: %v", m, whole, err)
		}
		if _, err := encoding.WithRevision(data, 1); err != nil {
			return // without a place for its revision it is no value to compare
		}
		if same, err := encoding.SameButRevision(data, data); err != nil || !same {
			t.Errorf("%v differs from itself: %v", whole, err)
		}
	})
}

func FuzzYAML(f *testing.F) {
	for _, s := range []string{"", "a: b", "a: [", "a: &x [1]\nb: *x", "? a\n: b", "a: !!binary aGk=", "1: 2\ntrue: 3", "---\na: 1\n---\nb: 2", "a: 1\na: 2", "\t", "a: .inf", "!!map {}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		out, _, err := encoding.YAMLToJSON(data)
		if err != nil {
			return
		}
		var into corev1.ConfigMap
		encoding.DecodeJSON(out, &into)
	})
}
