package discovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/field"
)

func texts(errs field.ErrorList) []string {
	var out []string
	for _, e := range errs {
		out = append(out, e.Error())
	}
	return out
}

func slice(t discoveryv1.AddressType, addresses ...string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{AddressType: t, Endpoints: []discoveryv1.Endpoint{{Addresses: addresses}}}
}

func TestDefaults(t *testing.T) {
	s := &discoveryv1.EndpointSlice{Ports: []discoveryv1.EndpointPort{{}, {Name: ptr.To("a"), Protocol: ptr.To(corev1.ProtocolUDP)}}}
	r := EndpointSlices.Erase()
	r.Default(s)
	once := s.DeepCopy()
	if r.Default(s); !equality.Semantic.DeepEqual(s, once) {
		t.Error("defaulting twice makes a difference")
	}
	if *s.Ports[0].Name != "" || *s.Ports[0].Protocol != "TCP" || *s.Ports[1].Protocol != "UDP" {
		t.Errorf("%+v", s.Ports)
	}
}

func TestRefusals(t *testing.T) {
	const label = `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`
	hints := slice("IPv4", "1.2.3.4")
	hints.Endpoints[0].Hints = &discoveryv1.EndpointHints{
		ForZones: []discoveryv1.ForZone{{Name: "z"}, {Name: "z"}}, ForNodes: make([]discoveryv1.ForNode, 9),
	}
	ports := slice("IPv4", "1.2.3.4")
	ports.Ports = []discoveryv1.EndpointPort{{Name: ptr.To("A")}, {Name: ptr.To("a")}, {Name: ptr.To("a"), Protocol: ptr.To[corev1.Protocol]("X")}}
	many := slice("IPv4")
	for i := range 101 {
		many.Endpoints[0].Addresses = append(many.Endpoints[0].Addresses, fmt.Sprintf("1.2.3.%d", i))
	}
	for _, tt := range []struct {
		name string
		s    *discoveryv1.EndpointSlice
		want []string
	}{
		{"valid", slice("IPv4", "1.2.3.4"), nil},
		{"no type", slice(""), []string{`addressType: Required value`, `endpoints[0].addresses: Required value: must contain at least 1 address`}},
		{"unknown type", slice("IP", "x"), []string{`addressType: Unsupported value: "IP": supported values: "FQDN", "IPv4", "IPv6"`}},
		{"other family", slice("IPv4", "fd00::1"), []string{`endpoints[0].addresses: Invalid value: "fd00::1": must be an IPv4 address`}},
		{"no IP", slice("IPv6", "x"), []string{`endpoints[0].addresses[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`}},
		{"loopback", slice("IPv6", "::1"), []string{`endpoints[0].addresses[0]: Invalid value: "::1": may not be in the loopback range (127.0.0.0/8, ::1/128)`}},
		{"too many addresses", many, []string{`endpoints[0].addresses: Too many: 101: must have at most 100 items`}},
		{"ports", ports, []string{
			`ports[0].name: Invalid value: "A": ` + label,
			`ports[2].name: Duplicate value: "a"`,
			`ports[2].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"`,
		}},
		{"hints", hints, []string{
			`endpoints[0].hints.forZones[1].name: Duplicate value: "z"`,
			`endpoints[0].hints.forNodes: Too many: 9: must have at most 8 items`,
		}},
	} {
		r := EndpointSlices.Erase()
		r.Default(tt.s)
		if got := texts(r.ValidateCreate(tt.s)); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, strings.Join(got, "\n     "), strings.Join(tt.want, "\n     "))
		}
	}
}

func TestUpdate(t *testing.T) {
	r := EndpointSlices.Erase()
	bad := slice("IPv4", "127.0.0.1")
	if got := texts(r.ValidateUpdate(bad.DeepCopy(), bad)); got != nil {
		t.Errorf("what was stored may stay: %q", got)
	}
	if got := texts(r.ValidateUpdate(slice("IPv6", "fd00::1"), slice("IPv4", "1.2.3.4"))); !slices.Equal(got, []string{`addressType: Invalid value: "IPv6": field is immutable`}) {
		t.Errorf("got %q", got)
	}
}

func TestTopologyIsDropped(t *testing.T) {
	r := EndpointSlices.Erase()
	old := slice("IPv4", "1.2.3.4")
	old.Endpoints[0].DeprecatedTopology = map[string]string{corev1.LabelHostname: "n"}
	same := old.DeepCopy()
	if r.PrepareUpdate(same, old); same.Endpoints[0].DeprecatedTopology == nil {
		t.Error("dropped although the endpoints are the same")
	}
	changed := old.DeepCopy()
	changed.Endpoints[0].Addresses[0] = "1.2.3.5"
	if r.PrepareUpdate(changed, old); changed.Endpoints[0].DeprecatedTopology != nil || *changed.Endpoints[0].NodeName != "n" {
		t.Errorf("%+v", changed.Endpoints[0])
	}
	created := old.DeepCopy()
	if r.PrepareCreate(created); created.Endpoints[0].DeprecatedTopology != nil || created.Endpoints[0].NodeName != nil {
		t.Errorf("%+v", created.Endpoints[0])
	}
}

func TestGenerationCountsLabels(t *testing.T) {
	r := EndpointSlices.Erase()
	a, b := slice("IPv4", "1.2.3.4"), slice("IPv4", "1.2.3.4")
	if b.Annotations = map[string]string{"a": "b"}; !equality.Semantic.DeepEqual(r.Spec(a), r.Spec(b)) {
		t.Error("an annotation changes the generation")
	}
	if b.Labels = map[string]string{"a": "b"}; equality.Semantic.DeepEqual(r.Spec(a), r.Spec(b)) {
		t.Error("a label does not change the generation")
	}
}

func TestColumnsAndWarnings(t *testing.T) {
	s := slice("FQDN", "a", "b", "c", "d")
	s.Ports = []discoveryv1.EndpointPort{{Port: ptr.To[int32](80)}, {Name: ptr.To("n")}, {}}
	r := EndpointSlices.Erase()
	for i, want := range []string{"FQDN", "80,n,*", "a,b,c + 1 more..."} {
		if got := r.Columns[i].Value(s); got != want {
			t.Errorf("%s: got %v", r.Columns[i].Name, got)
		}
	}
	if got := r.Columns[1].Value(slice("IPv4")); got != "<unset>" {
		t.Error(got)
	}
	if w := r.Warn(s, nil); !slices.Equal(w, []string{"spec.addressType: FQDN endpoints are deprecated"}) {
		t.Errorf("%q", w)
	}
	if w := r.Warn(slice("IPv6", "FD00::1"), s); len(w) != 1 {
		t.Errorf("%q", w)
	}
}
