package core

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/proa-dev/proa/internal/registry/field"
)

func TestPodQOS(t *testing.T) {
	for _, tt := range []struct {
		spec string
		want corev1.PodQOSClass
	}{
		{"{}", corev1.PodQOSBestEffort},
		{container("resources: {limits: {example.com/gpu: 1}}"), corev1.PodQOSBestEffort},
		{container("resources: {requests: {cpu: 0}}"), corev1.PodQOSBestEffort},
		{container("resources: {requests: {cpu: 1}}"), corev1.PodQOSBurstable},
		{container("resources: {limits: {cpu: 1}}"), corev1.PodQOSBurstable},
		{container("resources: {limits: {cpu: 1, memory: 1Gi}}"), corev1.PodQOSGuaranteed},
		{container("resources: {requests: {cpu: 1}, limits: {cpu: 2, memory: 1Gi}}"), corev1.PodQOSBurstable},
		{container("resources: {limits: {cpu: 1, memory: 1Gi}}") + "\ninitContainers: [{name: a, image: i}]", corev1.PodQOSBurstable},
		{container("resources: {limits: {cpu: 1, memory: 1Gi}}") + "\nephemeralContainers: [{name: a, image: i}]", corev1.PodQOSGuaranteed},
		{"resources: {limits: {cpu: 1, memory: 1Gi}}", corev1.PodQOSGuaranteed},
		{"resources: {limits: {cpu: 1}}", corev1.PodQOSBurstable},
	} {
		if got := PodQOS(podOf(t, tt.spec)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.spec, got, tt.want)
		}
	}
}

func TestPodGracePeriod(t *testing.T) {
	n := func(i int64) *int64 { return &i }
	for _, tt := range []struct {
		pod   string
		asked *int64
		want  int64
	}{
		{"{nodeName: a}", nil, 30},
		{"{nodeName: a}", n(5), 5},
		{"{nodeName: a}", n(0), 0},
		{"{nodeName: a}", n(-2), 1},
		{"{nodeName: a, terminationGracePeriodSeconds: 7}", nil, 7},
		{"{}", n(5), 0},
		{"{}", nil, 0},
		{"spec: {nodeName: a}\nstatus: {phase: Failed}", n(5), 0},
		{"spec: {nodeName: a}\nstatus: {phase: Succeeded}", nil, 0},
		{"spec: {nodeName: a}\nstatus: {phase: Running}", nil, 30},
	} {
		if got := podGracePeriod(podOf(t, tt.pod), tt.asked); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.pod, got, tt.want)
		}
	}
}

func TestPreparePodCreate(t *testing.T) {
	p := podOf(t, `
metadata: {name: p, labels: {rev: "1"}, annotations: {container.apparmor.security.beta.kubernetes.io/c: localhost/x}}
spec:
  schedulingGates: [{name: a}]
  containers: [{name: c, image: i}]
  affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: z, labelSelector: {}, matchLabelKeys: [rev, none], mismatchLabelKeys: [rev]}, {topologyKey: z, matchLabelKeys: [rev]}]}}
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: z, whenUnsatisfiable: DoNotSchedule, labelSelector: {}, matchLabelKeys: [rev]}]
status: {phase: Running, podIP: 10.0.0.1, qosClass: Guaranteed}
`)
	preparePodCreate(p)
	if p.Status.Phase != corev1.PodPending || p.Status.PodIP != "" || p.Status.QOSClass != corev1.PodQOSBestEffort {
		t.Errorf("status of a new pod: %v", p.Status)
	}
	if c := p.Status.Conditions; len(c) != 1 || c[0].Type != corev1.PodScheduled || c[0].Reason != "SchedulingGated" || c[0].Status != corev1.ConditionFalse {
		t.Errorf("conditions of a gated pod: %v", c)
	}
	terms := p.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if got := fmt.Sprint(terms[0].LabelSelector.MatchExpressions); got != "[{rev In [1]} {rev NotIn [1]}]" {
		t.Errorf("selector completed by label keys: %s", got)
	}
	if terms[1].LabelSelector != nil {
		t.Error("a missing selector, which matches nothing, became one that matches something")
	}
	if got := fmt.Sprint(p.Spec.TopologySpreadConstraints[0].LabelSelector.MatchExpressions); got != "[{rev In [1]}]" {
		t.Errorf("spread selector completed by label keys: %s", got)
	}
	if a := p.Spec.Containers[0].SecurityContext.AppArmorProfile; a.Type != corev1.AppArmorProfileTypeLocalhost || *a.LocalhostProfile != "x" {
		t.Errorf("profile from the annotation: %v", a)
	}
}

func podCells(p *corev1.Pod) string {
	var cells []string
	for _, c := range Pods.Columns {
		cells = append(cells, fmt.Sprint(c.Value(p)))
	}
	return strings.Join(cells, "|")
}

// Times in the statuses are a quarter of an hour before the test's clock.
func TestPodColumns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ago := time.Now().Add(-15 * time.Minute).UTC().Format(time.RFC3339)
		for _, tt := range []struct{ pod, want string }{
			{"status: {phase: Pending}", "0/1|Pending|0|15m|<none>|<none>|<none>|<none>"},
			{"spec: {nodeName: a}\nstatus: {phase: Running, podIP: 10.0.0.1, nominatedNodeName: b, containerStatuses: [{name: c, ready: true, state: {running: {}}}]}",
				"1/1|Running|0|15m|10.0.0.1|a|b|<none>"},
			{"status: {phase: Pending, conditions: [{type: PodScheduled, reason: SchedulingGated}]}", "0/1|SchedulingGated|0|15m"},
			{"status: {phase: Failed, reason: Evicted}", "0/1|Evicted|0|15m"},
			{"status: {phase: Pending, containerStatuses: [{name: c, state: {waiting: {reason: ContainerCreating}}}]}", "0/1|ContainerCreating|0|15m"},
			{"status: {phase: Running, containerStatuses: [{name: c, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {finishedAt: AGO}}}]}",
				"0/1|CrashLoopBackOff|3 (15m ago)|15m"},
			{"status: {phase: Running, containerStatuses: [{name: c, restartCount: 3, state: {terminated: {exitCode: 1}}}]}", "0/1|ExitCode:1|3|15m"},
			{"status: {phase: Running, containerStatuses: [{name: c, state: {terminated: {signal: 9}}}]}", "0/1|Signal:9|0|15m"},
			{"status: {phase: Succeeded, containerStatuses: [{name: c, state: {terminated: {reason: Completed}}}]}", "0/1|Completed|0|15m"},
			{"spec: {containers: [{name: c, image: i}, {name: d, image: i}]}\nstatus: {phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: c, state: {terminated: {reason: Completed}}}, {name: d, ready: true, state: {running: {}}}]}",
				"1/2|Running|0|15m"},
			{"spec: {containers: [{name: c, image: i}, {name: d, image: i}]}\nstatus: {phase: Running, containerStatuses: [{name: c, state: {terminated: {reason: Completed}}}, {name: d, ready: true, state: {running: {}}}]}",
				"1/2|NotReady|0|15m"},
			{"spec: {containers: [{name: c, image: i}, {name: d, image: i}]}\nstatus: {phase: Failed, containerStatuses: [{name: c, state: {terminated: {reason: Completed}}}, {name: d, state: {terminated: {exitCode: 1, reason: Error}}}]}",
				"0/2|Error|0|15m"},
			{"spec: {initContainers: [{name: a, image: i}, {name: b, image: i}]}\nstatus: {phase: Pending, initContainerStatuses: [{name: a, state: {terminated: {exitCode: 0}}}, {name: b, state: {running: {}}}]}",
				"0/1|Init:1/2|0|15m"},
			{"spec: {initContainers: [{name: a, image: i}]}\nstatus: {phase: Pending, initContainerStatuses: [{name: a, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {finishedAt: AGO}}}]}",
				"0/1|Init:CrashLoopBackOff|2 (15m ago)|15m"},
			{"spec: {initContainers: [{name: a, image: i}]}\nstatus: {phase: Pending, initContainerStatuses: [{name: a, state: {terminated: {exitCode: 2}}}]}", "0/1|Init:ExitCode:2|0|15m"},
			{"spec: {initContainers: [{name: a, image: i}]}\nstatus: {phase: Pending, initContainerStatuses: [{name: a, state: {terminated: {exitCode: 2, reason: Error}}}]}", "0/1|Init:Error|0|15m"},
			{"spec: {initContainers: [{name: s, image: i, restartPolicy: Always}]}\nstatus: {phase: Running, initContainerStatuses: [{name: s, started: true, ready: true, restartCount: 1, state: {running: {}}}], containerStatuses: [{name: c, ready: true, restartCount: 2, state: {running: {}}}]}",
				"2/2|Running|3|15m"},
			{"spec: {initContainers: [{name: a, image: i}]}\nstatus: {phase: Running, initContainerStatuses: [{name: a, restartCount: 5, state: {terminated: {exitCode: 0}}}], containerStatuses: [{name: c, ready: true, state: {running: {}}}]}",
				"1/1|Running|0|15m"},
			{"metadata: {deletionTimestamp: AGO}\nstatus: {phase: Running}", "0/1|Terminating|0|15m"},
			{"metadata: {deletionTimestamp: AGO}\nstatus: {phase: Succeeded}", "0/1|Succeeded|0|15m"},
			{"metadata: {deletionTimestamp: AGO}\nstatus: {phase: Running, reason: NodeLost}", "0/1|Unknown|0|15m"},
			{"spec: {readinessGates: [{conditionType: A}, {conditionType: B}]}\nstatus: {phase: Running, conditions: [{type: A, status: 'True'}, {type: B, status: 'False'}]}",
				"0/1|Running|0|15m|<none>|<none>|<none>|1/2"},
		} {
			p := rawPod(t, "{}")
			putOver(t, p, strings.ReplaceAll(tt.pod, "AGO", ago))
			p.CreationTimestamp = metav1.NewTime(time.Now().Add(-15 * time.Minute))
			defaultPod(p)
			if got := podCells(p); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s\ngot  %s\nwant %s", tt.pod, got, tt.want)
			}
		}
	})
}

func TestPodFields(t *testing.T) {
	p := podOf(t, "spec: {nodeName: a, serviceAccountName: b, hostNetwork: true}\nstatus: {phase: Running, podIP: 10.0.0.1, nominatedNodeName: c}")
	got := map[string]string{}
	for _, f := range Pods.Fields {
		got[f.Name] = f.Value(p)
	}
	for name, want := range map[string]string{
		"spec.nodeName": "a", "spec.serviceAccountName": "b", "spec.hostNetwork": "true", "spec.restartPolicy": "Always",
		"spec.schedulerName": "default-scheduler", "status.phase": "Running", "status.podIP": "10.0.0.1", "status.podIPs": "", "status.nominatedNodeName": "c",
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
}

func TestPodWarnings(t *testing.T) {
	for _, tt := range []struct{ pod, want string }{
		{"{}", ""},
		{"metadata: {name: a.b}", "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"},
		{"nodeSelector: {beta.kubernetes.io/os: linux}", `spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead`},
		{"topologySpreadConstraints: [{maxSkew: 1, topologyKey: z, whenUnsatisfiable: DoNotSchedule}]", "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod"},
		{"affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: z}]}}", "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null labelSelector results in matching no pod"},
		{"metadata: {annotations: {seccomp.security.alpha.kubernetes.io/pod: unconfined}}", `metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the "seccompProfile" field instead`},
		{"metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/c: unconfined}}", `metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: deprecated since v1.30; use the "appArmorProfile" field instead`},
		{"metadata: {annotations: {scheduler.alpha.kubernetes.io/critical-pod: ''}}", `metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "priorityClassName" field instead`},
		{volume("glusterfs: {endpoints: a, path: b}"), "spec.volumes[0].glusterfs: deprecated in v1.25, non-functional in v1.26+"},
		{volume("configMap: {name: m, items: [{key: a, path: x}, {key: b, path: x/y/}]}"), `volume "v" (ConfigMap "m"): overlapping paths: "x/y" with "x"`},
		{volume("projected: {sources: [{secret: {name: s, items: [{key: a, path: x}]}}, {serviceAccountToken: {path: x}}, {}]}"),
			`volume "v" (Projected) has no sources provided` + "\n" + `volume "v" (Projected): overlapping paths: "x" (ServiceAccountToken) with "x" (Secret "s")`},
		{"hostAliases: [{ip: 10.0.0.1}, {ip: 10.0.0.1}]", `spec.hostAliases[1].ip: duplicate ip "10.0.0.1"`},
		{"imagePullSecrets: [{name: ''}]", `spec.imagePullSecrets[0].name: invalid empty name ""`},
		{container("resources: {requests: {memory: 100m}}"), `spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer`},
		{container("env: [{name: A, value: a}, {name: A, value: b}]"), `spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply`},
		{container("env: [{name: A, value: a}, {name: A, value: $(A)b}]"), ""},
		{container("ports: [{containerPort: 80}, {containerPort: 80}]"), "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"},
		{container("ports: [{containerPort: 80}, {containerPort: 80, protocol: UDP}]"), ""},
		{container("ports: [{containerPort: 80}, {containerPort: 80, hostPort: 8}]"), "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]"},
		{container("ports: [{containerPort: 80, hostPort: 8}, {containerPort: 80, hostPort: 8, hostIP: 10.0.0.1}]"), "spec.containers[0].ports[1]: dangerously ambiguous port definition with spec.containers[0].ports[0]"},
		{"containers: [{name: c, image: i, ports: [{name: a, containerPort: 1}]}, {name: d, image: i, ports: [{name: a, containerPort: 2}]}]",
			`spec.containers[1].ports[0]: duplicate port name "a" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]`},
	} {
		p := rawPod(t, "{}")
		putOver(t, p, tt.pod)
		defaultPod(p)
		preparePodCreate(p)
		if got := strings.Join(warnPod(p, nil), "\n"); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.pod, got, tt.want)
		}
		if got := warnPod(p, p); got != nil {
			t.Errorf("%s: updates warn: %v", tt.pod, got)
		}
	}
}

func TestPodTemplateForController(t *testing.T) {
	p := rawPod(t, "{}")
	putOver(t, p, "metadata: {labels: {a: b}}\nspec: {restartPolicy: Never, activeDeadlineSeconds: 5, ephemeralContainers: [{name: e, image: i}]}")
	tmpl := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: p.Labels}, Spec: p.Spec}
	DefaultPodTemplate(&tmpl)
	check := func(selector string, always bool, want ...string) {
		t.Helper()
		s, err := labels.Parse(selector)
		if err != nil {
			t.Fatal(err)
		}
		checkTexts(t, texts(ValidatePodTemplateForController(&tmpl, s, field.NewPath("spec", "template"), "DaemonSet", always)), want)
	}
	const ephemeral = "spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template"
	check("a=b", false, ephemeral)
	check("", false, ephemeral)
	check("a=c", true, ephemeral,
		"spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
		`spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`,
		"spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not Supported")
}
