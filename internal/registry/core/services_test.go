package core

import (
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/core/allocate"
	"github.com/proa-dev/proa/internal/store/embedded"
)

func servicesOf(t *testing.T, ranges ...string) *registry.Type {
	t.Helper()
	engine, err := embedded.Open(embedded.Options{Durability: embedded.Memory, MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	c := allocate.Config{Store: engine}
	for _, r := range ranges {
		c.ClusterIPRanges = append(c.ClusterIPRanges, netip.MustParsePrefix(r))
	}
	a, err := allocate.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return Services(a).Erase()
}

func singleStack(t *testing.T) *registry.Type { return servicesOf(t, "10.0.0.0/24") }
func dualStack(t *testing.T) *registry.Type   { return servicesOf(t, "10.0.0.0/24", "fd00::/112") }

// store writes and commits; the write must be valid.
func store(t *testing.T, r *registry.Type, old *corev1.Service, manifest string) *corev1.Service {
	t.Helper()
	new := parse(t, r, manifest).(*corev1.Service)
	var before registry.Object
	if old != nil {
		before = old
	}
	if errs := write(r, new, before, true); len(errs) > 0 {
		t.Fatalf("refused: %q\n%s", errs, manifest)
	}
	return new
}

func TestServiceDefaults(t *testing.T) {
	s := parse(t, singleStack(t), `{spec: {ports: [{port: 80}], sessionAffinity: ClientIP}}`).(*corev1.Service)
	if s.Spec.Type != "ClusterIP" || *s.Spec.SessionAffinityConfig.ClientIP.TimeoutSeconds != 10800 ||
		s.Spec.Ports[0].Protocol != "TCP" || s.Spec.Ports[0].TargetPort.IntValue() != 80 || *s.Spec.InternalTrafficPolicy != "Cluster" ||
		s.Spec.ExternalTrafficPolicy != "" || s.Spec.AllocateLoadBalancerNodePorts != nil {
		t.Errorf("%+v", s.Spec)
	}
	s = parse(t, singleStack(t), `{spec: {type: LoadBalancer, ports: [{port: 80, targetPort: web}]}, status: {loadBalancer: {ingress: [{ip: 1.2.3.4}]}}}`).(*corev1.Service)
	if s.Spec.ExternalTrafficPolicy != "Cluster" || !*s.Spec.AllocateLoadBalancerNodePorts || s.Spec.Ports[0].TargetPort.StrVal != "web" ||
		*s.Status.LoadBalancer.Ingress[0].IPMode != "VIP" {
		t.Errorf("%+v", s)
	}
	s = parse(t, singleStack(t), `{spec: {type: ExternalName, externalName: a.b, internalTrafficPolicy: Local}}`).(*corev1.Service)
	if s.Spec.InternalTrafficPolicy != nil {
		t.Errorf("ExternalName with internalTrafficPolicy %s", *s.Spec.InternalTrafficPolicy)
	}
}

func TestServiceGetsAddressAndPorts(t *testing.T) {
	r := singleStack(t)
	s := store(t, r, nil, `{spec: {type: NodePort, ports: [{name: a, port: 53, protocol: UDP}, {name: b, port: 53}, {name: c, port: 80}]}}`)
	ip := netip.MustParseAddr(s.Spec.ClusterIP)
	if !netip.MustParsePrefix("10.0.0.0/24").Contains(ip) || !slices.Equal(s.Spec.ClusterIPs, []string{s.Spec.ClusterIP}) ||
		!slices.Equal(s.Spec.IPFamilies, []corev1.IPFamily{"IPv4"}) || *s.Spec.IPFamilyPolicy != "SingleStack" {
		t.Errorf("%+v", s.Spec)
	}
	p := s.Spec.Ports
	if p[0].NodePort != p[1].NodePort || p[0].NodePort == p[2].NodePort || p[2].NodePort < 30000 || p[2].NodePort > 32767 {
		t.Errorf("node ports %d %d %d", p[0].NodePort, p[1].NodePort, p[2].NodePort)
	}
	lb := store(t, r, nil, `{spec: {type: LoadBalancer, externalTrafficPolicy: Local, allocateLoadBalancerNodePorts: false, ports: [{port: 80}]}}`)
	if lb.Spec.Ports[0].NodePort != 0 || lb.Spec.HealthCheckNodePort == 0 {
		t.Errorf("%+v", lb.Spec)
	}
	if h := store(t, r, nil, `{spec: {clusterIP: None, ports: [{port: 80}]}}`); !slices.Equal(h.Spec.ClusterIPs, []string{"None"}) ||
		*h.Spec.IPFamilyPolicy != "RequireDualStack" || len(h.Spec.IPFamilies) != 2 {
		t.Errorf("headless without selector: %+v", h.Spec)
	}
	if h := store(t, r, nil, `{spec: {clusterIP: None, selector: {a: b}}}`); *h.Spec.IPFamilyPolicy != "SingleStack" || len(h.Spec.IPFamilies) != 1 {
		t.Errorf("headless: %+v", h.Spec)
	}
	if e := store(t, r, nil, `{spec: {type: ExternalName, externalName: a.example.}}`); e.Spec.ClusterIPs != nil || e.Spec.IPFamilies != nil {
		t.Errorf("ExternalName: %+v", e.Spec)
	}
}

// What an object holds can be taken again only when it is gone, or has let go of it.
func TestServiceHoldsWhatItHas(t *testing.T) {
	r := singleStack(t)
	const manifest = `{metadata: {name: a}, spec: {type: NodePort, clusterIP: 10.0.0.5, ports: [{port: 80, nodePort: 30080}]}}`
	s := store(t, r, nil, manifest)
	again := func() []string { return write(r, parse(t, r, manifest), nil, false) }
	taken := []string{`spec.clusterIPs: Invalid value: ["10.0.0.5"]: failed to allocate IP 10.0.0.5: provided IP is already allocated`}
	if got := again(); !slices.Equal(got, taken) {
		t.Errorf("got %q", got)
	}
	const portOnly = `{spec: {type: NodePort, ports: [{port: 80, nodePort: 30080}]}}`
	if got := write(r, parse(t, r, portOnly), nil, false); !slices.Equal(got, []string{`spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated`}) {
		t.Errorf("got %q", got)
	}
	claim, err := r.Begin(t.Context(), nil, s)
	if err != nil {
		t.Fatal(err)
	}
	if claim.End(); !slices.Equal(again(), taken) {
		t.Error("a deletion that failed has released")
	}
	if claim, err = r.Begin(t.Context(), nil, s); err == nil {
		err = commitClaim(claim)
	}
	if err != nil {
		t.Fatal(err)
	}
	if claim.End(); again() != nil {
		t.Error("a deletion has not released")
	}
	s = store(t, r, nil, manifest)
	external := store(t, r, s, `{spec: {type: ExternalName, externalName: a.b, clusterIP: 10.0.0.5, clusterIPs: [10.0.0.5], ipFamilies: [IPv4], ipFamilyPolicy: SingleStack, ports: [{port: 80, nodePort: 30080}]}}`)
	if external.Spec.ClusterIP != "" || external.Spec.ClusterIPs != nil || external.Spec.IPFamilies != nil || external.Spec.Ports[0].NodePort != 0 {
		t.Errorf("%+v", external.Spec)
	}
	if got := again(); got != nil {
		t.Errorf("an update has not released: %q", got)
	}
}

func TestServiceManifestAppliesAgain(t *testing.T) {
	r := dualStack(t)
	for _, manifest := range []string{
		`{spec: {ports: [{port: 80}]}}`,
		`{spec: {type: NodePort, ports: [{name: a, port: 80}, {name: b, port: 81}]}}`,
		`{spec: {type: LoadBalancer, externalTrafficPolicy: Local, ports: [{port: 80}]}}`,
		`{spec: {ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}}`,
		`{spec: {ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6, IPv4], ports: [{port: 80}]}}`,
		`{spec: {clusterIP: None, ports: [{port: 80}]}}`,
	} {
		s := store(t, r, nil, manifest)
		again := store(t, r, s, manifest)
		if !slices.Equal(again.Spec.ClusterIPs, s.Spec.ClusterIPs) || !slices.Equal(again.Spec.Ports, s.Spec.Ports) ||
			!slices.Equal(again.Spec.IPFamilies, s.Spec.IPFamilies) || again.Spec.HealthCheckNodePort != s.Spec.HealthCheckNodePort {
			t.Errorf("%s\nwas %+v\nis  %+v", manifest, s.Spec, again.Spec)
		}
	}
}

func TestServiceDualStack(t *testing.T) {
	r := dualStack(t)
	s := store(t, r, nil, `{metadata: {name: a}, spec: {ports: [{port: 80}]}}`)
	if len(s.Spec.ClusterIPs) != 1 {
		t.Fatalf("single stack by default: %v", s.Spec.ClusterIPs)
	}
	up := store(t, r, s, `{spec: {ipFamilyPolicy: RequireDualStack, ports: [{port: 80}]}}`)
	if len(up.Spec.ClusterIPs) != 2 || up.Spec.ClusterIPs[0] != s.Spec.ClusterIP || !netip.MustParsePrefix("fd00::/112").Contains(netip.MustParseAddr(up.Spec.ClusterIPs[1])) {
		t.Fatalf("upgrade: %v", up.Spec.ClusterIPs)
	}
	down := up.DeepCopy()
	down.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicySingleStack)
	if errs := write(r, down, up, true); errs != nil || len(down.Spec.ClusterIPs) != 1 || len(down.Spec.IPFamilies) != 1 {
		t.Fatalf("downgrade: %q %v", errs, down.Spec.ClusterIPs)
	}
	take := parse(t, r, `{spec: {clusterIP: "`+up.Spec.ClusterIPs[1]+`", ports: [{port: 80}]}}`)
	if errs := write(r, take, nil, false); errs != nil {
		t.Errorf("the second address is still taken: %q", errs)
	}
	shrunk := up.DeepCopy()
	shrunk.Spec.ClusterIPs = shrunk.Spec.ClusterIPs[:1]
	if errs := write(r, shrunk, up, false); len(errs) != 1 || errs[0] != `spec.ipFamilyPolicy: Invalid value: "RequireDualStack": must be 'SingleStack' to release the secondary cluster IP` {
		t.Errorf("got %q", errs)
	}
}

func TestServiceWrites(t *testing.T) {
	const clusterIP = `{spec: {clusterIP: 10.0.0.9, clusterIPs: [10.0.0.9], ipFamilies: [IPv4], ipFamilyPolicy: SingleStack, ports: [{port: 80}]}}`
	const balancer = `{spec: {type: LoadBalancer, loadBalancerClass: a/b, externalTrafficPolicy: Local, healthCheckNodePort: 30001, clusterIP: 10.0.0.9, clusterIPs: [10.0.0.9], ipFamilies: [IPv4], ipFamilyPolicy: SingleStack, ports: [{port: 80, nodePort: 30000}]}}`
	runWrites(t, singleStack(t), []writeCase{
		{"no ports", "", `{}`, []string{`spec.ports: Required value`}},
		{"unknown type", "", `{spec: {type: Foo, ports: [{port: 80}]}}`,
			[]string{`spec.type: Unsupported value: "Foo": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"`}},
		{"headless NodePort", "", `{spec: {type: NodePort, clusterIP: None, ports: [{port: 80}]}}`,
			[]string{`spec.clusterIPs[0]: Invalid value: "None": may not be set to 'None' for NodePort services`}},
		{"ExternalName", "", `{spec: {type: ExternalName, clusterIP: 10.0.0.1}}`,
			[]string{`spec.clusterIPs: Forbidden: may not be set for ExternalName services`, `spec.externalName: Required value`}},
		{"ports", "", `{spec: {ports: [{port: 0, targetPort: 70000}, {name: A, port: 80, protocol: X, targetPort: 1}, {name: a, port: 81}, {name: a, port: 81, nodePort: 5}]}}`, []string{
			`spec.ports[0].name: Required value`,
			`spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive`,
			`spec.ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive`,
			`spec.ports[1].name: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
			`spec.ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"`,
			`spec.ports[3].name: Duplicate value: "a"`,
			"spec.ports[3].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
			`spec.ports[3]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":81,"TargetPort":0,"NodePort":0}`,
		}},
		{"affinity", "", `{spec: {sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}, ports: [{port: 80}]}}`,
			[]string{`spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400`}},
		{"address syntax", "", `{spec: {clusterIP: 10.0.0.300, ports: [{port: 80}]}}`,
			[]string{`spec.clusterIPs[0]: Invalid value: "10.0.0.300": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`}},
		{"address of another range", "", `{spec: {clusterIP: 10.1.0.1, ports: [{port: 80}]}}`,
			[]string{`spec.clusterIPs: Invalid value: ["10.1.0.1"]: failed to allocate IP 10.1.0.1: the provided network does not match the current range`}},
		{"IPv6 address", "", `{spec: {clusterIP: "fd00::1", ports: [{port: 80}]}}`,
			[]string{`spec.clusterIPs[0]: Invalid value: ["fd00::1"]: IPv6 is not configured on this cluster`}},
		{"IPv6 family", "", `{spec: {ipFamilies: [IPv6], ports: [{port: 80}]}}`, []string{`spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster`}},
		{"dual stack", "", `{spec: {ipFamilyPolicy: RequireDualStack, ports: [{port: 80}]}}`,
			[]string{`spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services`}},
		{"prefers dual stack", "", `{spec: {ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}}`, nil},
		{"plural alone", "", `{spec: {clusterIPs: [10.0.0.9], ports: [{port: 80}]}}`,
			[]string{"spec.clusterIPs: Invalid value: [\"10.0.0.9\"]: must be empty when `clusterIP` is not specified"}},
		{"node port out of range", "", `{spec: {type: NodePort, ports: [{port: 80, nodePort: 80}]}}`,
			[]string{`spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767`}},
		{"traffic policies", "", `{spec: {externalTrafficPolicy: Local, internalTrafficPolicy: X, trafficDistribution: Z, healthCheckNodePort: 5, ports: [{port: 80}]}}`, []string{
			`spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services`,
			"spec.healthCheckNodePort: Invalid value: 5: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
			`spec.internalTrafficPolicy: Unsupported value: "X": supported values: "Cluster", "Local"`,
			`spec.trafficDistribution: Unsupported value: "Z": supported values: "PreferClose", "PreferSameZone", "PreferSameNode"`,
		}},
		{"external IPs", "", `{spec: {externalIPs: [127.0.0.1, 010.0.0.1], ports: [{port: 80}]}}`, []string{
			`spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)`,
			`spec.externalIPs[1]: Invalid value: "010.0.0.1": must not have leading 0s`,
		}},
		{"old external IP stays", `{spec: {externalIPs: [010.0.0.1], clusterIP: 10.0.0.9, clusterIPs: [10.0.0.9], ipFamilies: [IPv4], ports: [{port: 80}]}}`, `{spec: {externalIPs: [010.0.0.1], ports: [{port: 81}]}}`, nil},
		{"balancer fields of another type", "", `{spec: {loadBalancerClass: a/b, allocateLoadBalancerNodePorts: true, loadBalancerSourceRanges: [1.2.3.0/24], ports: [{port: 80}]}}`, []string{
			"spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
			"spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
			"spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
		}},
		{"address is immutable", clusterIP, `{spec: {clusterIP: 10.0.0.10, ports: [{port: 80}]}}`,
			[]string{`spec.clusterIPs[0]: Invalid value: ["10.0.0.10"]: may not change once set`}},
		{"to headless", clusterIP, `{spec: {clusterIP: None, ports: [{port: 80}]}}`, []string{`spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set`}},
		{"class is immutable", balancer, `{spec: {type: LoadBalancer, loadBalancerClass: c, externalTrafficPolicy: Local, ports: [{port: 80}]}}`,
			[]string{`spec.loadBalancerClass: Invalid value: "c": may not change once set`}},
		{"health check port is immutable", balancer, `{spec: {type: LoadBalancer, loadBalancerClass: a/b, externalTrafficPolicy: Local, healthCheckNodePort: 30002, ports: [{port: 80}]}}`,
			[]string{`spec.healthCheckNodePort: Forbidden: field is immutable`}},
		{"balancer to ClusterIP", balancer, `{spec: {type: ClusterIP, loadBalancerClass: a/b, externalTrafficPolicy: Local, healthCheckNodePort: 30001, allocateLoadBalancerNodePorts: true, ports: [{port: 80, nodePort: 30000}]}}`, nil},
		{"to ClusterIP with another port", balancer, `{spec: {type: ClusterIP, ports: [{port: 80, nodePort: 30003}]}}`,
			[]string{"spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"}},
	})
}

func TestServiceStatus(t *testing.T) {
	r := singleStack(t)
	check := func(manifest string, want ...string) {
		t.Helper()
		s := parse(t, r, manifest)
		if got := texts(r.ValidateStatus(s, parse(t, r, `{}`))); !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	}
	check(`{status: {loadBalancer: {ingress: [{ip: 1.2.3.4}]}}}`, "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'")
	check(`{spec: {type: LoadBalancer}, status: {loadBalancer: {ingress: [{ip: 1.2.3.4}, {hostname: 1.2.3.4, ipMode: VIP}]}}}`,
		"status.loadBalancer.ingress[1].ipMode: Forbidden: may not be specified when `ip` is not set",
		`status.loadBalancer.ingress[1].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address`)
}

func TestServiceRows(t *testing.T) {
	r := singleStack(t)
	checkRow(t, r, parse(t, r, `{spec: {ports: [{port: 80}, {port: 53, protocol: UDP, nodePort: 30053}], clusterIPs: [10.0.0.7], selector: {a: b}}}`),
		"ClusterIP", "10.0.0.7", "<none>", "80/TCP,53:30053/UDP", "a=b")
	checkRow(t, r, parse(t, r, `{spec: {type: ExternalName, externalName: a.b}}`), "ExternalName", "<none>", "a.b", "<none>", "<none>")
	checkRow(t, r, parse(t, r, `{spec: {type: LoadBalancer}}`), "LoadBalancer", "<none>", "<pending>", "<none>", "<none>")
	checkRow(t, r, parse(t, r, `{spec: {type: LoadBalancer, externalIPs: [9.9.9.9]}, status: {loadBalancer: {ingress: [{ip: 5.5.5.5}, {hostname: h}]}}}`),
		"LoadBalancer", "<none>", "5.5.5.5,h,9.9.9.9", "<none>", "<none>")
	checkFields(t, r, 0, parse(t, r, `{spec: {clusterIP: 10.0.0.3, type: NodePort}}`), map[string]string{"spec.clusterIP": "10.0.0.3", "spec.type": "NodePort"})
}
