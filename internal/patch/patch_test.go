package patch

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/proa-dev/proa/internal/registry"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

func pod() *corev1.Pod {
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{"a": "1", "b": "2"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "x"}, {Name: "b", Image: "y"}}, Volumes: []corev1.Volume{{Name: "v"}}},
	}
}

const (
	ofJSON    = types.JSONPatchType
	merge     = types.MergePatchType
	strategic = types.StrategicMergePatchType
)

func images(p *corev1.Pod) string {
	var all []string
	for _, c := range p.Spec.Containers {
		all = append(all, c.Name+"="+c.Image)
	}
	return strings.Join(all, " ")
}

func TestContainers(t *testing.T) {
	for _, test := range []struct {
		kind        types.PatchType
		patch, want string
	}{
		{ofJSON, `[{"op":"replace","path":"/spec/containers/1/image","value":"z"}]`, "a=x b=z"},
		{ofJSON, `[{"op":"test","path":"/spec/containers/0/name","value":"a"},{"op":"remove","path":"/spec/containers/0"}]`, "b=y"},
		{merge, `{"spec":{"containers":[{"name":"c"}]}}`, "c="},
		{merge, `{"metadata":{"labels":null}}`, "a=x b=y"},
		{strategic, `{"spec":{"containers":[{"name":"b","image":"z"}]}}`, "a=x b=z"},
		{strategic, `{"spec":{"containers":[{"$patch":"delete","name":"a"}]}}`, "b=y"},
		{strategic, `{"spec":{"containers":[{"$patch":"replace"},{"name":"c","image":"z"}]}}`, "c=z"},
		{strategic, `{"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"b","image":"z"}]}}`, "b=z a=x"},
	} {
		original, into := pod(), &corev1.Pod{}
		warnings, err := Object(test.kind, original, into, []byte(test.patch), metav1.FieldValidationStrict)
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v", test.patch, err, warnings)
		}
		if got := images(into); got != test.want {
			t.Errorf("%s gave %s, not %s", test.patch, got, test.want)
		}
		if images(original) != "a=x b=y" || len(original.Labels) != 2 {
			t.Errorf("%s changed the original", test.patch)
		}
	}
}

// unapplied is all that clients are told of a patch that does not fit.
const unapplied = "the server rejected our request due to an error in our request"

func TestErrors(t *testing.T) {
	many := "[" + strings.Repeat(`{"op":"test","path":"/kind","value":"Pod"},`, 10000) + `{"op":"test","path":"/kind","value":"Pod"}]`
	for _, test := range []struct {
		kind  types.PatchType
		patch string
		code  int32
		text  string
	}{
		{ofJSON, `{`, 400, "error decoding patch: unexpected end of JSON input"},
		{ofJSON, `{}`, 400, "error decoding patch: json: cannot unmarshal object into Go value of type"},
		{ofJSON, `[{"op":"test","path":"/kind","value":"Job"}]`, 422, unapplied},
		{ofJSON, `[{"op":"remove","path":"/spec/nope"}]`, 422, unapplied},
		{ofJSON, `[{"op":"replace","path":"/spec/containers","value":1}]`, 422, "patch: Invalid value"},
		{ofJSON, many, 413, "The allowed maximum operations in a JSON patch is 10000, got 10001"},
		{ofJSON, `[{"op":"add","path":"/spec/what","value":1}]`, 422, `strict decoding error: unknown field "spec.what"`},
		{ofJSON, `[{"op":"add","path":"/spec/hostname","value":"h","more":1}]`, 422, `strict decoding error: json patch unknown field "[0].more"`},
		{merge, `{`, 400, "error decoding patch: unexpected end of JSON input"},
		{merge, `[]`, 400, "error decoding patch"},
		{merge, `{"spec":{"what":1}}`, 422, `unknown field "spec.what"`},
		{merge, `{"spec":{"hostname":"a","hostname":"b"}}`, 422, `duplicate field "spec.hostname"`},
		{merge, `{"spec":{"containers":"none"}}`, 422, "patch: Invalid value"},
		{strategic, `{`, 400, "unexpected end of JSON input"},
		{strategic, `{"spec":{"what":1}}`, 422, `strict decoding error: unknown field "spec.what"`},
		{strategic, `{"spec":{"hostname":"a","hostname":"b"}}`, 422, `duplicate field "spec.hostname"`},
		{strategic, `{"spec":{"$retainKeys":["hostname"],"nodeName":"n"}}`, 400, "invalid patch format of retainKeys"},
		{strategic, `{"spec":{"volumes":[{"$retainKeys":["name"],"name":"v","emptyDir":{}}]}}`, 400, "invalid patch format of retainKeys"},
		{"application/xml", ``, 415, "application/xml is no patch"},
	} {
		_, err := Object(test.kind, pod(), &corev1.Pod{}, []byte(test.patch), metav1.FieldValidationStrict)
		status, ok := err.(errors.APIStatus)
		shown := test.patch[:min(len(test.patch), 60)]
		if !ok {
			t.Errorf("%s %s: got %v", test.kind, shown, err)
			continue
		}
		if status.Status().Code != test.code || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s %s: got %d %v", test.kind, shown, status.Status().Code, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, test := range []struct {
		kind        types.PatchType
		patch, want string
	}{
		{ofJSON, `[{"op":"add","path":"/spec/what","value":1,"more":1}]`, `json patch unknown field "[0].more"; unknown field "spec.what"`},
		{merge, `{"spec":{"what":1,"what":2}}`, `duplicate field "spec.what"; unknown field "spec.what"`},
		{strategic, `{"spec":{"what":1,"hostname":"a","hostname":"b"}}`, `duplicate field "spec.hostname"; unknown field "spec.what"`},
	} {
		warnings, err := Object(test.kind, pod(), &corev1.Pod{}, []byte(test.patch), metav1.FieldValidationWarn)
		if got := strings.Join(warnings, "; "); err != nil || got != test.want {
			t.Errorf("%s: %q %v", test.patch, got, err)
		}
		warnings, err = Object(test.kind, pod(), &corev1.Pod{}, []byte(test.patch), metav1.FieldValidationIgnore)
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s, ignoring: %q %v", test.patch, warnings, err)
		}
	}
}

func TestCopiesAreBounded(t *testing.T) {
	original := pod()
	original.Annotations = map[string]string{"big": strings.Repeat("x", 1<<20)}
	// Two copies stay below the limit, four do not.
	copies := strings.Repeat(`{"op":"copy","from":"/metadata/annotations/big","path":"/metadata/annotations/c"},`, 4)
	if _, err := Object(ofJSON, original, &corev1.Pod{}, []byte("["+copies[:2*len(copies)/4-1]+"]"), "Ignore"); err != nil {
		t.Error(err)
	}
	_, err := Object(ofJSON, original, &corev1.Pod{}, []byte("["+copies[:len(copies)-1]+"]"), "Ignore")
	if !errors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}

func TestCustomResources(t *testing.T) {
	original := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "e/v1", "kind": "W", "spec": map[string]any{"n": int64(1)}}}
	into := &unstructured.Unstructured{}
	if _, err := Object(merge, original, into, []byte(`{"spec":{"n":2,"big":9007199254740993}}`), "Strict"); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"n": int64(2), "big": int64(9007199254740993)}
	if got, _, _ := unstructured.NestedMap(into.Object, "spec"); got["n"] != want["n"] || got["big"] != want["big"] {
		t.Errorf("got %v", got)
	}
}

// FuzzObject applies anything. Whatever it does, it must not panic nor change the original, and what it
// accepts must be an object that can be encoded.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`[{"op":"copy","from":"/spec","path":"/spec/containers/-"}]`, `[{"op":"move","from":"","path":"/a"}]`, `[{"op":"add","path":"","value":null}]`,
		`[{"op":"remove","path":"/spec/containers/-1"}]`, `[{"op":"add","path":"/spec/containers/99","value":{}}]`, `[null]`, `null`, `[{"op":null}]`,
		`{"spec":null}`, `{"spec":{"containers":[{"name":null}]}}`, `{"$patch":"replace"}`, `{"$patch":"delete"}`, `{"metadata":{"$patch":1}}`,
		`{"spec":{"$setElementOrder/containers":[{"name":"b"}]}}`, `{"metadata":{"$deleteFromPrimitiveList/finalizers":["a"]}}`, `{"spec":{"$retainKeys":[1]}}`,
	} {
		for kind := range 3 {
			f.Add(kind, seed)
		}
	}
	kinds := []types.PatchType{ofJSON, merge, strategic}
	before, _ := json.Marshal(pod())
	f.Fuzz(func(t *testing.T, kind int, patch string) {
		original, into := pod(), registry.Object(&corev1.Pod{})
		_, err := Object(kinds[(kind%3+3)%3], original, into, []byte(patch), []string{"Strict", "Warn", "Ignore"}[len(patch)%3])
		if after, _ := json.Marshal(original); string(after) != string(before) {
			t.Errorf("the original became %s", after)
		}
		if err == nil {
			if _, err := json.Marshal(into); err != nil {
				t.Error(err)
			}
		}
	})
}
