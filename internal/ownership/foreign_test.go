package ownership

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proa-dev/proa/internal/registry"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// foreignFields are texts that other programs wrote, or nobody.
var foreignFields = []string{
	`{}`, `{"f:spec":{}}`, `{ "f:spec" : { } }`, `{"f:spec":{".":{}}}`, `{"f:metadata":{"f:labels":{"f:b":{},"f:a":{}}}}`,
	`{"f:metadata":{"f:labels":{"f:a":{},"f:a":{}}}}`, `{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:image":{}}}}}`,
	`{"f:spec":{"f:containers":{"k:{ \"name\" : \"a\" }":{}}}}`, `{"f:spec":{"f:selector":{"f:a":{}}}}`,
	`{"f:spec":{"f:nodeSelector":{".":{},"f:a":{}}}}`, `{"f:x":{"i:3":{}}}`, `{"f:x":{"v:1.0":{},"v:\"a\"":{}}}`,
	`{"f:x":{"v:10":{},"v:9":{}}}`, `{"f:x":{"v:9":{},"v:10":{}}}`, `{"f:x":{"k:{\"b\":1,\"a\":2}":{}}}`,
	`{"f:x":{"v:\"<\"":{}}}`, `{"f:x":{"v:\"\\u003c\"":{}}}`, `{"f:é":{},"f:z":{}}`, `{"z:what":{}}`, `{".":{}}`,
	`{"f:metadata":{"f:annotations":{".":{},"f:a\"b":{}}}}`, `{"f:x":{"v:true":{},"v:null":{}}}`, `[]`, `{"f:a":`, `{"f":{}}`, ``,
	`{"f:x":{"v:123456789012345678":{}}}`, `{"f:x":{"k:{}":{}}}`, `{"f:spec":{},"f:metadata":{}}`, `{"f:a":{}}trailing`, `{"f:a":1}`,
	`{"f:x":{"k:{\"p\":80,\"q\":\"a\"}":{},"k:{\"p\":80,\"q\":\"a!\"}":{}}}`, `{"f:x":{"v:-5":{},"v:-10":{}}}`,
}

// foreign are the object's entries with one that came from elsewhere.
func foreign(f filler, live registry.Object) []metav1.ManagedFieldsEntry {
	if f.chance(10) {
		return []metav1.ManagedFieldsEntry{}
	}
	if f.chance(10) {
		return []metav1.ManagedFieldsEntry{{}}
	}
	entries := copyOf(live).GetManagedFields()
	text := foreignFields[f.IntN(len(foreignFields))]
	if !json.Valid([]byte(text)) {
		text = `{"f:spec":{"f:replicas":{}}}`
	}
	e := metav1.ManagedFieldsEntry{
		Manager: f.text(), Operation: metav1.ManagedFieldsOperationUpdate, FieldsType: "FieldsV1",
		APIVersion: live.GetObjectKind().GroupVersionKind().GroupVersion().String(),
		FieldsV1:   metav1.NewFieldsV1(text),
	}
	if f.chance(50) {
		e.Operation = metav1.ManagedFieldsOperationApply
	}
	if f.chance(50) {
		e.Time = &metav1.Time{Time: time.Unix(int64(f.IntN(5)), 0).UTC()}
	}
	if f.chance(5) {
		e.APIVersion = "gone/v1"
	}
	if f.chance(3) {
		e.Operation = "Other"
	}
	if f.chance(3) {
		e.FieldsV1 = nil
	}
	if f.chance(5) {
		e.Subresource = "status"
	}
	return append(entries, e)
}

// TestForeignFields updates objects whose entries hold each of the texts.
func TestForeignFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, typ := range []*registry.Type{
			typeFor[corev1.Pod](corev1.SchemeGroupVersion.WithKind("Pod")),
			typeFor[corev1.Service](corev1.SchemeGroupVersion.WithKind("Service")),
		} {
			m, library := New(typ), oracle(t, typ, "")
			for _, text := range foreignFields {
				if !json.Valid([]byte(text)) {
					continue // no decoder lets it into an object
				}
				live := filler{seeded(t), false}.object(typ)
				live.SetManagedFields([]metav1.ManagedFieldsEntry{{
					Manager: "foreign", Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1",
					FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(text),
				}})
				edited := copyOf(live)
				edited.SetLabels(map[string]string{"new": "label"})
				ours, theirs := copyOf(edited), copyOf(edited)
				_, theirErr := library.Update(live, theirs, "m")
				ourErr := m.Update(live, ours, Write{Version: typ.Hub, Manager: "m", Now: time.Now()})
				if (ourErr != nil) != (theirErr != nil) {
					t.Errorf("%s: we said %v, the library said %v", text, ourErr, theirErr)
				}
				if ourErr == nil && !sameEntries(t, ours.GetManagedFields(), theirs.GetManagedFields()) {
					t.Errorf("reading %s", text)
				}
			}
		}
	})
}

// FuzzParse reads any text. What is taken as being in form must be what the library writes.
func FuzzParse(f *testing.F) {
	for _, text := range foreignFields {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, ok := parse(nil, text, false)
		if !ok {
			return
		}
		if got := string(parsed.encode(nil, member)); got != text {
			t.Errorf("%q became %q", text, got)
		}
		var set fieldpath.Set
		if err := set.FromJSON(metav1.NewFieldsV1(text).GetRawReader()); err != nil {
			t.Fatalf("%q was taken, the library says %v", text, err)
		}
		canonical, err := set.ToJSON()
		if err != nil {
			t.Fatal(err)
		}
		if string(canonical) != text {
			t.Errorf("%q was taken as it is, the library writes %q", text, canonical)
		}
	})
}
