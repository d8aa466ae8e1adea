package core

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// dig finds a value in the JSON form of an object: names and indexes.
func dig(t *testing.T, o any, path ...any) any {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[s]
		case int:
			l, _ := v.([]any)
			if s >= len(l) {
				return nil
			}
			v = l[s]
		}
	}
	return v
}

func TestPodDefaults(t *testing.T) {
	ctr := func(path ...any) []any { return append([]any{"spec", "containers", 0}, path...) }
	vol := func(path ...any) []any { return append([]any{"spec", "volumes", 0}, path...) }
	for _, tt := range []struct {
		pod  string
		path []any
		want string // YAML
	}{
		{"{}", []any{"spec", "restartPolicy"}, "Always"},
		{"{}", []any{"spec", "dnsPolicy"}, "ClusterFirst"},
		{"{}", []any{"spec", "schedulerName"}, "default-scheduler"},
		{"{}", []any{"spec", "securityContext"}, "{}"},
		{"{}", []any{"spec", "terminationGracePeriodSeconds"}, "30"},
		{"{}", []any{"spec", "enableServiceLinks"}, "true"},
		{"{}", []any{"spec", "serviceAccountName"}, "null"},
		{"terminationGracePeriodSeconds: -5", []any{"spec", "terminationGracePeriodSeconds"}, "1"},
		{"terminationGracePeriodSeconds: 0", []any{"spec", "terminationGracePeriodSeconds"}, "0"},
		{"enableServiceLinks: false", []any{"spec", "enableServiceLinks"}, "false"},
		{"serviceAccount: a", []any{"spec", "serviceAccountName"}, "a"},
		{"serviceAccountName: a", []any{"spec", "serviceAccount"}, "a"},
		{"{serviceAccountName: a, serviceAccount: b}", []any{"spec", "serviceAccount"}, "a"},
		{"schedulingGroup: {podGroupName: g}", []any{"spec", "schedulingGroup"}, "null"},

		{"{}", ctr("terminationMessagePath"), "/dev/termination-log"},
		{"{}", ctr("terminationMessagePolicy"), "File"},
		{"{}", ctr("imagePullPolicy"), "Always"},
		{"containers: [{name: c, image: 'i:latest'}]", ctr("imagePullPolicy"), "Always"},
		{"containers: [{name: c, image: 'i:1'}]", ctr("imagePullPolicy"), "IfNotPresent"},
		{"containers: [{name: c, image: 'host:5000/i'}]", ctr("imagePullPolicy"), "Always"},
		{"containers: [{name: c, image: 'i@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'}]", ctr("imagePullPolicy"), "IfNotPresent"},
		{"containers: [{name: c, image: 'i:latest@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'}]", ctr("imagePullPolicy"), "Always"},
		{"containers: [{name: c, image: 'No Image'}]", ctr("imagePullPolicy"), "IfNotPresent"},
		{"containers: [{name: c, image: ''}]", ctr("imagePullPolicy"), "IfNotPresent"},
		{"containers: [{name: c, image: i, imagePullPolicy: Never}]", ctr("imagePullPolicy"), "Never"},
		{container("ports: [{containerPort: 80}]"), ctr("ports", 0, "protocol"), "TCP"},
		{container("ports: [{containerPort: 80}]"), ctr("ports", 0, "hostPort"), "null"},
		{container("ports: [{containerPort: 80}]") + "\nhostNetwork: true", ctr("ports", 0, "hostPort"), "80"},
		{container("env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]"), ctr("env", 0, "valueFrom", "fieldRef", "apiVersion"), "v1"},
		{container("env: [{name: A, valueFrom: {fileKeyRef: {key: k, path: p, volumeName: v}}}]"), ctr("env", 0, "valueFrom", "fileKeyRef", "optional"), "false"},
		{container("livenessProbe: {httpGet: {port: 80}}"), ctr("livenessProbe"),
			"{httpGet: {path: /, port: 80, scheme: HTTP}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}"},
		{container("startupProbe: {grpc: {port: 80}}"), ctr("startupProbe", "grpc", "service"), "''"},
		{container("lifecycle: {preStop: {httpGet: {port: 80}}}"), ctr("lifecycle", "preStop", "httpGet", "scheme"), "HTTP"},
		{container("lifecycle: {stopSignal: SIGUSR1}"), ctr("lifecycle"), "null"},
		{container("lifecycle: {}"), ctr("lifecycle"), "{}"},
		{container("resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 500m}}"), ctr("resources", "requests"), "{cpu: 500m, memory: 1Gi}"},
		{container("resources: {limits: {cpu: 100u}}"), ctr("resources", "limits"), "{cpu: 1m}"},
		{"initContainers: [{name: nn, image: i, resources: {limits: {cpu: 1}}}]", []any{"spec", "initContainers", 0, "resources", "requests"}, "{cpu: '1'}"},
		{"overhead: {cpu: 100u}", []any{"spec", "overhead"}, "{cpu: 1m}"},

		{"resources: {limits: {cpu: 2, memory: 1Gi}}\n" + container("resources: {requests: {cpu: 1}}"), []any{"spec", "resources", "requests"}, "{cpu: '1', memory: 1Gi}"},
		{"resources: {requests: {cpu: 2}}", []any{"spec", "resources"}, "{requests: {cpu: '2'}}"},
		{"resources: {limits: {cpu: 2}}\n" + container("resources: {limits: {hugepages-2Mi: 4Mi}}"), []any{"spec", "resources"},
			"{limits: {cpu: '2', hugepages-2Mi: 4Mi}, requests: {cpu: '2', hugepages-2Mi: 4Mi}}"},

		{volume("emptyDir: null"), vol("emptyDir"), "{}"},
		{volume("hostPath: {path: /a}"), vol("hostPath", "type"), "''"},
		{volume("secret: {secretName: s}"), vol("secret", "defaultMode"), "420"},
		{volume("configMap: {name: s}"), vol("configMap", "defaultMode"), "420"},
		{volume("downwardAPI: {items: [{path: p, fieldRef: {fieldPath: metadata.name}}]}"), vol("downwardAPI"),
			"{defaultMode: 420, items: [{path: p, fieldRef: {apiVersion: v1, fieldPath: metadata.name}}]}"},
		{volume("projected: {sources: [{serviceAccountToken: {path: t}}]}"), vol("projected"),
			"{defaultMode: 420, sources: [{serviceAccountToken: {path: t, expirationSeconds: 3600}}]}"},
		{volume("projected: {sources: [{clusterTrustBundle: {name: b, path: t}}]}"), vol("projected", "sources"), "[{}]"},
		{volume("image: {reference: 'r:1'}"), vol("image", "pullPolicy"), "IfNotPresent"},
		{volume("ephemeral: {volumeClaimTemplate: {spec: {resources: {requests: {storage: 1}}}}}"),
			vol("ephemeral", "volumeClaimTemplate", "spec", "volumeMode"), "Filesystem"},
		{volume("iscsi: {targetPortal: a, iqn: b, lun: 1}"), vol("iscsi", "iscsiInterface"), "default"},
		{volume("rbd: {monitors: [a], image: b}"), vol("rbd"), "{monitors: [a], image: b, pool: rbd, user: admin, keyring: /etc/ceph/keyring}"},
		{volume("azureDisk: {diskName: a, diskURI: b}"), vol("azureDisk"), "{diskName: a, diskURI: b, cachingMode: ReadWrite, fsType: ext4, readOnly: false, kind: Shared}"},
		{volume("scaleIO: {gateway: a, system: b, secretRef: {}}"), vol("scaleIO", "fsType"), "xfs"},

		{"status: {podIP: 10.0.0.1}", []any{"status", "podIPs"}, "[{ip: 10.0.0.1}]"},
		{"status: {podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}", []any{"status", "podIP"}, "10.0.0.1"},
		{"status: {podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}", []any{"status", "podIPs"}, "[{ip: 10.0.0.2}]"},
		{"status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}", []any{"status", "podIPs", 1, "ip"}, "fd00::1"},
		{"metadata: {annotations: {pod.beta.kubernetes.io/init-containers: x, keep: z}}", []any{"metadata", "annotations"}, "{keep: z}"},
	} {
		p := podOf(t, tt.pod)
		var want any
		if err := yaml.Unmarshal([]byte(tt.want), &want); err != nil {
			t.Fatal(err)
		}
		if got := dig(t, p, tt.path...); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s\n%v is %v, want %v", tt.pod, tt.path, got, want)
		}
		again := p.DeepCopy()
		if defaultPod(again); !reflect.DeepEqual(again, p) {
			t.Errorf("%s: defaulting twice makes another pod", tt.pod)
		}
	}
}

// What admission completes only in pods stays open in templates.
func TestPodTemplateDefaults(t *testing.T) {
	var tmpl corev1.PodTemplateSpec
	err := yaml.UnmarshalStrict([]byte(`
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: -5
  resources: {limits: {cpu: 1}}
  containers: [{name: c, image: i, ports: [{containerPort: 80}], resources: {limits: {cpu: 1}}}]
`), &tmpl)
	if err != nil {
		t.Fatal(err)
	}
	DefaultPodTemplate(&tmpl)
	s := &tmpl.Spec
	if s.EnableServiceLinks != nil || s.Containers[0].Resources.Requests != nil || s.Resources.Requests != nil ||
		s.Containers[0].Ports[0].HostPort != 0 || *s.TerminationGracePeriodSeconds != -5 {
		t.Errorf("template was completed like a pod: %v", tmpl)
	}
	if s.RestartPolicy != corev1.RestartPolicyAlways || s.Containers[0].ImagePullPolicy != corev1.PullAlways {
		t.Errorf("template is not defaulted: %v", tmpl)
	}
}
