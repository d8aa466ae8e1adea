package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
	"github.com/proa-dev/proa/internal/registry/plain"
)

const (
	schedulingRequired  = "requiredDuringSchedulingIgnoredDuringExecution"
	schedulingPreferred = "preferredDuringSchedulingIgnoredDuringExecution"
)

func (c *podSpecCheck) checkAffinity() {
	a, path := c.spec.Affinity, c.path.Child("affinity")
	if a == nil {
		return
	}
	if n := a.NodeAffinity; n != nil {
		c.checkNodeAffinity(n, path.Child("nodeAffinity"))
	}
	if p := a.PodAffinity; p != nil {
		c.checkPodTerms(p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution, path.Child("podAffinity"))
	}
	if p := a.PodAntiAffinity; p != nil {
		c.checkPodTerms(p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution, path.Child("podAntiAffinity"))
	}
}

func (e *podErrors) checkNodeAffinity(n *corev1.NodeAffinity, path *field.Path) {
	if s := n.RequiredDuringSchedulingIgnoredDuringExecution; s != nil {
		e.add(validateNodeSelector(s, path.Child(schedulingRequired))...)
	}
	for i, t := range n.PreferredDuringSchedulingIgnoredDuringExecution {
		at := path.Child(schedulingPreferred).Index(i)
		e.checkWeight(t.Weight, at)
		// A preference for a value that no node can have is of no use, but has always been accepted.
		e.checkNodeTerm(&t.Preference, true, at.Child("preference"))
	}
}

// validateNodeSelector checks a choice of nodes, as pods, volumes and others have it.
func validateNodeSelector(s *corev1.NodeSelector, path *field.Path) field.ErrorList {
	var e podErrors
	at := path.Child("nodeSelectorTerms")
	if len(s.NodeSelectorTerms) == 0 {
		e.required(at, "must have at least one node selector term")
	}
	for i := range s.NodeSelectorTerms {
		e.checkNodeTerm(&s.NodeSelectorTerms[i], false, at.Index(i))
	}
	return e.list
}

func (e *podErrors) checkWeight(w int32, path *field.Path) {
	if w < 1 || w > 100 {
		e.invalid(path.Child("weight"), w, "must be in the range 1-100")
	}
}

func (e *podErrors) checkNodeTerm(t *corev1.NodeSelectorTerm, anyValue bool, path *field.Path) {
	for i := range t.MatchExpressions {
		e.checkNodeRequirement(&t.MatchExpressions[i], anyValue, path.Child("matchExpressions").Index(i))
	}
	for i := range t.MatchFields {
		e.checkNodeFieldRequirement(&t.MatchFields[i], path.Child("matchFields").Index(i))
	}
}

func (e *podErrors) checkNodeRequirement(r *corev1.NodeSelectorRequirement, anyValue bool, path *field.Path) {
	values := path.Child("values")
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			e.required(values, "must be specified when `operator` is 'In' or 'NotIn'")
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			e.forbid(values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			e.required(values, "must be specified single value when `operator` is 'Lt' or 'Gt'")
		}
	default:
		e.invalid(path.Child("operator"), r.Operator, "not a valid selector operator")
	}
	e.add(metavalidation.ValidateLabelName(r.Key, path.Child("key").Common())...)
	if anyValue {
		return
	}
	for i, v := range r.Values {
		e.invalid(values.Index(i), v, validation.IsValidLabelValue(v)...)
	}
}

// checkNodeFieldRequirement covers selection by a node's field, of which its name is the only one.
func (e *podErrors) checkNodeFieldRequirement(r *corev1.NodeSelectorRequirement, path *field.Path) {
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) != 1 {
			e.required(path.Child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector")
		}
	default:
		e.invalid(path.Child("operator"), r.Operator, "not a valid selector operator")
	}
	if r.Key != metav1.ObjectNameField {
		e.invalid(path.Child("key"), r.Key, "not a valid field selector key")
		return
	}
	for i, v := range r.Values {
		e.invalid(path.Child("values").Index(i), v, apivalidation.NameIsDNSSubdomain(v, false)...)
	}
}

func (e *podErrors) checkPodTerms(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm, path *field.Path) {
	for i := range required {
		e.checkPodTerm(&required[i], path.Child(schedulingRequired).Index(i))
	}
	for i := range preferred {
		at := path.Child(schedulingPreferred).Index(i)
		e.checkWeight(preferred[i].Weight, at)
		e.checkPodTerm(&preferred[i].PodAffinityTerm, at.Child("podAffinityTerm"))
	}
}

func (e *podErrors) checkPodTerm(t *corev1.PodAffinityTerm, path *field.Path) {
	strict := metavalidation.LabelSelectorValidationOptions{}
	e.add(metavalidation.ValidateLabelSelector(t.LabelSelector, strict, path.Child("labelSelector").Common())...)
	e.add(metavalidation.ValidateLabelSelector(t.NamespaceSelector, strict, path.Child("namespaceSelector").Common())...)
	for _, n := range t.Namespaces {
		e.invalid(path.Child("namespace"), n, apivalidation.ValidateNamespaceName(n, false)...)
	}
	e.checkLabelKeys(t.MatchLabelKeys, t.MismatchLabelKeys, t.LabelSelector, path)
	if t.TopologyKey == "" {
		e.required(path.Child("topologyKey"), "can not be empty")
	}
	e.add(metavalidation.ValidateLabelName(t.TopologyKey, path.Child("topologyKey").Common())...)
}

// checkLabelKeys covers keys whose values are taken from the pod's own labels and added to the selector. By
// now they have been added, so a key that was in the selector before is in it twice.
func (e *podErrors) checkLabelKeys(match, mismatch []string, selector *metav1.LabelSelector, path *field.Path) {
	e.checkLabelKeyList(match, selector, path.Child("matchLabelKeys"))
	e.checkLabelKeyList(mismatch, selector, path.Child("mismatchLabelKeys"))
	if selector != nil {
		at := map[string]int{}
		for i, k := range match {
			at[k] = i
		}
		seen := sets.KeySet(selector.MatchLabels)
		for _, x := range selector.MatchExpressions {
			if i, ok := at[x.Key]; ok && seen.Has(x.Key) {
				e.invalid(path.Index(i), x.Key, "exists in both matchLabelKeys and labelSelector")
			}
			seen.Insert(x.Key)
		}
	}
	excluded := sets.New(mismatch...)
	for i, k := range match {
		if excluded.Has(k) {
			e.invalid(path.Child("matchLabelKeys").Index(i), k, "exists in both matchLabelKeys and mismatchLabelKeys")
		}
	}
}

func (e *podErrors) checkLabelKeyList(keys []string, selector *metav1.LabelSelector, path *field.Path) {
	if len(keys) > 0 && selector == nil {
		e.forbid(path, "must not be specified when labelSelector is not set")
		return
	}
	for i, k := range keys {
		e.add(metavalidation.ValidateLabelName(k, path.Index(i).Common())...)
	}
}

func (c *podSpecCheck) checkTopologySpread() {
	constraints := c.spec.TopologySpreadConstraints
	for i := range constraints {
		t, path := &constraints[i], c.path.Child("topologySpreadConstraints").Index(i)
		c.checkPositive(t.MaxSkew, path.Child("maxSkew"))
		if t.TopologyKey == "" {
			c.required(path.Child("topologyKey"), "can not be empty")
		}
		knownOf(&c.podErrors, path.Child("whenUnsatisfiable"), t.WhenUnsatisfiable, corev1.DoNotSchedule, corev1.ScheduleAnyway)
		for j := i + 1; j < len(constraints); j++ {
			if o := &constraints[j]; o.TopologyKey == t.TopologyKey && o.WhenUnsatisfiable == t.WhenUnsatisfiable {
				c.duplicate(path.Child("{topologyKey, whenUnsatisfiable}"), fmt.Sprintf("{%v, %v}", t.TopologyKey, t.WhenUnsatisfiable))
				break
			}
		}
		if m := t.MinDomains; m != nil {
			c.checkPositive(*m, path.Child("minDomains"))
			if t.WhenUnsatisfiable != corev1.DoNotSchedule {
				c.invalid(path.Child("minDomains"), *m,
					fmt.Sprintf("can only use minDomains if whenUnsatisfiable=%s, not %s", corev1.DoNotSchedule, t.WhenUnsatisfiable))
			}
		}
		c.checkInclusion(t.NodeAffinityPolicy, path.Child("nodeAffinityPolicy"))
		c.checkInclusion(t.NodeTaintsPolicy, path.Child("nodeTaintsPolicy"))
		c.checkLabelKeys(t.MatchLabelKeys, nil, t.LabelSelector, path)
		c.add(metavalidation.ValidateLabelSelector(t.LabelSelector, metavalidation.LabelSelectorValidationOptions{}, path.Child("labelSelector").Common())...)
	}
}

func (e *podErrors) checkInclusion(p *corev1.NodeInclusionPolicy, path *field.Path) {
	if p != nil {
		knownOf(e, path, *p, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)
	}
}

func (e *podErrors) checkPositive(n int32, path *field.Path) {
	if n <= 0 {
		e.invalid(path, int64(n), "must be greater than zero")
	}
}

func (c *podSpecCheck) checkTolerations() {
	c.add(validateTolerations(c.spec.Tolerations, c.path.Child("tolerations"))...)
}

func validateTolerations(tolerations []corev1.Toleration, path *field.Path) field.ErrorList {
	var e podErrors
	for i := range tolerations {
		e.checkToleration(&tolerations[i], path.Index(i))
	}
	return e.list
}

func (e *podErrors) checkToleration(t *corev1.Toleration, path *field.Path) {
	operator := path.Child("operator")
	if t.Key != "" {
		if !plain.LabelKey(t.Key) {
			e.add(metavalidation.ValidateLabelName(t.Key, path.Child("key").Common())...)
		}
	} else if t.Operator != corev1.TolerationOpExists {
		e.invalid(operator, t.Operator, "operator must be Exists when `key` is empty, which means \"match all values and all keys\"")
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		e.invalid(path.Child("effect"), t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
	}
	switch t.Operator {
	case corev1.TolerationOpEqual, "":
		if !plain.LabelValue(t.Value) {
			e.invalid(operator, t.Value, strings.Join(validation.IsValidLabelValue(t.Value), ";"))
		}
	case corev1.TolerationOpExists:
		if t.Value != "" {
			e.invalid(operator, t.Value, "value must be empty when `operator` is 'Exists'")
		}
	case corev1.TolerationOpLt, corev1.TolerationOpGt:
		e.add(field.NotSupported(operator, t.Operator, []corev1.TolerationOperator{
			corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpLt, corev1.TolerationOpGt}))
	default:
		knownOf(e, operator, t.Operator, corev1.TolerationOpEqual, corev1.TolerationOpExists)
	}
	if t.Effect != "" {
		knownOf(e, path.Child("effect"), t.Effect,
			corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
	}
}

// checkGates covers what holds a pod back: from being scheduled, and from being ready.
func (c *podSpecCheck) checkGates() {
	for i, g := range c.spec.ReadinessGates {
		t := string(g.ConditionType)
		c.invalid(c.path.Child("readinessGates").Index(i).Child("conditionType"), t, validation.IsQualifiedName(t)...)
	}
	seen := sets.New[string]()
	for i, g := range c.spec.SchedulingGates {
		at := c.path.Child("schedulingGates").Index(i)
		c.invalid(at, g.Name, validation.IsQualifiedName(g.Name)...)
		if seen.Has(g.Name) {
			c.duplicate(at, g.Name)
		}
		seen.Insert(g.Name)
	}
}
