package core

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNamespaces(t *testing.T) {
	r := Namespaces.Erase()
	n := parse(t, r, `{metadata: {name: a}, spec: {finalizers: [x.y/z]}}`).(*corev1.Namespace)
	n.Status = corev1.NamespaceStatus{}
	if errs := write(r, n, nil, true); errs != nil {
		t.Fatal(errs)
	}
	if !slices.Equal(n.Spec.Finalizers, []corev1.FinalizerName{"x.y/z", "kubernetes"}) || n.Labels["kubernetes.io/metadata.name"] != "a" || n.Status.Phase != "Active" {
		t.Errorf("%+v", n)
	}
	update := parse(t, r, `{metadata: {name: a, labels: {kubernetes.io/metadata.name: b}}}`).(*corev1.Namespace)
	if write(r, update, n, true); len(update.Spec.Finalizers) != 2 || update.Labels["kubernetes.io/metadata.name"] != "a" {
		t.Errorf("%+v", update)
	}
	runWrites(t, r, []writeCase{
		{"finalizer", "", `{spec: {finalizers: [foo]}}`, []string{`spec.finalizers: Invalid value: "foo": name is neither a standard finalizer name nor is it fully qualified`}},
	})
	n.Status.Phase = "Terminating"
	if got := texts(r.ValidateStatus(n, n)); !slices.Equal(got, []string{"status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"}) {
		t.Errorf("got %q", got)
	}
	if r.Has("deletecollection") || !r.AnswersDeleted || r.Views[0].Name != "finalize" {
		t.Error("verbs or views")
	}
	finalized := parse(t, r, `{spec: {finalizers: [bad]}}`)
	if r.Views[0].Prepare(finalized, n); finalized.(*corev1.Namespace).Status.Phase != "Terminating" || len(r.Views[0].Validate(finalized, n)) != 1 {
		t.Errorf("finalize: %+v", finalized)
	}
	checkRow(t, r, n, "Terminating")
	checkFields(t, r, 0, n, map[string]string{"status.phase": "Terminating"})
}

func TestNodes(t *testing.T) {
	r := Nodes.Erase()
	n := parse(t, r, `{spec: {podCIDR: 10.1.0.0/24}, status: {capacity: {cpu: 1500u}}}`).(*corev1.Node)
	if q := n.Status.Allocatable["cpu"]; !slices.Equal(n.Spec.PodCIDRs, []string{"10.1.0.0/24"}) || q.String() != "2m" {
		t.Errorf("%+v", n)
	}
	if n := parse(t, r, `{spec: {podCIDRs: [10.1.0.0/24, "fd00::/64"]}}`).(*corev1.Node); n.Spec.PodCIDR != "10.1.0.0/24" || len(n.Spec.PodCIDRs) != 2 {
		t.Errorf("%+v", n.Spec)
	}
	const twice = `taints must be unique by key and effect pair`
	runWrites(t, r, []writeCase{
		{"with status", "", `{status: {capacity: {cpu: "1"}, addresses: [{type: InternalIP, address: 1.2.3.4}]}}`, nil},
		{"taints", "", `{spec: {taints: [{key: "", effect: NoSchedule}, {key: a, value: "!", effect: X}, {key: b}, {key: c, effect: NoExecute}, {key: c, effect: NoExecute}]}}`, []string{
			`metadata.taints[0].key: Invalid value: "": name part must be non-empty`,
			`metadata.taints[0].key: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
			`metadata.taints[1].value: Invalid value: "!": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
			`metadata.taints[1].effect: Unsupported value: "X": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`,
			`metadata.taints[2].effect: Required value`,
			`metadata.taints[4]: Duplicate value: {"Key":"c","Value":"","Effect":"NoExecute","TimeAdded":null}: ` + twice,
		}},
		{"podCIDRs", "", `{spec: {podCIDRs: [10.1.0.0/24, 10.2.0.0/24]}}`,
			[]string{`spec.podCIDRs: Invalid value: ["10.1.0.0/24","10.2.0.0/24"]: may specify no more than one CIDR for each IP family`}},
		{"resources", "", `{status: {capacity: {cpu: -1, pods: 500m}, allocatable: {memory: 1Gi}}}`, []string{
			`status.capacity.cpu: Invalid value: "-1": must be greater than or equal to 0`,
			`status.capacity.pods: Invalid value: "500m": must be an integer`,
		}},
		{"set once", `{spec: {podCIDR: 10.1.0.0/24, providerID: a}}`, `{spec: {podCIDR: 10.2.0.0/24, providerID: b}}`, []string{
			`spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid`,
			`spec.providerID: Forbidden: node updates may not change providerID except from "" to valid`,
		}},
		{"set now", `{}`, `{spec: {podCIDR: 10.2.0.0/24, providerID: b}}`, nil},
		{"addresses", `{}`, `{status: {addresses: [{type: Hostname, address: a}, {type: Hostname, address: a}]}}`,
			[]string{`status.addresses[1]: Duplicate value: {"Type":"Hostname","Address":"a"}`}},
		{"declared features", `{}`, `{status: {declaredFeatures: [B, A, c]}}`, []string{
			`status.declaredFeatures[1]: Invalid value: "A": list must be sorted alphabetically`,
			`status.declaredFeatures[2]: Invalid value: "c": invalid feature name "c": must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes`,
		}},
	})
	full := parse(t, r, `{metadata: {labels: {node-role.kubernetes.io/worker: "", node-role.kubernetes.io/control-plane: "", kubernetes.io/role: x}}, spec: {unschedulable: true},
		status: {conditions: [{type: Ready, status: "True"}], addresses: [{type: InternalIP, address: 1.2.3.4}], nodeInfo: {kubeletVersion: v1, osImage: OS, kernelVersion: "6", architecture: arm64}}}`)
	checkRow(t, r, full, "Ready,SchedulingDisabled", "control-plane,worker,x", "v1", "1.2.3.4", "<none>", "OS", "6 (arm64)", "<unknown>")
	checkRow(t, r, parse(t, r, `{status: {conditions: [{type: Ready, status: Unknown}]}}`), "NotReady", "<none>", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>")
	checkRow(t, r, parse(t, r, `{}`), "Unknown", "<none>", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>")
	checkFields(t, r, 0, full, map[string]string{"spec.unschedulable": "true"})
	if !r.StatusOnCreate {
		t.Error("a node's status must survive its creation")
	}
}

func TestEndpoints(t *testing.T) {
	r := Endpoints.Erase()
	const bad = `{subsets: [{ports: [{port: 1}, {name: A_, port: 0, protocol: X}], addresses: [{ip: 127.0.0.1, hostname: B.C}]}, {}]}`
	errs := []string{
		`subsets[0].addresses[0].hostname: Invalid value: "B.C": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
		`subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)`,
		`subsets[0].ports[0].name: Required value`,
		`subsets[0].ports[1].name: Invalid value: "A_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
		`subsets[0].ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive`,
		`subsets[0].ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"`,
		"subsets[1]: Required value: must specify `addresses` or `notReadyAddresses`",
	}
	runWrites(t, r, []writeCase{
		{"all wrong", "", bad, errs},
		{"still wrong", bad, bad, nil},
		{"wrong now", `{}`, bad, errs},
	})
	checkRow(t, r, parse(t, r, `{}`), "<none>")
	checkRow(t, r, parse(t, r, `{subsets: [{addresses: [{ip: 1.1.1.1}, {ip: 1.1.1.2}], ports: [{port: 80}, {port: 81}]}, {addresses: [{ip: "fd00::1"}]}]}`),
		"1.1.1.1:80,1.1.1.2:80,1.1.1.1:81 + 2 more...")
	if w := r.Versions[0].Deprecated; w != "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice" {
		t.Error(w)
	}
}

func TestSecrets(t *testing.T) {
	r := Secrets.Erase()
	s := parse(t, r, `{data: {a: eA==, b: eQ==}, stringData: {a: z}}`).(*corev1.Secret)
	if s.Type != "Opaque" || string(s.Data["a"]) != "z" || string(s.Data["b"]) != "y" || s.StringData != nil {
		t.Errorf("%+v", s)
	}
	runWrites(t, r, []writeCase{
		{"key", "", `{stringData: {"a/b": x}}`, []string{`data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`}},
		{"too long", "", `{stringData: {a: "` + strings.Repeat("x", maxDataSize+1) + `"}}`, []string{`data: Too long: may not be more than 1048576 bytes`}},
		{"token", "", `{type: kubernetes.io/service-account-token}`, []string{`metadata.annotations[kubernetes.io/service-account.name]: Required value`}},
		{"dockercfg", "", `{type: kubernetes.io/dockercfg}`, []string{`data[.dockercfg]: Required value`}},
		{"dockerconfigjson", "", `{type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: "x"}}`,
			[]string{`data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid character 'x' looking for beginning of value`}},
		{"basic-auth", "", `{type: kubernetes.io/basic-auth}`, []string{`data[username]: Required value`, `data[password]: Required value`}},
		{"basic-auth with one", "", `{type: kubernetes.io/basic-auth, stringData: {username: ""}}`, nil},
		{"ssh-auth", "", `{type: kubernetes.io/ssh-auth}`, []string{`data[ssh-privatekey]: Required value`}},
		{"tls", "", `{type: kubernetes.io/tls}`, []string{`data[tls.crt]: Required value`, `data[tls.key]: Required value`}},
		{"type is immutable", `{type: a}`, `{}`, []string{`type: Invalid value: "Opaque": field is immutable`}},
		{"immutable", `{immutable: true, stringData: {a: x}}`, `{stringData: {a: y}}`,
			[]string{"immutable: Forbidden: field is immutable when `immutable` is set", "data: Forbidden: field is immutable when `immutable` is set"}},
	})
	checkRow(t, r, s, "Opaque", int64(2))
	checkFields(t, r, 0, s, map[string]string{"type": "Opaque"})
	if w := r.Warn(parse(t, r, `{type: kubernetes.io/tls}`), nil); len(w) != 1 {
		t.Errorf("%q", w)
	}
}

func TestServiceAccounts(t *testing.T) {
	r := ServiceAccounts.Erase()
	a := parse(t, r, `{metadata: {annotations: {kubernetes.io/enforce-mountable-secrets: "true"}}, secrets: [{name: a, namespace: b, uid: c}]}`).(*corev1.ServiceAccount)
	if write(r, a, nil, true); a.Secrets[0] != (corev1.ObjectReference{Name: "a"}) {
		t.Errorf("%+v", a.Secrets)
	}
	if w := r.Warn(a, nil); len(w) != 1 || !strings.HasPrefix(w[0], "metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+") {
		t.Errorf("%q", w)
	}
	if w := r.Warn(a, a); w != nil {
		t.Errorf("%q", w)
	}
}

func TestReplicationControllers(t *testing.T) {
	r := ReplicationControllers.Erase()
	const template = `template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}`
	c := parse(t, r, `{spec: {`+template+`}}`).(*corev1.ReplicationController)
	if *c.Spec.Replicas != 1 || !maps.Equal(c.Spec.Selector, map[string]string{"a": "b"}) || !maps.Equal(c.Labels, c.Spec.Selector) {
		t.Errorf("%+v", c)
	}
	runWrites(t, r, []writeCase{
		{"valid", "", `{spec: {` + template + `}}`, nil},
		{"empty", "", `{spec: {replicas: -1}}`, []string{
			`spec.selector: Required value`,
			`spec.replicas: Invalid value: -1: must be greater than or equal to 0`,
			`spec.template: Required value`,
		}},
		{"other labels", "", `{spec: {selector: {x: z}, ` + template + `}}`,
			[]string{"spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`"}},
		{"restarts", "", `{spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, activeDeadlineSeconds: 5, containers: [{name: c, image: i}]}}}}`, []string{
			`spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`,
			`spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicationController is not Supported`,
		}},
	})
	c.Status = corev1.ReplicationControllerStatus{Replicas: 2, ReadyReplicas: 1, AvailableReplicas: 2}
	if got := texts(r.ValidateStatus(c, c)); !slices.Equal(got, []string{`status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas`}) {
		t.Errorf("got %q", got)
	}
	checkRow(t, r, c, int64(1), int64(2), int64(1), "c", "i", "a=b")
	checkRow(t, r, parse(t, r, `{}`), int64(1), int64(0), int64(0), "", "", "<none>")
	checkFields(t, r, 0, c, map[string]string{"status.replicas": "2"})
	r.Scale.SetReplicas(c, 7)
	if r.Scale.SpecReplicas(c) != 7 || r.Scale.StatusReplicas(c) != 2 || r.Scale.Selector(c) != "a=b" {
		t.Error("scale")
	}
	if !r.OrphansByDefault || r.Prefix != "/registry/controllers/" {
		t.Error(r.Prefix)
	}
}

func TestResourceQuotas(t *testing.T) {
	r := ResourceQuotas.Erase()
	runWrites(t, r, []writeCase{
		{"valid", "", `{spec: {hard: {pods: 5, requests.cpu: 1500m, count/pods: 3, requests.example.com/gpu: 4, hugepages-2Mi: 2Mi, services.loadbalancers: 1}}}`, nil},
		{"names and values", "", `{spec: {hard: {foo: 1, storage: 1, pods: 1500m, cpu: -1}}}`, []string{
			`spec.hard[cpu]: Invalid value: "-1": must be greater than or equal to 0`,
			`spec.hard[foo]: Invalid value: "foo": must be a standard resource type or fully qualified`,
			`spec.hard[foo]: Invalid value: "foo": must be a standard resource for quota`,
			`spec.hard[pods]: Invalid value: "1500m": must be an integer`,
			`spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota`,
		}},
		{"scopes", "", `{spec: {hard: {cpu: 1, pods: 1}, scopes: [BestEffort, NotBestEffort, X]}}`, []string{
			`spec.scopes: Invalid value: ["BestEffort","NotBestEffort","X"]: unsupported scope applied to resource`,
			`spec.scopes: Invalid value: ["BestEffort","NotBestEffort","X"]: unsupported scope`,
			`spec.scopes: Invalid value: ["BestEffort","NotBestEffort","X"]: conflicting scopes`,
		}},
		{"selector", "", `{spec: {hard: {pods: 1}, scopeSelector: {matchExpressions: [{scopeName: BestEffort, operator: In, values: []}, {scopeName: PriorityClass, operator: Foo}]}}}`, []string{
			`spec.scopeSelector.matchExpressions.operator: Invalid value: "In": must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity`,
			"spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
			`spec.scopeSelector.matchExpressions.operator: Invalid value: "Foo": not a valid selector operator`,
		}},
		{"scopes are immutable", `{spec: {scopes: [BestEffort]}}`, `{spec: {scopes: [Terminating]}}`, []string{`spec.scopes: Invalid value: ["Terminating"]: field is immutable`}},
	})
	q := parse(t, r, `{spec: {hard: {requests.cpu: 2, limits.cpu: 1}}, status: {hard: {pods: 5, limits.cpu: 1, requests.cpu: 2}, used: {pods: 3}}}`)
	checkRow(t, r, q, "pods: 3/5, requests.cpu: 0/2", "limits.cpu: 0/1")
	if w := r.Warn(q, nil); !slices.Equal(w, []string{"ResourceQuota requests.cpu (2) should be less than limits.cpu (1)"}) {
		t.Errorf("%q", w)
	}
}

func TestLimitRanges(t *testing.T) {
	r := LimitRanges.Erase()
	l := parse(t, r, `{spec: {limits: [{type: Container, max: {cpu: 2}, min: {cpu: 1, memory: 1Mi}}]}}`).(*corev1.LimitRange).Spec.Limits[0]
	if c, q, m := l.Default["cpu"], l.DefaultRequest["cpu"], l.DefaultRequest["memory"]; c.String() != "2" || q.String() != "2" || m.String() != "1Mi" {
		t.Errorf("%+v", l)
	}
	runWrites(t, r, []writeCase{
		{"types", "", `{spec: {limits: [{type: Foo}, {type: Pod, default: {cpu: 1}}, {type: Pod}, {type: PersistentVolumeClaim}]}}`, []string{
			`spec.limits[0].type: Invalid value: "Foo": must be a standard limit type or fully qualified`,
			"spec.limits[1].default: Forbidden: may not be specified when `type` is 'Pod'",
			`spec.limits[2].type: Duplicate value: "Pod"`,
			`spec.limits[3].limits: Required value: either minimum or maximum storage value is required, but neither was provided`,
		}},
		{"order", "", `{spec: {limits: [{type: Container, min: {cpu: 3}, defaultRequest: {cpu: 2}, default: {cpu: 1}, max: {cpu: 500m}}]}}`, []string{
			`spec.limits[0].min[cpu]: Invalid value: "3": min value 3 is greater than max value 500m`,
			`spec.limits[0].defaultRequest[cpu]: Invalid value: "2": min value 3 is greater than default request value 2`,
			`spec.limits[0].defaultRequest[cpu]: Invalid value: "2": default request value 2 is greater than max value 500m`,
			`spec.limits[0].defaultRequest[cpu]: Invalid value: "2": default request value 2 is greater than default limit value 1`,
			`spec.limits[0].default[cpu]: Invalid value: "3": min value 3 is greater than default value 1`,
			`spec.limits[0].default[cpu]: Invalid value: "1": default value 1 is greater than max value 500m`,
		}},
		{"ratio", "", `{spec: {limits: [{type: Pod, min: {cpu: 1}, max: {cpu: 2}, maxLimitRequestRatio: {cpu: 3, memory: 500m}}]}}`, []string{
			`spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000`,
			`spec.limits[0].maxLimitRequestRatio[memory]: Invalid value: "500m": ratio 500m is less than 1`,
		}},
	})
}

func TestPersistentVolumes(t *testing.T) {
	r := PersistentVolumes.Erase()
	const valid = `{spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce, ReadWriteMany], hostPath: {path: /a}, claimRef: {namespace: ns, name: c}}}`
	v := parse(t, r, valid).(*corev1.PersistentVolume)
	if write(r, v, nil, true); v.Status.Phase != "Pending" || v.Status.LastPhaseTransitionTime == nil || *v.Spec.HostPath.Type != "" {
		t.Errorf("%+v", v)
	}
	bound := v.DeepCopy()
	bound.Status.Phase = "Bound"
	v.Status.LastPhaseTransitionTime = &metav1.Time{}
	bound.Status.LastPhaseTransitionTime = &metav1.Time{}
	if r.PrepareStatus(bound, v); bound.Status.LastPhaseTransitionTime.IsZero() {
		t.Error("the phase has changed, its time has not")
	}
	runWrites(t, r, []writeCase{
		{"valid", "", valid, nil},
		{"empty", "", `{}`, []string{
			`spec.accessModes: Required value`,
			`spec.capacity: Required value`,
			`spec.capacity: Unsupported value: null: supported values: "storage"`,
			`spec: Required value: must specify a volume type`,
		}},
		{"two sources", "", `{spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /a}, csi: {driver: d, volumeHandle: h}}}`,
			[]string{`spec.csi: Forbidden: may not specify more than 1 volume type`}},
		{"local", "", `{spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], local: {path: /a/../b}}}`, []string{
			`spec.local.path: Invalid value: "/a/../b": must not contain '..'`,
			`spec.nodeAffinity: Required value: Local volume requires node affinity`,
		}},
		{"csi", "", `{spec: {capacity: {storage: 0}, accessModes: [ReadWriteOncePod, ReadOnlyMany], csi: {driver: d, nodePublishSecretRef: {name: s}}}}`, []string{
			`spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes`,
			`spec.capacity[storage]: Invalid value: "0": must be greater than zero`,
			`spec.csi.volumeHandle: Required value`,
			`spec.csi.nodePublishSecretRef.namespace: Required value`,
		}},
	})
	changed := v.DeepCopy()
	changed.Spec.HostPath.Path = "/b"
	if got := texts(r.ValidateUpdate(changed, v)); len(got) != 1 || !strings.HasPrefix(got[0], "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n") {
		t.Errorf("got %q", got)
	}
	checkRow(t, r, v, "1Gi", "RWO,RWX", "Retain", "Pending", "ns/c", "", "<unset>", "", "Filesystem")
}

func TestPersistentVolumeClaims(t *testing.T) {
	r := PersistentVolumeClaims.Erase()
	claim := func(size, rest string) string {
		return `{spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: ` + size + `}}` + rest + `}, status: {phase: Bound, capacity: {storage: 1Gi}}}`
	}
	runWrites(t, r, []writeCase{
		{"valid", "", claim("1Gi", ""), nil},
		{"empty", "", `{}`, []string{`spec.accessModes: Required value: at least 1 access mode is required`, `spec.resources[storage]: Required value`}},
		{"grows", claim("1Gi", ""), claim("2Gi", ""), nil},
		{"shrinks to what it has", claim("2Gi", ""), claim("1Gi", ""), []string{`spec.resources.requests.storage: Forbidden: field can not be less than status.capacity`}},
		{"gets its volume", claim("1Gi", ""), claim("1Gi", ", volumeName: v"), nil},
		{"gets its class", claim("1Gi", ""), claim("1Gi", ", storageClassName: s"), nil},
	})
	for _, rest := range []string{", volumeName: w", ", volumeName: v, storageClassName: t"} {
		got := write(r, parse(t, r, claim("1Gi", rest)), parse(t, r, claim("1Gi", ", volumeName: v, storageClassName: s")), false)
		if len(got) != 1 || !strings.HasPrefix(got[0], "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n") {
			t.Errorf("%s: got %q", rest, got)
		}
	}
	c := parse(t, r, claim("1Gi", ", dataSource: {kind: PersistentVolumeClaim, name: x}")).(*corev1.PersistentVolumeClaim)
	if write(r, c, nil, true); c.Spec.DataSourceRef == nil || c.Spec.DataSourceRef.Name != "x" {
		t.Errorf("%+v", c.Spec)
	}
	c = parse(t, r, claim("1Gi", ", dataSource: {kind: Foo, name: x, apiGroup: a.b}")).(*corev1.PersistentVolumeClaim)
	if write(r, c, nil, true); c.Spec.DataSourceRef != nil || c.Spec.DataSource != nil {
		t.Errorf("%+v", c.Spec)
	}
	checkRow(t, r, parse(t, r, claim("1Gi", ", volumeName: v, storageClassName: s")), "Bound", "v", "1Gi", "", "s", "<unset>", "Filesystem")
}

func TestBindings(t *testing.T) {
	runWrites(t, Bindings.Erase(), []writeCase{
		{"to a node", "", `{target: {name: n}}`, nil},
		{"to something else", "", `{target: {kind: Pod}}`,
			[]string{`target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>"`, `target.name: Required value`}},
	})
}
