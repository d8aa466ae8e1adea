package admission

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/authz"
)

// Options of the chain.
type Options struct {
	Objects    access.Objects
	Authorizer access.Authorizer
	// RBAC is nil where roles decide nothing; escalation is not checked then.
	RBAC *authz.RBAC
	// Resource finds the resource of a kind, and whether it is namespaced.
	Resource func(kind schema.GroupVersionKind) (resource schema.GroupVersionResource, namespaced bool, err error)
	// Enable and Disable are names of plugins that are off and on by default.
	Enable, Disable []string
}

// New returns the plugins that are on, in the order in which they run.
func New(o Options) (Chain, error) {
	type entry struct {
		Plugin
		on bool
	}
	all := []entry{
		{NamespaceLifecycle{o.Objects}, true},
		{LimitRanger{o.Objects}, true},
		{ServiceAccount{o.Objects}, true},
		{TaintNodesByCondition{}, true},
		{NewPriority(o.Objects), true},
		{DefaultTolerationSeconds{}, true},
		{OwnerReferencesPermissionEnforcement{o.Authorizer, o.Resource}, false},
	}
	var chain Chain
	var names []string
	for _, e := range all {
		names = append(names, e.Name())
		if e.on && !slices.Contains(o.Disable, e.Name()) || slices.Contains(o.Enable, e.Name()) {
			chain = append(chain, e.Plugin)
		}
	}
	for _, name := range slices.Concat(o.Enable, o.Disable) {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("admission: there is no plugin %q; there are %s", name, strings.Join(names, ", "))
		}
		if slices.Contains(o.Enable, name) && slices.Contains(o.Disable, name) {
			return nil, fmt.Errorf("admission: plugin %q is both enabled and disabled", name)
		}
	}
	if o.RBAC != nil {
		chain = append(chain, RoleEscalation{authz.Escalation{RBAC: o.RBAC, Authorizer: o.Authorizer}})
	}
	return chain, nil
}
