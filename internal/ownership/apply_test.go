package ownership

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proa-dev/proa/internal/registry"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// applying is an object that appliers and others write in turn.
type applying struct {
	t    *testing.T
	m    *Manager
	live registry.Object
}

func applyTo(t *testing.T, typ *registry.Type) *applying { return &applying{t: t, m: New(typ)} }

func (a *applying) apply(manager, document string, force bool) error {
	a.t.Helper()
	merged, _, err := a.m.Apply(a.live, []byte(document), Apply{
		Write: Write{Version: a.m.typ.Hub, Manager: manager, Now: noon}, Force: force, Validation: "Strict",
	})
	if err == nil {
		a.live = merged
		a.live.SetUID("uid")
	}
	return err
}

func (a *applying) update(manager string, change func(registry.Object)) {
	a.t.Helper()
	next := a.m.stored(a.live, a.m.typ.Hub)
	change(next)
	if err := a.m.Update(a.live, next, Write{Version: a.m.typ.Hub, Manager: manager, Now: noon}); err != nil {
		a.t.Fatal(err)
	}
	next.SetUID("uid")
	a.live = next
}

func (a *applying) fields(manager string) string {
	for _, e := range a.live.GetManagedFields() {
		if e.Manager == manager {
			return e.FieldsV1.GetRawString()
		}
	}
	return ""
}

func deployment(lines ...string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: ns}\nspec:\n  " + strings.Join(lines, "\n  ")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestApplyConflicts(t *testing.T) {
	a := applyTo(t, typeFor[appsv1.Deployment](deploymentKind))
	must(t, a.apply("one", deployment("replicas: 1", "paused: true"), false))
	three := int32(3)
	a.update("kubectl", func(o registry.Object) { o.(*appsv1.Deployment).Spec.Replicas = &three })

	err := a.apply("one", deployment("replicas: 1", "paused: true"), false)
	status, ok := err.(*errors.StatusError)
	if !ok || !errors.IsConflict(err) {
		t.Fatalf("got %v", err)
	}
	if want := `Apply failed with 1 conflict: conflict with "kubectl" using apps/v1: .spec.replicas`; err.Error() != want {
		t.Errorf("got %q, not %q", err, want)
	}
	cause := metav1.StatusCause{Type: metav1.CauseTypeFieldManagerConflict, Message: `conflict with "kubectl" using apps/v1`, Field: ".spec.replicas"}
	if causes := status.Status().Details.Causes; len(causes) != 1 || causes[0] != cause {
		t.Errorf("causes %+v", causes)
	}

	must(t, a.apply("one", deployment("replicas: 1", "paused: true"), true))
	if got := *a.live.(*appsv1.Deployment).Spec.Replicas; got != 1 {
		t.Errorf("forced replicas are %d", got)
	}
	if got := a.fields("kubectl"); got != "" {
		t.Errorf("kubectl still owns %s", got)
	}

	err = a.apply("two", deployment("replicas: 2", "paused: false"), false)
	want := "Apply failed with 2 conflicts: conflicts with \"one\":\n- .spec.paused\n- .spec.replicas"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, not %q", err, want)
	}
}

func TestApplyRemovesWhatItNoLongerNames(t *testing.T) {
	a := applyTo(t, typeFor[appsv1.Deployment](deploymentKind))
	containers := "template: {spec: {containers: [{name: a, image: x}, {name: b, image: z}]}}"
	must(t, a.apply("one", deployment("minReadySeconds: 5", containers), false))
	must(t, a.apply("two", deployment("template: {spec: {containers: [{name: b, image: z}]}}"), false))
	must(t, a.apply("one", deployment("template: {spec: {containers: [{name: a, image: x}]}}"), false))
	spec := a.live.(*appsv1.Deployment).Spec
	if spec.MinReadySeconds != 0 || len(spec.Template.Spec.Containers) != 2 {
		t.Errorf("left %+v", spec)
	}
	must(t, a.apply("two", deployment("paused: true"), false))
	if got := a.live.(*appsv1.Deployment).Spec.Template.Spec.Containers; len(got) != 1 || got[0].Name != "a" {
		t.Errorf("left %+v", got)
	}
	if got, want := a.fields("two"), `{"f:spec":{"f:paused":{}}}`; got != want {
		t.Errorf("two owns %s, not %s", got, want)
	}
}

func TestApplyRefuses(t *testing.T) {
	for name, test := range map[string]struct{ document, want string }{
		"another version": {"apiVersion: apps/v1beta1\nkind: Deployment", `invalid object type: apps/v1beta1, Kind=Deployment`},
		"managed fields":  {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, managedFields: []}", "metadata.managedFields must be nil"},
		"no YAML":         {"{", "error decoding YAML: "},
		"unknown fields":  {deployment("what: 1"), ".spec.what: field not declared in schema"},
		"two of one key":  {deployment("template: {spec: {containers: [{name: a}, {name: a}]}}"), `duplicate entries for key [name="a"]`},
		"duplicates":      {deployment("replicas: 1", "replicas: 2"), `already set in map`},
	} {
		err := applyTo(t, typeFor[appsv1.Deployment](deploymentKind)).apply("m", test.document, false)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestApplyTakesOverFromClientSide lets kubectl's server-side apply take what its client-side apply set, and
// keep the annotation up to date.
func TestApplyTakesOverFromClientSide(t *testing.T) {
	a := applyTo(t, typeFor[corev1.ConfigMap](configMapKind))
	const annotation = "kubectl.kubernetes.io/last-applied-configuration"
	a.update("kubectl-client-side-apply", func(o registry.Object) {
		c := o.(*corev1.ConfigMap)
		c.Name, c.Data = "c", map[string]string{"k": "old"}
		c.Annotations = map[string]string{annotation: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"k":"old"}}`}
	})
	document := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: new}"
	if err := a.apply("other", document, false); !errors.IsConflict(err) {
		t.Errorf("another manager got %v", err)
	}
	must(t, a.apply("kubectl", document, false))
	want := `{"apiVersion":"v1","data":{"k":"new"},"kind":"ConfigMap","metadata":{"name":"c"}}`
	if got := strings.TrimSpace(a.live.GetAnnotations()[annotation]); got != want {
		t.Errorf("annotation %s", got)
	}
}

func TestBeforeFirstApply(t *testing.T) {
	a := applyTo(t, typeFor[corev1.ConfigMap](configMapKind))
	a.live = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c", UID: "uid"}, Data: map[string]string{"old": "1"}}
	must(t, a.apply("m", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {new: '2'}", false))
	if got, want := a.fields("before-first-apply"), `{"f:data":{".":{},"f:old":{}}}`; got != want {
		t.Errorf("owned before: %s, not %s", got, want)
	}
	if got, want := a.fields("m"), `{"f:data":{"f:new":{}}}`; got != want {
		t.Errorf("applied: %s, not %s", got, want)
	}
	for _, e := range a.live.GetManagedFields() {
		if !e.Time.Time.Equal(noon) {
			t.Errorf("%s wrote at %v", e.Manager, e.Time)
		}
	}
}

func TestApplyWarnsOfDuplicates(t *testing.T) {
	m := New(typeFor[appsv1.Deployment](deploymentKind))
	document := []byte(deployment("replicas: 1", "replicas: 2"))
	for validation, want := range map[string]string{"Warn": `line 6: key "replicas" already set in map`, "Ignore": ""} {
		_, warnings, err := m.Apply(nil, document, Apply{Write: Write{Version: m.typ.Hub, Manager: "m", Now: noon}, Validation: validation})
		if err != nil || strings.Join(warnings, "; ") != want {
			t.Errorf("%s: %q %v", validation, warnings, err)
		}
	}
}

func TestApplyAgainChangesNothing(t *testing.T) {
	a := applyTo(t, typeFor[appsv1.Deployment](deploymentKind))
	must(t, a.apply("m", deployment("replicas: 1"), false))
	before := copyOf(a.live)
	must(t, a.apply("m", deployment("replicas: 1"), false))
	if asJSON(t, before) != asJSON(t, a.live) {
		t.Errorf("from\n%s\nto\n%s", asJSON(t, before), asJSON(t, a.live))
	}
}

func TestScaleOwnsReplicas(t *testing.T) {
	a := applyTo(t, typeFor[appsv1.Deployment](deploymentKind))
	must(t, a.apply("one", deployment("replicas: 1", "paused: true"), false))
	gv := deploymentKind.GroupVersion()
	a.m.typ.Scale = &registry.TypeScale{ReplicasPath: "spec.replicas"}
	entries, err := ToScale(a.m.typ, a.live.GetManagedFields(), gv)
	must(t, err)
	old := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "uid", ManagedFields: entries}, Spec: autoscalingv1.ScaleSpec{Replicas: 1}}
	new := old.DeepCopy()
	new.Spec.Replicas = 5
	scale := NewScale()
	must(t, scale.Update(old, new, Write{Version: scale.typ.Hub, Manager: "hpa", Subresource: "scale", Now: noon}))
	entries, err = FromScale(a.m.typ, a.live.GetManagedFields(), gv, new.ManagedFields)
	must(t, err)
	a.live.SetManagedFields(entries)
	if got, want := a.fields("hpa"), `{"f:spec":{"f:replicas":{}}}`; got != want {
		t.Errorf("hpa owns %s", got)
	}
	if got, want := a.fields("one"), `{"f:spec":{"f:paused":{}}}`; got != want {
		t.Errorf("one owns %s", got)
	}
}

// TestCustomResources have no Go type; without a schema their lists are atomic.
func TestCustomResources(t *testing.T) {
	typ := typeFor[corev1.ConfigMap](configMapKind)
	typ.Hub.GroupVersion.Group, typ.Hub.Kind, typ.Kind = "example.com", "Widget", "Widget"
	typ.Hub.New = func() registry.Object { return &unstructured.Unstructured{Object: map[string]any{}} }
	typ.New = typ.Hub.New
	m := NewCustom(typ, managedfields.NewDeducedTypeConverter())
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "w"},
		"spec": map[string]any{"size": int64(1), "parts": []any{"a"}},
	}}
	write := Write{Version: typ.Hub, Manager: "m", Now: noon}
	must(t, m.Update(nil, o, write))
	want := `{"f:spec":{".":{},"f:parts":{},"f:size":{}}}`
	if e := o.GetManagedFields(); len(e) != 1 || e[0].FieldsV1.GetRawString() != want || !e[0].Time.Time.Equal(noon) {
		t.Errorf("entries %+v", e)
	}
	o.SetUID("uid")
	document := "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 2}"
	_, _, err := m.Apply(o, []byte(document), Apply{Write: Write{Version: typ.Hub, Manager: "n", Now: noon}})
	if !errors.IsConflict(err) {
		t.Errorf("got %v", err)
	}
}

// TestVersions keeps the entries of a version in its own words.
func TestVersions(t *testing.T) {
	typ := registry.Resource[appsv1.Deployment]{Group: "apps", Kind: "Deployment", Name: "deployments", Versions: []registry.Version[appsv1.Deployment]{
		registry.Hub[appsv1.Deployment]("v1"),
		registry.Spoke("v0",
			func(c *corev1.ConfigMap) (*appsv1.Deployment, error) {
				d := &appsv1.Deployment{ObjectMeta: c.ObjectMeta}
				d.Spec.Paused = c.Data["paused"] == "yes"
				return d, nil
			},
			func(d *appsv1.Deployment) (*corev1.ConfigMap, error) {
				c := &corev1.ConfigMap{ObjectMeta: d.ObjectMeta, Data: map[string]string{"paused": "no"}}
				if d.Spec.Paused {
					c.Data["paused"] = "yes"
				}
				return c, nil
			}),
	}}.Erase()
	m := New(typ)
	old := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "d"}}
	must(t, m.Update(nil, old, Write{Version: typ.Versions[1], Manager: "v0", Now: noon}))
	if e := old.ManagedFields; len(e) != 1 || e[0].APIVersion != "apps/v0" || e[0].FieldsV1.GetRawString() != `{"f:data":{".":{},"f:paused":{}}}` {
		t.Fatalf("entries %+v", e)
	}
	old.UID = "uid"
	new := old.DeepCopy()
	new.Spec.Paused = true
	must(t, m.Update(old, new, Write{Version: typ.Hub, Manager: "v1", Now: noon}))
	if e := new.ManagedFields; len(e) != 2 || e[0].FieldsV1.GetRawString() != `{"f:data":{}}` || e[1].FieldsV1.GetRawString() != `{"f:spec":{"f:paused":{}}}` {
		t.Errorf("entries %s", asJSON(t, e))
	}
}

func TestKeepTimes(t *testing.T) {
	entry := func(at time.Time) []metav1.ManagedFieldsEntry {
		return []metav1.ManagedFieldsEntry{{Manager: "m", Time: &metav1.Time{Time: at}, FieldsV1: metav1.NewFieldsV1(`{"f:data":{}}`)}}
	}
	old := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "7", ManagedFields: entry(noon)}}
	same := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ManagedFields: entry(noon.Add(time.Hour))}}
	other := same.DeepCopy()
	other.Data = map[string]string{"a": "b"}
	KeepTimes(old, same)
	KeepTimes(old, other)
	if !same.ManagedFields[0].Time.Time.Equal(noon) || other.ManagedFields[0].Time.Time.Equal(noon) {
		t.Errorf("%v %v", same.ManagedFields[0].Time, other.ManagedFields[0].Time)
	}
}

func TestManagerName(t *testing.T) {
	for _, test := range [][3]string{
		{"named", "agent/1", "named"}, {"", "kubectl/v1.36 (linux)", "kubectl"}, {"", "a\x00b/1", "ab"},
		{"", strings.Repeat("x", 200), strings.Repeat("x", 128)}, {"", "", ""},
	} {
		if got := ManagerName(test[0], test[1]); got != test[2] {
			t.Errorf("ManagerName(%q, %q) is %q", test[0], test[1], got)
		}
	}
}

// TestAppliesEqualLibrary mixes applies of random documents with other writes.
func TestAppliesEqualLibrary(t *testing.T) {
	all := kinds(t)
	synctest.Test(t, func(t *testing.T) {
		rng := seeded(t)
		for i, typ := range all {
			if i%3 != rng.IntN(3) {
				continue
			}
			f, m, library := filler{rng, false}, New(typ), oracle(t, typ, "")
			live := f.object(typ)
			for range 4 {
				config := f.edit(live, typ, 80)
				config.SetUID("")
				document := []byte(asJSON(t, config))
				u := &unstructured.Unstructured{}
				must(t, u.UnmarshalJSON(document))
				force := f.chance(60)
				theirs, theirErr := library.Apply(m.stored(live, typ.Hub), u, "m", force)
				ours, _, ourErr := m.Apply(live, document, Apply{Write: Write{Version: typ.Hub, Manager: "m", Now: time.Now()}, Force: force, Validation: "Ignore"})
				if (theirErr == nil) != (ourErr == nil) || ourErr != nil && sortedLines(ourErr) != sortedLines(theirErr) {
					t.Fatalf("%s: we said %v, the library said %v", name(typ), ourErr, theirErr)
				}
				if ourErr == nil {
					setKind(ours, typ.Hub.GroupVersionKind())
					if a, b := asJSON(t, ours), asJSON(t, theirs); a != b {
						t.Fatalf("%s: we merged\n%s\nthe library merged\n%s", name(typ), a, b)
					}
					live = ours
				}
				time.Sleep(time.Second)
			}
		}
	})
}

// sortedLines of an error: the library lists faults in the order of a Go map.
func sortedLines(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
