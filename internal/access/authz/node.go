package authz

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/proa-dev/proa/internal/access"
)

// Node authorizes kubelets: each to itself, to the pods that are bound to it, and to what these pods name.
//
// There is no graph of who names what, kept up to date with every change of every pod. A kubelet asks for
// few things, mostly when a pod starts; at that moment the pods of its one node are read, by index, and
// looked through.
type Node struct {
	related related
	// rules are for all that is not subdivided by node.
	rules *compiled
}

var (
	_ access.Authorizer = (*Node)(nil)
	_ access.RuleLister = (*Node)(nil)
)

// NewNode returns the authorizer. rules are those of the ClusterRole system:node.
func NewNode(objects access.Objects, rules []rbacv1.PolicyRule) *Node {
	return &Node{related{objects}, compile(rules)}
}

// NodeName is the node that the user is the agent of. ok is false for other users; the name may be empty.
func NodeName(u *access.User) (name string, ok bool) {
	name, ok = strings.CutPrefix(u.Name, access.NodeUserPrefix)
	return name, ok && slices.Contains(u.Groups, access.NodesGroup)
}

// Rules implements access.RuleLister.
func (*Node) Rules(_ context.Context, u *access.User, _ string) ([]access.Rule, string) {
	if _, ok := NodeName(u); ok {
		return nil, "node authorizer does not support user rule resolution"
	}
	return nil, ""
}

// Authorize implements access.Authorizer.
func (n *Node) Authorize(ctx context.Context, a *access.Attributes) (access.Decision, string, error) {
	node, ok := NodeName(a.User)
	if !ok {
		return access.NoOpinion, "", nil
	}
	if node == "" {
		return access.NoOpinion, fmt.Sprintf("unknown node for user %q", a.User.Name), nil
	}
	var reason string
	if check := n.checkOf(a); check != nil {
		reason, ok = check(ctx, node, a)
	} else {
		ok = n.rules.allows(a)
	}
	if ok {
		return access.Allow, "", nil
	}
	return access.NoOpinion, reason, nil
}

// check decides on a request of a node's agent. The reason is for a no.
type check func(ctx context.Context, node string, a *access.Attributes) (reason string, ok bool)

// checkOf finds the check of a resource that is subdivided by node, nil for others.
func (n *Node) checkOf(a *access.Attributes) check {
	if !a.IsResource {
		return nil
	}
	switch (schema.GroupResource{Group: a.Group, Resource: a.Resource}) {
	case secrets, configMaps:
		return n.readNamed
	case claims:
		if a.Subresource == "status" {
			return n.updateStatus
		}
		return n.get
	case volumes, resourceClaims, attachments:
		return n.get
	case serviceAccounts:
		return n.account
	case leases:
		return ownLease
	case csiNodes:
		return ownCSINode
	case deviceSlices:
		return n.slice
	case nodes:
		return ownNode
	case pods:
		return n.pod
	}
	return nil
}

func (n *Node) isRelated(ctx context.Context, node string, a *access.Attributes) (string, bool) {
	if a.Name == "" {
		return "No Object name found", false
	}
	if !n.related.to(ctx, node, schema.GroupResource{Group: a.Group, Resource: a.Resource}, a.Namespace, a.Name) {
		return fmt.Sprintf("no relationship found between node '%s' and this object", node), false
	}
	return "", true
}

func (n *Node) readNamed(ctx context.Context, node string, a *access.Attributes) (string, bool) {
	switch {
	case a.Verb != "get" && a.Verb != "list" && a.Verb != "watch":
		return "can only read resources of this type", false
	case a.Subresource != "":
		return "cannot read subresource", false
	case a.Namespace == "":
		return "can only read namespaced object of this type", false
	}
	return n.isRelated(ctx, node, a)
}

func (n *Node) get(ctx context.Context, node string, a *access.Attributes) (string, bool) {
	if a.Verb != "get" {
		return "can only get individual resources of this type", false
	}
	if a.Subresource != "" {
		return "cannot get subresource", false
	}
	return n.isRelated(ctx, node, a)
}

func (n *Node) updateStatus(ctx context.Context, node string, a *access.Attributes) (string, bool) {
	if a.Verb != "update" && a.Verb != "patch" {
		return "can only get/update/patch this type", false
	}
	return n.isRelated(ctx, node, a)
}

func (n *Node) account(ctx context.Context, node string, a *access.Attributes) (string, bool) {
	switch {
	case a.Verb == "get" && a.Subresource == "":
		return n.readNamed(ctx, node, a)
	case a.Verb != "create" || a.Name == "":
		return "can only create tokens for individual service accounts", false
	case a.Subresource != "token":
		return "can only create token subresource of serviceaccount", false
	}
	return n.isRelated(ctx, node, a)
}

func ownLease(_ context.Context, node string, a *access.Attributes) (string, bool) {
	switch {
	case !slices.Contains([]string{"get", "create", "update", "patch", "delete"}, a.Verb):
		return "can only get, create, update, patch, or delete a node lease", false
	case a.Namespace != "kube-node-lease":
		return `can only access leases in the "kube-node-lease" system namespace`, false
	// The name of a new one is not known yet; admission checks it.
	case a.Verb != "create" && a.Name != node:
		return "can only access node lease with the same name as the requesting node", false
	}
	return "", true
}

func ownCSINode(_ context.Context, node string, a *access.Attributes) (string, bool) {
	switch {
	case !slices.Contains([]string{"get", "create", "update", "patch", "delete"}, a.Verb):
		return "can only get, create, update, patch, or delete a CSINode", false
	case a.Subresource != "":
		return "cannot authorize CSINode subresources", false
	case a.Verb != "create" && a.Name != node:
		return "can only access CSINode with the same name as the requesting node", false
	}
	return "", true
}

func (n *Node) slice(ctx context.Context, node string, a *access.Attributes) (string, bool) {
	if a.Subresource != "" {
		return "cannot authorize ResourceSlice subresources", false
	}
	switch a.Verb {
	case "create":
		return "", true
	case "get", "update", "patch", "delete":
		return n.isRelated(ctx, node, a)
	case "watch", "list", "deletecollection":
		return "can only list/watch/deletecollection resourceslices with nodeName field selector", selects(a, "spec.nodeName", node)
	}
	return "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection", false
}

func ownNode(_ context.Context, node string, a *access.Attributes) (string, bool) {
	switch a.Subresource + " " + a.Verb {
	case " create", " update", " patch", "status update", "status patch":
		return "", true
	case " get", " list", " watch":
		if a.Name == "" {
			return fmt.Sprintf("node '%s' cannot read all nodes, only its own Node object", node), false
		}
		return fmt.Sprintf("node '%s' cannot read '%s', only its own Node object", node, a.Name), a.Name == node
	}
	return "", false
}

// pod: what a node may write of its pods is for admission to say, which sees them.
func (n *Node) pod(ctx context.Context, node string, a *access.Attributes) (string, bool) {
	switch a.Subresource + " " + a.Verb {
	case " create", " delete", "status update", "status patch", "eviction create":
		return "", true
	case " get":
		return n.isRelated(ctx, node, a)
	case " list", " watch":
		if selects(a, "spec.nodeName", node) {
			return "", true
		}
		if a.Name != "" {
			return n.isRelated(ctx, node, a)
		}
		return "can only list/watch pods with spec.nodeName field selector", false
	}
	return "", false
}

func selects(a *access.Attributes, field, value string) bool {
	return slices.ContainsFunc(a.Fields, func(r fields.Requirement) bool {
		return r.Field == field && r.Value == value && r.Operator == selection.Equals
	})
}
