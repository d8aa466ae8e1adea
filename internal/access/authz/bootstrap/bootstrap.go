// Package bootstrap has the roles and bindings that every cluster has from its start on, and how they are
// kept: what is missing is added, what an administrator added stays.
//
// The roles stand in files by who they are for. What they grant is Kubernetes' own (KEP-2784 and before)
// and compared with it in the tests, rule by rule.
package bootstrap

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// API groups by the names that the roles here use for them; the core group's own name is empty.
const (
	core                  = "core"
	admissionregistration = "admissionregistration.k8s.io"
	apps                  = "apps"
	appsAndExtensions     = "apps extensions"
	authentication        = "authentication.k8s.io"
	authorization         = "authorization.k8s.io"
	autoscaling           = "autoscaling"
	batch                 = "batch"
	certificates          = "certificates.k8s.io"
	coordination          = "coordination.k8s.io"
	coreEvents            = "core events.k8s.io"
	discovery             = "discovery.k8s.io"
	extensions            = "extensions"
	networking            = "networking.k8s.io"
	nodeGroup             = "node.k8s.io"
	policy                = "policy"
	rbac                  = "rbac.authorization.k8s.io"
	resource              = "resource.k8s.io"
	storage               = "storage.k8s.io"
)

// Verbs that often go together.
const (
	every     = "*"
	read      = "get list watch"
	follow    = "list watch"
	change    = "patch update"
	emit      = "create patch update"
	write     = "create delete deletecollection patch update"
	readWrite = "create delete deletecollection get list patch update watch"
)

const (
	aggregateLabel   = "rbac.authorization.k8s.io/aggregate-to-"
	controllerPrefix = "system:controller:"
)

// ClusterRoles of every cluster.
func ClusterRoles() []*rbacv1.ClusterRole {
	var all []*rbacv1.ClusterRole
	for _, part := range []func() []*rbacv1.ClusterRole{people, visitors, nodes, components, certificateRoles, controllers} {
		all = append(all, part()...)
	}
	return all
}

// Roles of kube-system and kube-public.
func Roles() []*rbacv1.Role { return namespaced() }

func controllers() []*rbacv1.ClusterRole {
	var all []*rbacv1.ClusterRole
	for _, part := range []func() []*rbacv1.ClusterRole{workloadControllers, volumeControllers, networkControllers, clusterControllers} {
		all = append(all, part()...)
	}
	return all
}

// allow is a rule on resources. Verbs, groups and resources are lists of words.
func allow(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
	r := rbacv1.PolicyRule{
		Verbs: strings.Fields(verbs), APIGroups: strings.Fields(groups), Resources: strings.Fields(resources),
		ResourceNames: names,
	}
	for i, g := range r.APIGroups {
		if g == core {
			r.APIGroups[i] = ""
		}
	}
	return r
}

// visit is a rule on paths that are no resources.
func visit(verbs, paths string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Fields(verbs), NonResourceURLs: strings.Fields(paths)}
}

func recordEvents() rbacv1.PolicyRule { return allow(emit, coreEvents, "events") }

func clusterRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: meta("", name), Rules: rules}
}

func controllerRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return clusterRole(controllerPrefix+name, rules...)
}

func role(namespace, name string, rules ...rbacv1.PolicyRule) *rbacv1.Role {
	return &rbacv1.Role{ObjectMeta: meta(namespace, name), Rules: rules}
}

// aggregated makes the role gather the rules of all roles that are labelled for it.
func aggregated(r *rbacv1.ClusterRole, name string) *rbacv1.ClusterRole {
	r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
		{MatchLabels: map[string]string{aggregateLabel + name: "true"}},
	}}
	return r
}

// label makes an aggregated role gather this one's rules.
func label(r *rbacv1.ClusterRole, aggregate string) *rbacv1.ClusterRole {
	r.Labels[aggregateLabel+aggregate] = "true"
	return r
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name,
		Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
}

// NodeRules are those of the ClusterRole system:node, which the node authorizer applies to kubelets.
func NodeRules() []rbacv1.PolicyRule {
	for _, r := range nodes() {
		if r.Name == "system:node" {
			return r.Rules
		}
	}
	panic("bootstrap: there is no ClusterRole system:node")
}
