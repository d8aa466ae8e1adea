package ownership

import (
	"strings"

	"github.com/proa-dev/proa/internal/registry"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// reset says which fields a write through a subresource cannot change, because the resource sets them back:
// nobody gains or loses them by it.
type reset struct {
	exclude [][]string
	include [][]string // if not nil, the only fields it can change; "*" stands for every list item
}

// resets that are not the common ones, which are status for the object and spec for its status. The fields
// of a reset are words with dots.
var resets = map[string]string{
	"certificatesigningrequests.certificates.k8s.io":          "spec status",
	"certificatesigningrequests.certificates.k8s.io/status":   "spec status.conditions",
	"certificatesigningrequests.certificates.k8s.io/approval": "spec status.certificate",
	"podcertificaterequests.certificates.k8s.io":              "",
	"pods/status":             "spec metadata.deletionTimestamp metadata.ownerReferences",
	"deployments.apps/status": "spec metadata.labels",
	"namespaces/finalize":     "status",
	"validatingadmissionpolicies.admissionregistration.k8s.io/status": "metadata spec",
	"storageversions.internal.apiserver.k8s.io/status":                "metadata spec",
	"flowschemas.flowcontrol.apiserver.k8s.io/status":                 "metadata spec",
	"prioritylevelconfigurations.flowcontrol.apiserver.k8s.io/status": "metadata spec",
	"servicecidrs.networking.k8s.io/status":                           "metadata spec",
	"devicetaintrules.resource.k8s.io/status":                         "metadata spec",
	"resourceclaims.resource.k8s.io/status":                           "metadata spec",
	"resourcepoolstatusrequests.resource.k8s.io/status":               "metadata spec",
	"podgroups.scheduling.k8s.io/status":                              "metadata spec",
	"volumeattachments.storage.k8s.io/status":                         "metadata spec",
	"storageversionmigrations.storagemigration.k8s.io/status":         "metadata spec",
}

// includes of the subresources that change a few fields only.
var includes = map[string][][]string{
	"pods/ephemeralcontainers": {{"spec", "ephemeralContainers"}},
	// Kubernetes names resizePolicy too, but its matcher keeps only the first path below each "*".
	"pods/resize": {{"spec", "containers", "*", "resources"}, {"spec", "initContainers", "*", "resources"}},
}

// resetOf finds the rule of a subresource, "" for the object itself.
func resetOf(t *registry.Type, subresource string, custom bool) reset {
	name := t.GroupResource().String()
	if subresource != "" {
		name += "/" + subresource
	}
	if include, ok := includes[name]; ok {
		return reset{include: include}
	}
	if words, ok := resets[name]; ok {
		return excluding(words)
	}
	switch {
	case subresource == "status" && custom:
		return excluding("metadata spec")
	case subresource == "status":
		return excluding("spec")
	case subresource == "" && t.Status != nil:
		return excluding("status")
	}
	return reset{}
}

func excluding(words string) reset {
	var r reset
	for _, path := range strings.Fields(words) {
		r.exclude = append(r.exclude, strings.Split(path, "."))
	}
	return r
}

// filter is the same rule for the library; nil resets nothing.
func (r reset) filter() fieldpath.Filter {
	if r.include != nil {
		var matchers []*fieldpath.SetMatcher
		for _, path := range r.include {
			matchers = append(matchers, fieldpath.MakePrefixMatcherOrDie(matcherParts(path)...))
		}
		return fieldpath.NewIncludeMatcherFilter(matchers...)
	}
	if len(r.exclude) == 0 {
		return nil
	}
	set := fieldpath.NewSet()
	for _, path := range r.exclude {
		var p fieldpath.Path
		for _, name := range path {
			p = append(p, fieldpath.FieldNameElement(name))
		}
		set.Insert(p)
	}
	return fieldpath.NewExcludeSetFilter(set)
}

func matcherParts(path []string) []any {
	parts := make([]any, len(path))
	for i, name := range path {
		parts[i] = any(name)
		if name == "*" {
			parts[i] = fieldpath.MatchAnyPathElement()
		}
	}
	return parts
}
