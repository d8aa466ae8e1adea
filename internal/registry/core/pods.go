package core

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry"
)

// Pods are containers that run together on a node.
var Pods = registry.Resource[corev1.Pod]{
	Kind: "Pod", Name: "pods", Short: []string{"po"}, Categories: []string{"all"},
	Namespaced:     true,
	Versions:       []registry.Version[corev1.Pod]{registry.Hub[corev1.Pod]("v1")},
	Default:        defaultPod,
	PrepareCreate:  preparePodCreate,
	Validate:       validatePod,
	ValidateCreate: validatePodCreate,
	ValidateUpdate: validatePodUpdate,
	Warn:           warnPod,
	Status:         func(p *corev1.Pod) any { return &p.Status },
	PrepareStatus:  preparePodStatus,
	ValidateStatus: validatePodStatus,
	Spec:           func(p *corev1.Pod) any { return &p.Spec },
	Views: []registry.View[corev1.Pod]{
		{Name: "ephemeralcontainers", Prepare: prepareEphemeralContainers, Validate: validateEphemeralContainers},
		{Name: "resize", Prepare: preparePodResize, Validate: validatePodResize},
	},
	Actions:        podActions,
	Columns:        podColumns(),
	Fields:         podFields,
	AnswersDeleted: true,
	GracePeriod:    podGracePeriod,
}

var podActions = []registry.Action{
	{Name: "attach", Kind: coreKind("PodAttachOptions"), Verbs: []string{"create", "get"}, Stream: true},
	{Name: "binding", Kind: coreKind("Binding"), Verbs: []string{"create"}},
	{Name: "eviction", Kind: schema.GroupVersionKind{Group: "policy", Version: "v1", Kind: "Eviction"}, Verbs: []string{"create"}},
	{Name: "exec", Kind: coreKind("PodExecOptions"), Verbs: []string{"create", "get"}, Stream: true},
	{Name: "log", Kind: coreKind("Pod"), Verbs: []string{"get"}, Stream: true},
	{Name: "portforward", Kind: coreKind("PodPortForwardOptions"), Verbs: []string{"create", "get"}, Stream: true},
	{Name: "proxy", Kind: coreKind("PodProxyOptions"), Verbs: []string{"create", "delete", "get", "patch", "update"}, Stream: true},
}

func coreKind(kind string) schema.GroupVersionKind {
	return corev1.SchemeGroupVersion.WithKind(kind)
}

var podFields = []registry.Field[corev1.Pod]{
	{Name: "spec.nodeName", Indexed: true, Value: func(p *corev1.Pod) string { return p.Spec.NodeName }},
	{Name: "spec.restartPolicy", Value: func(p *corev1.Pod) string { return string(p.Spec.RestartPolicy) }},
	{Name: "spec.schedulerName", Value: func(p *corev1.Pod) string { return p.Spec.SchedulerName }},
	{Name: "spec.serviceAccountName", Reads: []string{"spec.serviceAccount"}, Value: func(p *corev1.Pod) string { return p.Spec.ServiceAccountName }},
	{Name: "spec.hostNetwork", Value: func(p *corev1.Pod) string { return strconv.FormatBool(p.Spec.HostNetwork) }},
	{Name: "status.phase", Value: func(p *corev1.Pod) string { return string(p.Status.Phase) }},
	{Name: "status.podIP", Reads: []string{"status.podIPs"}, Value: podIP},
	// Selectors may name the list, but it has no value: nothing but "" selects.
	{Name: "status.podIPs", Value: func(*corev1.Pod) string { return "" }},
	{Name: "status.nominatedNodeName", Value: func(p *corev1.Pod) string { return p.Status.NominatedNodeName }},
}

func podIP(p *corev1.Pod) string {
	if len(p.Status.PodIPs) == 0 {
		return ""
	}
	return p.Status.PodIPs[0].IP
}

// podGracePeriod is how long the pod's node has to stop it: no time where there is nothing to stop.
func podGracePeriod(p *corev1.Pod, asked *int64) int64 {
	var seconds int64
	switch {
	case p.Spec.NodeName == "" || podEnded(p):
		return 0
	case asked != nil:
		seconds = *asked
	case p.Spec.TerminationGracePeriodSeconds != nil:
		seconds = *p.Spec.TerminationGracePeriodSeconds
	}
	if seconds < 0 {
		return 1
	}
	return seconds
}

// podEnded tells whether all containers have ended and none will start again.
func podEnded(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// preparePodCreate gives a new pod its first status, and turns what is said of the pod by its labels and
// annotations into fields, once and for all.
func preparePodCreate(p *corev1.Pod) {
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: PodQOS(p)}
	if len(p.Spec.SchedulingGates) > 0 {
		p.Status.Conditions = []corev1.PodCondition{{
			Type:               corev1.PodScheduled,
			Status:             corev1.ConditionFalse,
			LastTransitionTime: metav1.Now(),
			Reason:             corev1.PodReasonSchedulingGated,
			Message:            "Scheduling is blocked due to non-empty scheduling gates",
		}}
	}
	mergeLabelKeys(p)
	adoptAppArmorAnnotations(p)
}

// mergeLabelKeys completes selectors by the values that the pod itself has for some labels.
func mergeLabelKeys(p *corev1.Pod) {
	merge := func(s *metav1.LabelSelector, op metav1.LabelSelectorOperator, keys []string) {
		for _, k := range keys {
			if v, ok := p.Labels[k]; ok && s != nil {
				s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: k, Operator: op, Values: []string{v}})
			}
		}
	}
	term := func(t *corev1.PodAffinityTerm) {
		merge(t.LabelSelector, metav1.LabelSelectorOpIn, t.MatchLabelKeys)
		merge(t.LabelSelector, metav1.LabelSelectorOpNotIn, t.MismatchLabelKeys)
	}
	terms := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		for i := range preferred {
			term(&preferred[i].PodAffinityTerm)
		}
		for i := range required {
			term(&required[i])
		}
	}
	if a := p.Spec.Affinity; a != nil && a.PodAffinity != nil {
		terms(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a := p.Spec.Affinity; a != nil && a.PodAntiAffinity != nil {
		terms(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	for i := range p.Spec.TopologySpreadConstraints {
		t := &p.Spec.TopologySpreadConstraints[i]
		merge(t.LabelSelector, metav1.LabelSelectorOpIn, t.MatchLabelKeys)
	}
}

// adoptAppArmorAnnotations makes fields of the profiles that containers have by annotation only. See KEP-24.
func adoptAppArmorAnnotations(p *corev1.Pod) {
	if podOnOS(&p.Spec, corev1.Windows) {
		return
	}
	var own *corev1.AppArmorProfile
	if p.Spec.SecurityContext != nil {
		own = p.Spec.SecurityContext.AppArmorProfile
	}
	for ctr := range podContainers(&p.Spec) {
		annotation, ok := p.Annotations[appArmorAnnotation+ctr.Name]
		if !ok || ctr.SecurityContext != nil && ctr.SecurityContext.AppArmorProfile != nil {
			continue
		}
		profile := appArmorFromAnnotation(annotation)
		if profile == nil || len(validateAppArmor(profile, nil)) > 0 || equality.Semantic.DeepEqual(profile, own) {
			continue
		}
		setIfNil(&ctr.SecurityContext, corev1.SecurityContext{})
		ctr.SecurityContext.AppArmorProfile = profile
	}
}

// warnPod speaks up when a pod is made. Updates come from machines, which do not read.
func warnPod(new, old *corev1.Pod) []string {
	if old != nil {
		return nil
	}
	var texts []string
	if msgs := validation.IsDNS1123Label(new.Name); len(msgs) > 0 {
		texts = append(texts, fmt.Sprintf("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", msgs))
	}
	return append(texts, podWarnings(&new.ObjectMeta, &new.Spec, nil)...)
}
