package core

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenCase is a block of a golden file: comments, lines by their first character, and what comes out.
type goldenCase struct {
	comments []string
	lines    []string // with their mark
	want     []string
}

// patch joins the lines with the mark.
func (c goldenCase) patch(mark string) string {
	var lines []string
	for _, l := range c.lines {
		if rest, ok := strings.CutPrefix(l, mark+" "); ok {
			lines = append(lines, rest)
		}
	}
	return strings.Join(lines, "\n")
}

// answerIndent sets what comes out apart from what goes in.
const answerIndent = "    "

func readGolden(t *testing.T, file, marks string) []goldenCase {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []goldenCase
	for block := range strings.SplitSeq(strings.TrimSpace(string(raw)), "\n\n") {
		var c goldenCase
		for line := range strings.SplitSeq(block, "\n") {
			switch {
			case strings.HasPrefix(line, "#"):
				c.comments = append(c.comments, line)
			case len(line) > 1 && strings.Contains(marks, line[:1]) && line[1] == ' ':
				c.lines = append(c.lines, line)
			default:
				c.want = append(c.want, strings.TrimPrefix(line, answerIndent))
			}
		}
		cases = append(cases, c)
	}
	return cases
}

// testGolden compares what comes out of each case with the file, or writes it there.
func testGolden(t *testing.T, file, marks string, run func(*testing.T, goldenCase) []string) {
	cases := readGolden(t, file, marks)
	var blocks []string
	for _, c := range cases {
		var got []string
		if len(c.lines) > 0 {
			for _, text := range run(t, c) {
				got = append(got, strings.Split(strings.TrimRight(text, "\n"), "\n")...)
			}
			if len(got) == 0 {
				got = []string{"fine"}
			}
		}
		if !*update && strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s\ngot:\n  %s\nwant:\n  %s", strings.Join(c.lines, "\n"), strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
		}
		block := slices.Concat(c.comments, c.lines)
		for _, line := range got {
			block = append(block, answerIndent+line)
		}
		blocks = append(blocks, strings.Join(block, "\n"))
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(blocks, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPodsRejected(t *testing.T) {
	testGolden(t, "testdata/pods_rejected.txt", ">", func(t *testing.T, c goldenCase) []string {
		p := podOf(t, c.patch(">"))
		preparePodCreate(p)
		got := texts(append(validatePod(p), validatePodCreate(p)...))
		if len(got) == 0 {
			t.Errorf("%s: accepted", c.patch(">"))
		}
		return got
	})
}

// Everything a pod can sensibly say at once is accepted.
func TestPodAccepted(t *testing.T) {
	p := podOf(t, fullPod)
	preparePodCreate(p)
	checkTexts(t, texts(append(validatePod(p), validatePodCreate(p)...)), nil)

	tmpl := corev1.PodTemplateSpec{ObjectMeta: p.ObjectMeta, Spec: rawPod(t, fullPod).Spec}
	DefaultPodTemplate(&tmpl)
	checkTexts(t, texts(ValidatePodTemplate(&tmpl, nil)), nil)
}

const fullPod = `
serviceAccountName: default
hostname: h
subdomain: s
priorityClassName: high
runtimeClassName: gvisor
preemptionPolicy: Never
activeDeadlineSeconds: 100
overhead: {cpu: 100m}
os: {name: linux}
hostUsers: false
shareProcessNamespace: true
nodeSelector: {disk: ssd}
imagePullSecrets: [{name: s}]
dnsPolicy: None
dnsConfig: {nameservers: [1.1.1.1, "fd00::1"], searches: [a.b., ., _x.y], options: [{name: ndots, value: "2"}]}
hostAliases: [{ip: 10.0.0.1, hostnames: [a.b]}]
readinessGates: [{conditionType: example.com/ready}]
schedulingGates: [{name: example.com/gate}]
resourceClaims: [{name: gpu, resourceClaimTemplateName: gpus}]
resources: {limits: {cpu: 8, memory: 8Gi}}
tolerations: [{operator: Exists}, {key: a, value: b, effect: NoExecute, tolerationSeconds: 5}]
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms: [{matchExpressions: [{key: cores, operator: Gt, values: ["4"]}], matchFields: [{key: metadata.name, operator: In, values: [nn]}]}]
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
    - {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {a: b}}, mismatchLabelKeys: [c]}
topologySpreadConstraints:
- {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, minDomains: 2, labelSelector: {matchLabels: {a: b}}, matchLabelKeys: [pod-template-hash]}
securityContext:
  runAsUser: 1000
  fsGroup: 1
  supplementalGroups: [2]
  supplementalGroupsPolicy: Strict
  fsGroupChangePolicy: OnRootMismatch
  seLinuxChangePolicy: Recursive
  sysctls: [{name: net.ipv4.tcp_syncookies, value: "1"}, {name: kernel/sem, value: x}]
  seccompProfile: {type: Localhost, localhostProfile: profiles/x.json}
  appArmorProfile: {type: RuntimeDefault}
volumes:
- {name: a, emptyDir: {sizeLimit: 1Gi}}
- {name: b, ephemeral: {volumeClaimTemplate: {metadata: {labels: {a: b}}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}
- {name: c, csi: {driver: Secrets.example.com}}
- {name: d, image: {reference: "r/i:1"}}
- name: e
  projected:
    sources:
    - {serviceAccountToken: {path: token}}
    - {configMap: {name: ca, items: [{key: ca.crt, path: ca.crt}]}}
    - {downwardAPI: {items: [{path: ns, fieldRef: {fieldPath: metadata.namespace}}, {path: cpu, resourceFieldRef: {containerName: c, resource: limits.cpu, divisor: 1m}}]}}
initContainers:
- {name: side, image: i, restartPolicy: Always, startupProbe: {exec: {command: [x]}}, ports: [{containerPort: 1, hostPort: 1}]}
- {name: once, image: i, restartPolicy: OnFailure, restartPolicyRules: [{action: Restart, exitCodes: {operator: NotIn, values: [2]}}], resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}]}
containers:
- name: c
  image: i
  ports: [{name: http, containerPort: 80}, {containerPort: 81, hostPort: 81, protocol: SCTP}]
  env:
  - {name: "A.b-c", value: x}
  - {name: B, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['A/b']"}}}
  - {name: C, valueFrom: {fileKeyRef: {key: K, path: dir/env, volumeName: a}}}
  - {name: D, valueFrom: {fieldRef: {fieldPath: spec.host}}}
  - {name: E, valueFrom: {resourceFieldRef: {resource: limits.hugepages-2Mi, divisor: 1Mi}}}
  envFrom: [{prefix: P_, secretRef: {name: s, optional: true}}]
  resources: {requests: {cpu: 1, example.com/fpga: 2}, limits: {cpu: 2, memory: 1Gi, example.com/fpga: 2, hugepages-2Mi: 4Mi}, claims: [{name: gpu, request: one}]}
  volumeMounts: [{name: a, mountPath: /a, subPathExpr: $(B)/x}, {name: e, mountPath: /e, readOnly: true, recursiveReadOnly: IfPossible}]
  livenessProbe: {grpc: {port: 80}, terminationGracePeriodSeconds: 5}
  readinessProbe: {httpGet: {port: http, httpHeaders: [{name: X-A, value: b}]}, successThreshold: 2}
  lifecycle: {postStart: {exec: {command: [x]}}, preStop: {sleep: {seconds: 0}}}
  securityContext: {privileged: true, procMount: Unmasked, appArmorProfile: {type: Localhost, localhostProfile: p}}
`
