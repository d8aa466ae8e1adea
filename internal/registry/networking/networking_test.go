package networking

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/registrytest"
)

func backend(name string, port int32) networkingv1.IngressBackend {
	return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: name, Port: networkingv1.ServiceBackendPort{Number: port}}}
}

func rule(host, path string, kind networkingv1.PathType) networkingv1.IngressRule {
	return networkingv1.IngressRule{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
		Paths: []networkingv1.HTTPIngressPath{{Path: path, PathType: &kind, Backend: backend("web", 80)}},
	}}}
}

func ingress() *networkingv1.Ingress {
	return &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}, Spec: networkingv1.IngressSpec{
		Rules: []networkingv1.IngressRule{rule("example.com", "/", "Prefix")},
	}}
}

func TestIngress(t *testing.T) {
	type row = registrytest.Edit[networkingv1.Ingress]
	only := func(r networkingv1.IngressRule) func(*networkingv1.Ingress) {
		return func(i *networkingv1.Ingress) { i.Spec.Rules = []networkingv1.IngressRule{r} }
	}
	to := func(b networkingv1.IngressBackend) func(*networkingv1.Ingress) {
		return func(i *networkingv1.Ingress) { i.Spec.DefaultBackend = &b }
	}
	both := backend("web", 80)
	both.Service.Port.Name = "http"
	mixed := backend("web", 80)
	mixed.Resource = &corev1.TypedLocalObjectReference{Kind: "Bucket", Name: "x"}
	noPath := rule("example.com", "/", "Prefix")
	noPath.HTTP.Paths = nil
	untyped := rule("example.com", "/", "Prefix")
	untyped.HTTP.Paths[0].PathType = nil
	badSecret := func(i *networkingv1.Ingress) { i.Spec.TLS = []networkingv1.IngressTLS{{SecretName: "A"}} }
	const lower = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
	registrytest.Create(t, Ingresses, ingress,
		row{"nothing", func(i *networkingv1.Ingress) { i.Spec.Rules = nil },
			[]string{"spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"}},
		row{"address as host", only(rule("10.0.0.1", "/", "Prefix")), []string{`spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address`}},
		row{"wildcard", only(rule("*.example.com", "/", "Prefix")), nil},
		row{"wildcard below", only(rule("*.example.com", "x", "Prefix")), []string{`spec.rules[0].http.paths[0].path: Invalid value: "x": must be an absolute path`}},
		row{"no paths", only(noPath), []string{"spec.rules[0].http.paths: Required value"}},
		row{"no type", only(untyped), []string{"spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"}},
		row{"unknown type", only(rule("", "/", "Regex")),
			[]string{`spec.rules[0].http.paths[0].pathType: Unsupported value: "Regex": supported values: "Exact", "ImplementationSpecific", "Prefix"`}},
		row{"path", only(rule("", "/a/../b%2f/..", "Exact")), []string{
			`spec.rules[0].http.paths[0].path: Invalid value: "/a/../b%2f/..": must not contain '/../'`,
			`spec.rules[0].http.paths[0].path: Invalid value: "/a/../b%2f/..": must not contain '%2f'`,
			`spec.rules[0].http.paths[0].path: Invalid value: "/a/../b%2f/..": cannot end with '/..'`,
		}},
		row{"no path is fine", only(rule("", "", "ImplementationSpecific")), nil},
		row{"service name of digits", to(backend("1web", 80)), nil},
		row{"no port", to(backend("web", 0)), []string{"spec.defaultBackend: Required value: port name or number is required"}},
		row{"no service", to(networkingv1.IngressBackend{}), []string{`spec.defaultBackend: Invalid value: "": resource or service backend is required`}},
		row{"two ports", to(both), []string{`spec.defaultBackend: Invalid value: "": cannot set both port name & port number`}},
		row{"two backends", to(mixed), []string{`spec.defaultBackend: Invalid value: "": cannot set both resource and service backends`}},
		row{"port", to(backend("web", 70000)), []string{"spec.defaultBackend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive"}},
		row{"secret", badSecret, []string{`spec.tls[0].secretName: Invalid value: "A": ` + lower}},
		row{"classes differ", func(i *networkingv1.Ingress) {
			i.Annotations, i.Spec.IngressClassName = map[string]string{classAnnotation: "a"}, ptr.To("b")
		}, []string{"annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match `ingressClassName` when both are specified"}},
	)
	old := func() *networkingv1.Ingress {
		i := ingress()
		badSecret(i)
		i.Spec.Rules = append(i.Spec.Rules, rule("*.example.com", "x", "Prefix"))
		return i
	}
	registrytest.Update(t, Ingresses, old, row{"older than the rules", func(i *networkingv1.Ingress) { i.Spec.IngressClassName = ptr.To("a") }, nil})
	registrytest.Update(t, Ingresses, ingress, row{"secret breaks", badSecret, []string{`spec.tls[0].secretName: Invalid value: "A": ` + lower}})
	registrytest.Status(t, Ingresses, ingress, row{"addresses", func(i *networkingv1.Ingress) {
		i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "1.2.3"}, {Hostname: "1.2.3.4"}}
	}, []string{
		`status.loadBalancer.ingress[0].ip: Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`,
		`status.loadBalancer.ingress[1].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address`,
	}})

	i, typ := ingress(), Ingresses.Erase()
	registrytest.Columns(t, typ, i, map[string]any{"Class": "<none>", "Hosts": "example.com", "Address": "", "Ports": "80"})
	i.Spec.IngressClassName, i.Spec.TLS = ptr.To("nginx"), []networkingv1.IngressTLS{{}}
	i.Spec.Rules = []networkingv1.IngressRule{{Host: "a"}, {}, {Host: "b"}, {Host: "c"}, {Host: "d"}, {Host: "e"}}
	i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: "lb.example.com"}, {IP: "10.0.0.1"}, {IP: "10.0.0.1"}}
	registrytest.Columns(t, typ, i, map[string]any{"Class": "nginx", "Hosts": "a,b,c + 3 more...", "Address": "10.0.0.1,lb.e...", "Ports": "80, 443"})
	if typ.Prefix != "/registry/ingress/" {
		t.Errorf("stored at %s, where kube-apiserver does not look", typ.Prefix)
	}
	i.Annotations, i.Spec.IngressClassName = map[string]string{classAnnotation: "a"}, nil
	if got := typ.Warn(i, nil); !slices.Equal(got, []string{`annotation "kubernetes.io/ingress.class" is deprecated, please use 'spec.ingressClassName' instead`}) {
		t.Errorf("warnings %q", got)
	}
}

func TestIngressClass(t *testing.T) {
	valid := func() *networkingv1.IngressClass {
		return &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: networkingv1.IngressClassSpec{
			Controller: "example.com/nginx", Parameters: &networkingv1.IngressClassParametersReference{APIGroup: ptr.To("example.com"), Kind: "Config", Name: "main"},
		}}
	}
	type row = registrytest.Edit[networkingv1.IngressClass]
	scope := func(scope string, namespace *string) func(*networkingv1.IngressClass) {
		return func(c *networkingv1.IngressClass) {
			c.Spec.Parameters.Scope, c.Spec.Parameters.Namespace = &scope, namespace
		}
	}
	registrytest.Create(t, IngressClasses, valid,
		row{"controller", func(c *networkingv1.IngressClass) { c.Spec.Controller = "nginx" },
			[]string{`spec.controller: Invalid value: "nginx": must be a domain-prefixed path (such as "acme.io/foo")`}},
		row{"long controller", func(c *networkingv1.IngressClass) { c.Spec.Controller = "example.com/" + strings.Repeat("a", 240) },
			[]string{`spec.controller: Too long: may not be more than 250 bytes`}},
		row{"empty reference", func(c *networkingv1.IngressClass) { c.Spec.Parameters.Kind, c.Spec.Parameters.Name = "", "a/b" },
			[]string{"spec.parameters.kind: Required value", `spec.parameters.name: Invalid value: "a/b": may not contain '/'`}},
		row{"scope", scope("World", nil), []string{`spec.parameters.scope: Unsupported value: "World": supported values: "Cluster", "Namespace"`}},
		row{"namespace missing", scope("Namespace", nil), []string{"spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"}},
		row{"namespace", scope("Namespace", ptr.To("a")), nil},
		row{"namespace of the cluster", scope("Cluster", ptr.To("a")), []string{"spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"}},
	)
	registrytest.Update(t, IngressClasses, valid,
		row{"controller", func(c *networkingv1.IngressClass) { c.Spec.Controller = "example.com/other" }, []string{`spec.controller: Invalid value: "example.com/other": field is immutable`}})
	c, typ := valid(), IngressClasses.Erase()
	typ.Default(c)
	registrytest.Columns(t, typ, c, map[string]any{"Name": "nginx", "Controller": "example.com/nginx", "Parameters": "Config.example.com/main"})
	c.Annotations = map[string]string{"ingressclass.kubernetes.io/is-default-class": "true"}
	c.Spec.Parameters = nil
	registrytest.Columns(t, typ, c, map[string]any{"Name": "nginx (default)", "Controller": "example.com/nginx", "Parameters": "<none>"})
}

func TestNetworkPolicy(t *testing.T) {
	valid := func() *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "deny", Namespace: "default"}, Spec: networkingv1.NetworkPolicySpec{
			Egress: []networkingv1.NetworkPolicyEgressRule{{
				Ports: []networkingv1.NetworkPolicyPort{{Port: ptr.To(intstr.FromInt32(80))}},
				To:    []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8", Except: []string{"10.1.0.0/16"}}}},
			}},
		}}
	}
	type row = registrytest.Edit[networkingv1.NetworkPolicy]
	port := func(edit func(*networkingv1.NetworkPolicyPort)) func(*networkingv1.NetworkPolicy) {
		return func(p *networkingv1.NetworkPolicy) { edit(&p.Spec.Egress[0].Ports[0]) }
	}
	peer := func(edit func(*networkingv1.NetworkPolicyPeer)) func(*networkingv1.NetworkPolicy) {
		return func(p *networkingv1.NetworkPolicy) { edit(&p.Spec.Egress[0].To[0]) }
	}
	const ports, peers = "spec.egress[0].ports[0]", "spec.egress[0].to[0]"
	odd := peer(func(p *networkingv1.NetworkPolicyPeer) { p.IPBlock.CIDR, p.IPBlock.Except = "010.0.0.0/8", nil })
	registrytest.Create(t, NetworkPolicies, valid,
		row{"protocol", port(func(p *networkingv1.NetworkPolicyPort) { p.Protocol = ptr.To(corev1.Protocol("ICMP")) }),
			[]string{ports + `.protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"`}},
		row{"port", port(func(p *networkingv1.NetworkPolicyPort) { p.Port = ptr.To(intstr.FromInt32(0)) }),
			[]string{ports + ".port: Invalid value: 0: must be between 1 and 65535, inclusive"}},
		row{"end before port", port(func(p *networkingv1.NetworkPolicyPort) { p.EndPort = ptr.To[int32](79) }),
			[]string{ports + ".endPort: Invalid value: 80: must be greater than or equal to `port`"}},
		row{"end of a name", port(func(p *networkingv1.NetworkPolicyPort) {
			p.Port, p.EndPort = ptr.To(intstr.FromString("http")), ptr.To[int32](79)
		}),
			[]string{ports + ".endPort: Invalid value: 79: may not be specified when `port` is non-numeric"}},
		row{"end of nothing", port(func(p *networkingv1.NetworkPolicyPort) { p.Port, p.EndPort = nil, ptr.To[int32](79) }),
			[]string{ports + ".endPort: Invalid value: 79: may not be specified when `port` is not specified"}},
		row{"no peer", peer(func(p *networkingv1.NetworkPolicyPeer) { p.IPBlock = nil }), []string{peers + ": Required value: must specify a peer"}},
		row{"two peers", peer(func(p *networkingv1.NetworkPolicyPeer) { p.PodSelector = &metav1.LabelSelector{} }),
			[]string{peers + ": Forbidden: may not specify both ipBlock and another peer"}},
		row{"no range", peer(func(p *networkingv1.NetworkPolicyPeer) { p.IPBlock.CIDR = "" }), []string{peers + ".ipBlock.cidr: Required value"}},
		row{"except all", peer(func(p *networkingv1.NetworkPolicyPeer) { p.IPBlock.Except = []string{"10.0.0.0/8", "11.0.0.0/16"} }), []string{
			peers + ".ipBlock.except[0]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`",
			peers + ".ipBlock.except[1]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
		}},
		row{"leading zero", odd, []string{peers + `.ipBlock.cidr: Invalid value: "010.0.0.0/8": must not have leading 0s in IP or prefix length`}},
		row{"types", func(p *networkingv1.NetworkPolicy) {
			p.Spec.PolicyTypes = []networkingv1.PolicyType{"Ingress", "Sideways"}
		}, []string{`spec.policyTypes[1]: Unsupported value: "Sideways": supported values: "Ingress", "Egress"`}},
		row{"three types", func(p *networkingv1.NetworkPolicy) {
			p.Spec.PolicyTypes = []networkingv1.PolicyType{"Ingress", "Egress", "Egress"}
		}, []string{`spec.policyTypes: Invalid value: ["Ingress","Egress","Egress"]: may not specify more than two policyTypes`}},
	)
	old := func() *networkingv1.NetworkPolicy {
		p := valid()
		odd(p)
		return p
	}
	registrytest.Update(t, NetworkPolicies, old, row{"older than the rules", func(p *networkingv1.NetworkPolicy) {
		p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: p.Spec.Egress[0].To}}
	}, nil})
	p, typ := valid(), NetworkPolicies.Erase()
	typ.Default(p)
	if !slices.Equal(p.Spec.PolicyTypes, []networkingv1.PolicyType{"Ingress", "Egress"}) || *p.Spec.Egress[0].Ports[0].Protocol != "TCP" {
		t.Errorf("defaults: %+v", p.Spec)
	}
	registrytest.Columns(t, typ, p, map[string]any{"Pod-Selector": "<none>"})
	p.Spec.Egress[0].To[0].IPBlock.CIDR = "10.1.2.3/8"
	if got := typ.Warn(p, nil); len(got) != 1 || !strings.HasPrefix(got[0], `spec.egress[0].to[0].ipBlock.cidr: CIDR value "10.1.2.3/8" is ambiguous`) {
		t.Errorf("warnings %q", got)
	}
}

func TestIPAddress(t *testing.T) {
	valid := func() *networkingv1.IPAddress {
		return &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "10.0.0.5"}, Spec: networkingv1.IPAddressSpec{
			ParentRef: &networkingv1.ParentReference{Group: "gateway.example.com", Resource: "Gateways", Namespace: "default", Name: "front"},
		}}
	}
	type row = registrytest.Edit[networkingv1.IPAddress]
	ref := func(edit func(*networkingv1.ParentReference)) func(*networkingv1.IPAddress) {
		return func(a *networkingv1.IPAddress) { edit(a.Spec.ParentRef) }
	}
	registrytest.Create(t, IPAddresses, valid,
		row{"no parent", func(a *networkingv1.IPAddress) { a.Spec.ParentRef = nil }, []string{"spec.parentRef: Required value"}},
		row{"empty parent", ref(func(r *networkingv1.ParentReference) { *r = networkingv1.ParentReference{} }),
			[]string{"spec.parentRef.resource: Required value", "spec.parentRef.name: Required value"}},
		row{"a Service", ref(func(r *networkingv1.ParentReference) { r.Group, r.Resource = "", "services" }), nil},
		row{"segments", ref(func(r *networkingv1.ParentReference) { r.Resource, r.Namespace, r.Name = "a/b", "..", "a%" }), []string{
			`spec.parentRef.resource: Invalid value: "a/b": may not contain '/'`,
			`spec.parentRef.name: Invalid value: "a%": may not contain '%'`,
			`spec.parentRef.namespace: Invalid value: "..": may not be '..'`,
		}},
		row{"group", ref(func(r *networkingv1.ParentReference) { r.Group = "a." }), []string{
			`spec.parentRef.group: Invalid value: "a.": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
		}},
	)
	registrytest.Update(t, IPAddresses, valid,
		row{"labels", func(a *networkingv1.IPAddress) { a.Labels = map[string]string{"a": "b"} }, nil},
		row{"parent", ref(func(r *networkingv1.ParentReference) { r.Name = "back" }), []string{
			`spec.parentRef: Invalid value: {"Group":"gateway.example.com","Resource":"Gateways","Namespace":"default","Name":"back"}: field is immutable`,
		}},
	)
	typ := IPAddresses.Erase()
	registrytest.Columns(t, typ, valid(), map[string]any{"ParentRef": "gateways.gateway.example.com/default/front"})
	service := valid()
	service.Spec.ParentRef = &networkingv1.ParentReference{Resource: "services", Name: "web"}
	registrytest.Columns(t, typ, service, map[string]any{"ParentRef": "services/web"})
	for name, want := range map[string]string{
		"10.0.0.5": "", "fd00::1": "", "a": "must be a valid IP address", "fd00:0::1": `must be in canonical form ("fd00::1")`,
	} {
		got := typ.ValidateName(name, false)
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], want)) {
			t.Errorf("name %s: %q", name, got)
		}
	}
}

func TestServiceCIDR(t *testing.T) {
	valid := func() *networkingv1.ServiceCIDR {
		return &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "more"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.1.0.0/24"}}}
	}
	type row = registrytest.Edit[networkingv1.ServiceCIDR]
	cidrs := func(cidrs ...string) func(*networkingv1.ServiceCIDR) {
		return func(c *networkingv1.ServiceCIDR) { c.Spec.CIDRs = cidrs }
	}
	registrytest.Create(t, ServiceCIDRs, valid,
		row{"none", cidrs(), []string{"spec.cidrs: Required value: at least one CIDR required"}},
		row{"dual", cidrs("10.1.0.0/24", "fd00::/112"), nil},
		row{"two of a family", cidrs("10.1.0.0/24", "10.2.0.0/24"),
			[]string{`spec.cidrs: Invalid value: ["10.1.0.0/24","10.2.0.0/24"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64`}},
		row{"three", cidrs("10.1.0.0/24", "fd00::/112", "fd01::/112"),
			[]string{`spec.cidrs: Invalid value: {"CIDRs":["10.1.0.0/24","fd00::/112","fd01::/112"]}: may only hold up to 2 values`}},
		row{"host bits", cidrs("10.1.0.1/24"),
			[]string{`spec.cidrs[0]: Invalid value: "10.1.0.1/24": must not have bits set beyond the prefix length`}},
	)
	const immutable = ": field is immutable"
	registrytest.Update(t, ServiceCIDRs, valid,
		row{"labels", func(c *networkingv1.ServiceCIDR) { c.Labels = map[string]string{"a": "b"} }, nil},
		row{"becomes dual", cidrs("10.1.0.0/24", "fd00::/112"), nil},
		row{"becomes another and dual", cidrs("10.2.0.0/24", "fd00::/112"), []string{`spec.cidrs[0]: Invalid value: "10.2.0.0/24"` + immutable}},
		row{"becomes two of a family", cidrs("10.1.0.0/24", "10.2.0.0/24"),
			[]string{`spec.cidrs: Invalid value: ["10.1.0.0/24","10.2.0.0/24"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64`}},
		row{"another", cidrs("10.2.0.0/24"), []string{`spec.cidrs[0]: Invalid value: "10.2.0.0/24"` + immutable}},
		row{"none", cidrs(), []string{`spec.cidrs: Invalid value: null` + immutable}},
	)
	c := valid()
	cidrs("10.1.0.0/24", "fd00::/112")(c)
	registrytest.Columns(t, ServiceCIDRs.Erase(), c, map[string]any{"CIDRs": "10.1.0.0/24,fd00::/112"})
}
