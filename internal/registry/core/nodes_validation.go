package core

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"

	"github.com/proa-dev/proa/internal/registry/field"
)

var podCIDRsPath = field.NewPath("spec", "podCIDRs")

func validateNode(n *corev1.Node) field.ErrorList {
	// Clients know the paths of taints and swap below metadata.
	meta := field.NewPath("metadata")
	errs := validateNodeAnnotations(n)
	errs = append(errs, validateTaints(n.Spec.Taints, meta.Child("taints"))...)
	errs = append(errs, validateNodeResources(n)...)
	if swap := n.Status.NodeInfo.Swap; swap != nil && swap.Capacity != nil && *swap.Capacity <= 0 {
		errs = append(errs, field.Invalid(meta.Child("nodeSwapStatus", "capacity"), *swap.Capacity, "must be greater than zero"))
	}
	errs = append(errs, validateDeclaredFeatures(n.Status.DeclaredFeatures)...)
	return append(errs, validatePodCIDRs(n.Spec.PodCIDRs)...)
}

func validateNodeStatus(new, old *corev1.Node) field.ErrorList {
	errs := validateNodeAnnotations(new)
	errs = append(errs, validateNodeResources(new)...)
	errs = append(errs, validateDeclaredFeatures(new.Status.DeclaredFeatures)...)
	return append(errs, validateNodeUpdate(new, old)...)
}

func validatePodCIDRs(cidrs []string) field.ErrorList {
	var errs field.ErrorList
	for i, cidr := range cidrs {
		errs = append(errs, checkNewCIDR(cidr, nil, podCIDRsPath.Index(i))...)
	}
	if len(cidrs) < 2 {
		return errs
	}
	dual, err := netutils.IsDualStackCIDRStrings(cidrs)
	if err != nil {
		errs = append(errs, field.InternalError(podCIDRsPath, fmt.Errorf("invalid PodCIDRs. failed to check with dual stack with error:%v", err)))
	}
	if !dual || len(cidrs) > 2 {
		errs = append(errs, field.Invalid(podCIDRsPath, cidrs, "may specify no more than one CIDR for each IP family"))
	}
	return errs
}

func validateNodeResources(n *corev1.Node) field.ErrorList {
	var errs field.ErrorList
	for _, name := range sortedResources(n.Status.Capacity) {
		errs = append(errs, checkResourceQuantity(name, n.Status.Capacity[name], field.NewPath("status", "capacity", string(name)))...)
	}
	for _, name := range sortedResources(n.Status.Allocatable) {
		errs = append(errs, checkResourceQuantity(name, n.Status.Allocatable[name], field.NewPath("status", "allocatable", string(name)))...)
	}
	return errs
}

// shownTaint is a taint as error texts show it: with Go's names.
type shownTaint struct {
	Key, Value string
	Effect     corev1.TaintEffect
	TimeAdded  *metav1.Time
}

var taintEffects = []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}

func validateTaints(taints []corev1.Taint, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, t := range taints {
		path := path.Index(i)
		errs = append(errs, metavalidation.ValidateLabelName(t.Key, path.Child("key").Common())...)
		if msgs := validation.IsValidLabelValue(t.Value); len(msgs) > 0 {
			errs = append(errs, field.Invalid(path.Child("value"), t.Value, strings.Join(msgs, ";")))
		}
		if t.Effect == "" {
			errs = append(errs, field.Required(path.Child("effect"), ""))
		} else if !slices.Contains(taintEffects, t.Effect) {
			errs = append(errs, field.NotSupported(path.Child("effect"), t.Effect, taintEffects))
		}
		same := func(u corev1.Taint) bool { return u.Key == t.Key && u.Effect == t.Effect }
		if slices.ContainsFunc(taints[:i], same) {
			twice := field.Duplicate(path, shownTaint(t))
			twice.Detail = "taints must be unique by key and effect pair"
			errs = append(errs, twice)
		}
	}
	return errs
}

const (
	taintsAnnotation    = "scheduler.alpha.kubernetes.io/taints"
	avoidPodsAnnotation = corev1.PreferAvoidPodsAnnotationKey
)

// validateNodeAnnotations checks two fields of old that were annotations.
func validateNodeAnnotations(n *corev1.Node) field.ErrorList {
	annotations, path := n.Annotations, field.NewPath("metadata", "annotations")
	var errs field.ErrorList
	if text := annotations[taintsAnnotation]; text != "" {
		var taints []corev1.Taint
		if err := json.Unmarshal([]byte(text), &taints); err != nil {
			errs = append(errs, field.Invalid(path, taintsAnnotation, err.Error()))
		} else {
			errs = append(errs, validateTaints(taints, path.Child(taintsAnnotation))...)
		}
	}
	text := annotations[avoidPodsAnnotation]
	if text == "" {
		return errs
	}
	var avoid corev1.AvoidPods
	if err := json.Unmarshal([]byte(text), &avoid); err != nil {
		return append(errs, field.Invalid(path.Child("AvoidPods"), avoidPodsAnnotation, err.Error()))
	}
	for i, entry := range avoid.PreferAvoidPods {
		path := path.Child(avoidPodsAnnotation).Index(i).Child("PodSignature")
		owner := entry.PodSignature.PodController
		if owner == nil {
			errs = append(errs, field.Required(path, ""))
		} else if owner.Controller == nil || !*owner.Controller {
			errs = append(errs, field.Invalid(path.Child("PodController").Child("Controller"), false, "must point to a controller"))
		}
	}
	return errs
}

var declaredFeature = regexp.MustCompile(`^[A-Z][a-zA-Z0-9]*(\/[a-zA-Z][a-zA-Z0-9]*)*$`)

func validateDeclaredFeatures(features []string) field.ErrorList {
	path := field.NewPath("status", "declaredFeatures")
	var errs field.ErrorList
	for i, feature := range features {
		if len(feature) > validation.DNS1123SubdomainMaxLength {
			errs = append(errs, field.Invalid(path.Index(i), feature,
				fmt.Sprintf("invalid feature name %q: must be no more than %d characters", feature, validation.DNS1123SubdomainMaxLength)))
		} else if !declaredFeature.MatchString(feature) {
			errs = append(errs, field.Invalid(path.Index(i), feature, fmt.Sprintf("invalid feature name %q: must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes", feature)))
		}
		if i == 0 {
			continue
		}
		if before := features[i-1]; before == feature {
			errs = append(errs, field.Duplicate(path.Index(i), feature))
		} else if before > feature {
			errs = append(errs, field.Invalid(path.Index(i), feature, "list must be sorted alphabetically"))
		}
	}
	return errs
}

// shownNodeAddress is an address as error texts show it: with Go's names.
type shownNodeAddress struct {
	Type    corev1.NodeAddressType
	Address string
}

func validateNodeUpdate(new, old *corev1.Node) field.ErrorList {
	var errs field.ErrorList
	for i, a := range new.Status.Addresses {
		if slices.Contains(new.Status.Addresses[:i], a) {
			errs = append(errs, field.Duplicate(field.NewPath("status", "addresses").Index(i), shownNodeAddress(a)))
		}
	}
	if len(old.Spec.PodCIDRs) > 0 && !slices.Equal(old.Spec.PodCIDRs, new.Spec.PodCIDRs) {
		errs = append(errs, field.Forbidden(podCIDRsPath, `node updates may not change podCIDR except from "" to valid`))
	}
	if old.Spec.ProviderID != "" && old.Spec.ProviderID != new.Spec.ProviderID {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "providerID"), `node updates may not change providerID except from "" to valid`))
	}
	errs = append(errs, validateNodeConfig(new)...)
	if new.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "externalID"), "may not be updated"))
	}
	return errs
}

// validateNodeConfig checks what is left of dynamic kubelet configuration, a feature that is gone.
func validateNodeConfig(n *corev1.Node) field.ErrorList {
	var errs field.ErrorList
	check := func(source *corev1.NodeConfigSource, path *field.Path, spec bool) {
		if source == nil {
			return
		}
		if source.ConfigMap == nil {
			errs = append(errs, field.Invalid(path, source, "exactly one reference subfield must be non-nil"))
			return
		}
		errs = append(errs, validateNodeConfigMap(source.ConfigMap, path.Child("configMap"), spec)...)
	}
	check(n.Spec.ConfigSource, field.NewPath("spec", "configSource"), true)
	if c, path := n.Status.Config, field.NewPath("status", "config"); c != nil {
		check(c.Assigned, path.Child("assigned"), false)
		check(c.Active, path.Child("active"), false)
		check(c.LastKnownGood, path.Child("lastKnownGood"), false)
	}
	return errs
}

func validateNodeConfigMap(m *corev1.ConfigMapNodeConfigSource, path *field.Path, spec bool) field.ErrorList {
	var errs field.ErrorList
	required := func(name, value string, syntax func(string) []string) {
		if value == "" {
			errs = append(errs, field.Required(path.Child(name), ""))
		} else if syntax != nil {
			errs = append(errs, invalids(path.Child(name), value, syntax(value))...)
		}
	}
	if spec {
		if m.UID != "" {
			errs = append(errs, field.Forbidden(path.Child("uid"), "uid must not be set in spec"))
		}
		if m.ResourceVersion != "" {
			errs = append(errs, field.Forbidden(path.Child("resourceVersion"), "resourceVersion must not be set in spec"))
		}
	} else {
		required("uid", string(m.UID), nil)
		required("resourceVersion", m.ResourceVersion, nil)
	}
	required("namespace", m.Namespace, func(s string) []string { return apivalidation.ValidateNamespaceName(s, false) })
	required("name", m.Name, validation.IsDNS1123Subdomain)
	required("kubeletConfigKey", m.KubeletConfigKey, validation.IsConfigMapKey)
	return errs
}
