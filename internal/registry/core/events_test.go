package core

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/randfill"
)

func TestEventsAreServedInTwoGroups(t *testing.T) {
	r := Events.Erase()
	for _, gv := range []schema.GroupVersion{{Version: "v1"}, {Group: "events.k8s.io", Version: "v1"}} {
		if r.Version(gv) == nil {
			t.Errorf("not in %s", gv)
		}
	}
	if r.Prefix != "/registry/events/" || r.Storage != r.Version(schema.GroupVersion{Version: "v1"}) || r.TTL(&corev1.Event{}) != time.Hour || !r.NeverCollected {
		t.Error("storage")
	}
}

func TestEventConversionRoundTrips(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	fill := randfill.NewWithSeed(seed).NilChance(0.3).NumElements(1, 2)
	spoke := Events.Erase().Versions[1]
	for range 200 {
		want := &corev1.Event{}
		fill.Fill(want)
		want.TypeMeta = metav1.TypeMeta{}
		v, err := spoke.FromHub(want.DeepCopy())
		if err != nil {
			t.Fatal(err)
		}
		got, err := spoke.ToHub(v)
		if err != nil {
			t.Fatal(err)
		}
		if !equality.Semantic.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	}
	e := &eventsv1.Event{Note: "n", Regarding: corev1.ObjectReference{Name: "r"}, DeprecatedCount: 3}
	hub, _ := spoke.ToHub(e)
	if h := hub.(*corev1.Event); h.Message != "n" || h.InvolvedObject.Name != "r" || h.Count != 3 {
		t.Errorf("%+v", h)
	}
}

func TestEventFields(t *testing.T) {
	r := Events.Erase()
	e := parse(t, r, `{involvedObject: {kind: Pod, namespace: ns, name: p, uid: u, apiVersion: v1, resourceVersion: "5", fieldPath: f}, reason: R, reportingComponent: c, type: Normal}`)
	checkFields(t, r, 0, e, map[string]string{
		"involvedObject.kind": "Pod", "involvedObject.namespace": "ns", "involvedObject.name": "p", "involvedObject.uid": "u",
		"involvedObject.apiVersion": "v1", "involvedObject.resourceVersion": "5", "involvedObject.fieldPath": "f",
		"reason": "R", "reportingComponent": "c", "source": "c", "type": "Normal",
	})
	checkFields(t, r, 1, e, map[string]string{
		"regarding.kind": "Pod", "regarding.namespace": "ns", "regarding.name": "p", "regarding.uid": "u", "regarding.apiVersion": "v1",
		"regarding.resourceVersion": "5", "regarding.fieldPath": "f", "reason": "R", "reportingController": "c", "type": "Normal",
	})
	for version, foreign := range []string{"regarding.name", "involvedObject.name"} {
		if r.Field(r.Versions[version], foreign) != nil {
			t.Errorf("%s selects by %s", r.Versions[version].GroupVersion, foreign)
		}
	}
	if r.Field(r.Versions[1], "source") != nil {
		t.Error("events.k8s.io/v1 selects by source")
	}
}

func TestEventWrites(t *testing.T) {
	const valid = `{metadata: {name: e, namespace: ns}, involvedObject: {namespace: ns}, eventTime: "2026-01-01T00:00:00.000000Z", reportingComponent: a.b/c, reportingInstance: i, action: A, reason: R, type: Normal}`
	edit := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(valid) }
	const qualified = `name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`
	for _, c := range []struct {
		name         string
		old, new     string
		core, events []string
	}{
		{"valid", "", valid, nil, nil},
		{"of old", "", `{metadata: {name: "E_", namespace: ns}, involvedObject: {namespace: other}, count: 1, firstTimestamp: "2026-01-01T00:00:00Z", source: {component: c}}`,
			[]string{`involvedObject.namespace: Invalid value: "other": does not match event.namespace`},
			[]string{
				`involvedObject.namespace: Invalid value: "other": does not match event.namespace`,
				`metadata.name: Invalid value: "E_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
				`eventTime: Required value`,
				`type: Invalid value: "": has invalid value: `,
				`firstTimestamp: Invalid value: "": needs to be unset`,
				`count: Invalid value: "": needs to be unset`,
				`source: Invalid value: "": needs to be unset`,
			}},
		{"cluster-scoped object", "", edit("involvedObject: {namespace: ns}", "involvedObject: {}", "namespace: ns", "namespace: default"), nil, nil},
		{"empty reporter", "", edit("reportingComponent: a.b/c, reportingInstance: i, action: A, reason: R, ", ""),
			[]string{`reportingComponent: Required value`, `reportingComponent: Invalid value: "": name part must be non-empty`, `reportingComponent: Invalid value: "": ` + qualified,
				`reportingInstance: Required value`, `action: Required value`, `reason: Required value`},
			[]string{`reportingController: Required value`, `reportingController: Invalid value: "": name part must be non-empty`, `reportingController: Invalid value: "": ` + qualified,
				`reportingInstance: Required value`, `action: Required value`, `reason: Required value`}},
		{"long", "", edit("reason: R", "message: "+strings.Repeat("m", 1025)+", reason: "+strings.Repeat("r", 129)),
			[]string{`reason: Invalid value: "": can have at most 128 characters`, `message: Invalid value: "": can have at most 1024 characters`},
			[]string{`reason: Invalid value: "": can have at most 128 characters`, `message: Invalid value: "": can have at most 1024 characters`}},
		{"series", valid, edit("type: Normal", "type: Normal, series: {count: 1}"), nil,
			[]string{`series.count: Invalid value: "": should be at least 2`, `series.lastObservedTime: Required value`}},
		{"changed", valid, edit("reason: R", "reason: S", "type: Normal", "type: Warning"), nil,
			[]string{`reason: Invalid value: "S": field is immutable`, `type: Invalid value: "Warning": field is immutable`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Events.Erase()
			for i, want := range [][]string{c.core, c.events} {
				v, new := r.Versions[i], parse(t, r, c.new)
				var got []string
				if c.old == "" {
					got = texts(v.ValidateCreate(new))
				} else {
					got = texts(v.ValidateUpdate(new, parse(t, r, c.old)))
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s:\ngot  %s\nwant %s", v.GroupVersion, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
				}
			}
		})
	}
}

func TestEventRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no second passes
		r := Events.Erase()
		ago := func(d time.Duration) metav1.Time { return metav1.NewTime(time.Now().Add(-d)) }
		e := &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: "e"},
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "p", FieldPath: "f"},
			FirstTimestamp: ago(2 * time.Hour), LastTimestamp: ago(5 * time.Minute), Count: 4,
			Type: "Warning", Reason: "R", Message: " m\n", Source: corev1.EventSource{Component: "kubelet", Host: "n"},
		}
		checkRow(t, r, e, "5m", "Warning", "R", "pod/p", "f", "kubelet, n", "m", "120m", int64(4), "e")
		single := &corev1.Event{EventTime: metav1.MicroTime(ago(3 * time.Minute)), ReportingController: "c", InvolvedObject: corev1.ObjectReference{Kind: "Node"}}
		checkRow(t, r, single, "3m", "", "", "node", "", "c", "", "3m", int64(1), "")
		single.Series = &corev1.EventSeries{Count: 9, LastObservedTime: metav1.MicroTime(ago(time.Minute))}
		checkRow(t, r, single, "60s", "", "", "node", "", "c", "", "3m", int64(9), "")
		var shown []string
		for _, c := range r.Columns {
			if !c.Wide {
				shown = append(shown, c.Name)
			}
		}
		if !slices.Equal(shown, []string{"Last Seen", "Type", "Reason", "Object", "Message"}) {
			t.Errorf("%q", shown)
		}
	})
}
