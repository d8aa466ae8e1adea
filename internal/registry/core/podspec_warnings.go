package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

// podWarner tells what is valid in a pod or a template but deprecated, without effect or likely a mistake.
type podWarner struct {
	meta *metav1.ObjectMeta
	spec *corev1.PodSpec
	// path of the template, nil for a pod.
	path  *field.Path
	texts []string
}

func podWarnings(m *metav1.ObjectMeta, s *corev1.PodSpec, path *field.Path) []string {
	w := podWarner{meta: m, spec: s, path: path}
	w.warnNodeLabels()
	w.warnTopologySpread()
	w.warnAnnotations()
	w.warnVolumes()
	w.warnOverlappingFiles()
	w.warnDuplicates()
	w.warnFractions(w.at("overhead"), s.Overhead)
	w.warnPodSeccomp()
	for ctr := range podContainers(s) {
		w.warnContainer(ctr)
	}
	w.warnPorts()
	if g := s.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		w.warn(w.at("terminationGracePeriodSeconds"), "must be >= 0; negative values are invalid and will be treated as 1")
	}
	w.warnPodAffinity()
	if s.DNSConfig != nil {
		for i, ns := range s.DNSConfig.Nameservers {
			w.texts = append(w.texts, validation.GetWarningsForIP(w.at("dnsConfig", "nameservers").Index(i).Common(), ns)...)
		}
	}
	for i, a := range s.HostAliases {
		w.texts = append(w.texts, validation.GetWarningsForIP(w.at("hostAliases").Index(i).Child("ip").Common(), a.IP)...)
	}
	return w.texts
}

func (w *podWarner) warn(path *field.Path, format string, args ...any) {
	w.texts = append(w.texts, path.String()+": "+fmt.Sprintf(format, args...))
}

// at is the path of a field of the spec.
func (w *podWarner) at(names ...string) *field.Path { return w.path.Child("spec", names...) }

func (w *podWarner) annotation(key string) *field.Path {
	return w.path.Child("metadata", "annotations").Key(key)
}

// oldNodeLabels are labels of nodes that have a successor.
var oldNodeLabels = map[string]string{
	"beta.kubernetes.io/arch":                       `deprecated since v1.14; use "kubernetes.io/arch" instead`,
	"beta.kubernetes.io/os":                         `deprecated since v1.14; use "kubernetes.io/os" instead`,
	"failure-domain.beta.kubernetes.io/region":      `deprecated since v1.17; use "topology.kubernetes.io/region" instead`,
	"failure-domain.beta.kubernetes.io/zone":        `deprecated since v1.17; use "topology.kubernetes.io/zone" instead`,
	"beta.kubernetes.io/instance-type":              `deprecated since v1.17; use "node.kubernetes.io/instance-type" instead`,
	"app.kubernetes.io/created-by":                  `deprecated since v1.9`,
	"scheduler.alpha.kubernetes.io/preferAvoidPods": `deprecated since v1.22; use Taints and Tolerations instead`,
	"node-role.kubernetes.io/master":                `use "node-role.kubernetes.io/control-plane" instead`,
}

func (w *podWarner) warnNodeLabels() {
	for _, k := range sortedKeys(w.spec.NodeSelector) {
		if msg, ok := oldNodeLabels[k]; ok {
			w.warn(w.at("nodeSelector").Key(k), "%s", msg)
		}
	}
	if w.spec.Affinity == nil || w.spec.Affinity.NodeAffinity == nil {
		return
	}
	n, path := w.spec.Affinity.NodeAffinity, w.at("affinity", "nodeAffinity")
	if s := n.RequiredDuringSchedulingIgnoredDuringExecution; s != nil {
		for i := range s.NodeSelectorTerms {
			w.warnNodeTerm(&s.NodeSelectorTerms[i], false, path.Child(schedulingRequired, "nodeSelectorTerms").Index(i))
		}
	}
	for i := range n.PreferredDuringSchedulingIgnoredDuringExecution {
		t := &n.PreferredDuringSchedulingIgnoredDuringExecution[i].Preference
		w.warnNodeTerm(t, true, path.Child(schedulingPreferred).Index(i).Child("preference"))
	}
}

func (w *podWarner) warnNodeTerm(t *corev1.NodeSelectorTerm, values bool, path *field.Path) {
	for i, x := range t.MatchExpressions {
		at := path.Child("matchExpressions").Index(i)
		if msg, ok := oldNodeLabels[x.Key]; ok {
			w.warn(at.Child("key"), "%s is %s", x.Key, msg)
		}
		if !values {
			continue
		}
		for j, v := range x.Values {
			for _, msg := range validation.IsValidLabelValue(v) {
				w.warn(at.Child("values").Index(j), "%s is invalid, %s", v, msg)
			}
		}
	}
}

const matchesNothing = "a null labelSelector results in matching no pod"

func (w *podWarner) warnTopologySpread() {
	for i, t := range w.spec.TopologySpreadConstraints {
		at := w.at("topologySpreadConstraints").Index(i)
		if msg, ok := oldNodeLabels[t.TopologyKey]; ok {
			w.warn(at.Child("topologyKey"), "%s is %s", t.TopologyKey, msg)
		}
		if t.LabelSelector == nil {
			w.warn(at.Child("labelSelector"), matchesNothing)
		}
	}
}

func (w *podWarner) warnPodAffinity() {
	if w.spec.Affinity == nil {
		return
	}
	terms := func(kind string, required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		for i, t := range required {
			if t.LabelSelector == nil {
				w.warn(w.at("affinity", kind, schedulingRequired).Index(i).Child("labelSelector"), matchesNothing)
			}
		}
		for i, t := range preferred {
			if t.PodAffinityTerm.LabelSelector == nil {
				w.warn(w.at("affinity", kind, schedulingPreferred).Index(i).Child("podAffinityTerm", "labelSelector"), matchesNothing)
			}
		}
	}
	if p := w.spec.Affinity.PodAffinity; p != nil {
		terms("podAffinity", p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if p := w.spec.Affinity.PodAntiAffinity; p != nil {
		terms("podAntiAffinity", p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

func (w *podWarner) warnAnnotations() {
	for _, old := range []struct{ key, text string }{
		{"scheduler.alpha.kubernetes.io/critical-pod", `non-functional in v1.16+; use the "priorityClassName" field instead`},
		{"security.alpha.kubernetes.io/sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
		{"security.alpha.kubernetes.io/unsafe-sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
	} {
		if _, ok := w.meta.Annotations[old.key]; ok {
			w.warn(w.annotation(old.key), "%s", old.text)
		}
	}
}

func (w *podWarner) warnDuplicates() {
	ips := sets.New[string]()
	for i, a := range w.spec.HostAliases {
		if ips.Has(a.IP) {
			w.warn(w.at("hostAliases").Index(i).Child("ip"), "duplicate ip %q", a.IP)
		}
		ips.Insert(a.IP)
	}
	names := sets.New[string]()
	for i, s := range w.spec.ImagePullSecrets {
		if names.Has(s.Name) {
			w.warn(w.at("imagePullSecrets").Index(i).Child("name"), "duplicate name %q", s.Name)
		}
		names.Insert(s.Name)
	}
	for i, s := range w.spec.ImagePullSecrets {
		if s.Name == "" {
			w.warn(w.at("imagePullSecrets").Index(i).Child("name"), "invalid empty name %q", s.Name)
		}
	}
}

// warnFractions finds parts of bytes: someone wrote m for milli where they meant M for mega.
func (w *podWarner) warnFractions(path *field.Path, lists ...corev1.ResourceList) {
	for _, n := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		for _, list := range lists {
			if q, ok := list[n]; ok {
				w.warnFraction(path.Key(string(n)), q)
			}
		}
	}
}

func (w *podWarner) warnFraction(path *field.Path, q resource.Quantity) {
	if q.MilliValue()%1000 != 0 {
		w.warn(path, "fractional byte value %q is invalid, must be an integer", q.String())
	}
}

const seccompAnnotationDead = `non-functional in v1.27+; use the "seccompProfile" field instead`

func (w *podWarner) warnPodSeccomp() {
	if sc := w.spec.SecurityContext; sc != nil && sc.SeccompProfile != nil {
		return
	}
	if _, ok := w.meta.Annotations[seccompPodAnnotation]; ok {
		w.warn(w.annotation(seccompPodAnnotation), seccompAnnotationDead)
	}
}

func (w *podWarner) warnContainer(ctr podContainer) {
	sc := ctr.SecurityContext
	if sc == nil {
		sc = &corev1.SecurityContext{}
	}
	if _, ok := w.meta.Annotations[seccompContainerAnnotation+ctr.Name]; ok && sc.SeccompProfile == nil {
		w.warn(w.annotation(seccompContainerAnnotation+ctr.Name), seccompAnnotationDead)
	}
	w.warnAppArmor(ctr.Name, sc)
	at := ctr.path(w.path.Child("spec"))
	for _, n := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		if q, ok := ctr.Resources.Limits[n]; ok {
			w.warnFraction(at.Child("resources", "limits").Key(string(n)), q)
		}
		if q, ok := ctr.Resources.Requests[n]; ok {
			w.warnFraction(at.Child("resources", "requests").Key(string(n)), q)
		}
	}
	w.warnEnv(ctr.Env, at.Child("env"))
}

// warnAppArmor warns of the annotation where the fields do not say the same. When a pod is made the
// annotation has become the container's field by now, so there it cannot be told whether both were given.
func (w *podWarner) warnAppArmor(container string, sc *corev1.SecurityContext) {
	annotation, ok := w.meta.Annotations[appArmorAnnotation+container]
	if !ok || w.path != nil && sc.AppArmorProfile != nil {
		return
	}
	profile := appArmorFromAnnotation(annotation)
	if pod := w.spec.SecurityContext; profile == nil || pod == nil || !equality.Semantic.DeepEqual(pod.AppArmorProfile, profile) {
		w.warn(w.annotation(appArmorAnnotation+container), `deprecated since v1.30; use the "appArmorProfile" field instead`)
	}
}

// warnEnv finds variables that are set twice, unless the second value builds on the first.
func (w *podWarner) warnEnv(env []corev1.EnvVar, path *field.Path) {
	seen := sets.New[string]()
	for i, v := range env {
		ref := "$(" + v.Name + ")"
		if seen.Has(v.Name) && (v.ValueFrom != nil || v.Value == ref || !strings.Contains(v.Value, ref)) {
			w.warn(path.Index(i), "hides previous definition of %q, which may be dropped when using apply", v.Name)
		}
		seen.Insert(v.Name)
	}
}

// portAt is a port and where it is declared.
type portAt struct {
	port corev1.ContainerPort
	path *field.Path
}

func (w *podWarner) warnPorts() {
	var all []portAt
	for ctr := range podContainers(w.spec) {
		for i, p := range ctr.Ports {
			at := portAt{p, ctr.path(w.path.Child("spec")).Child("ports").Index(i)}
			if p.HostIP != "" && p.HostPort == 0 {
				w.warn(at.path, "hostIP set without hostPort: %+v", p)
			}
			for _, other := range all {
				w.warnPortPair(at, other)
			}
			all = append(all, at)
		}
	}
	for i, p := range all {
		j := slices.IndexFunc(all, func(o portAt) bool { return o.port.Name == p.port.Name })
		if p.port.Name != "" && j < i {
			w.warn(p.path, "duplicate port name %q with %s, services and probes that select ports by name will use %s", p.port.Name, all[j].path, all[j].path)
		}
	}
}

func (w *podWarner) warnPortPair(here, there portAt) {
	p, other := here.port, there.port
	switch {
	case p.ContainerPort != other.ContainerPort || p.Protocol != other.Protocol:
	case p.HostIP == other.HostIP && p.HostPort == other.HostPort:
		w.warn(here.path, "duplicate port definition with %s", there.path)
	case p.HostPort == 0 || other.HostPort == 0:
		w.warn(here.path, "overlapping port definition with %s", there.path)
	case p.HostPort == other.HostPort && (p.HostIP == "") != (other.HostIP == ""):
		w.warn(here.path, "dangerously ambiguous port definition with %s", there.path)
	}
}
