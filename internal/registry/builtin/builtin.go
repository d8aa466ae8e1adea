// Package builtin lists the resources that Proa has by itself: one line each.
package builtin

import (
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/apps"
	"github.com/proa-dev/proa/internal/registry/authentication"
	"github.com/proa-dev/proa/internal/registry/authorization"
	"github.com/proa-dev/proa/internal/registry/autoscaling"
	"github.com/proa-dev/proa/internal/registry/batch"
	"github.com/proa-dev/proa/internal/registry/coordination"
	"github.com/proa-dev/proa/internal/registry/core"
	"github.com/proa-dev/proa/internal/registry/core/allocate"
	"github.com/proa-dev/proa/internal/registry/discovery"
	"github.com/proa-dev/proa/internal/registry/networking"
	"github.com/proa-dev/proa/internal/registry/policy"
	"github.com/proa-dev/proa/internal/registry/rbac"
	"github.com/proa-dev/proa/internal/registry/scheduling"
	"github.com/proa-dev/proa/internal/registry/storage"
)

// Options is what some resources need from the server.
type Options struct {
	// Services allocates addresses and node ports; nil is an allocator of its own over the default ranges.
	Services *allocate.Services
}

// Types returns the built-in resources, in the order in which discovery shows those of one group.
func Types(o Options) []*registry.Type {
	if o.Services == nil {
		o.Services = allocate.Default()
	}
	return []*registry.Type{
		core.Bindings.Erase(),
		core.ComponentStatuses.Erase(),
		core.ConfigMaps.Erase(),
		core.Endpoints.Erase(),
		core.Events.Erase(),
		core.LimitRanges.Erase(),
		core.Namespaces.Erase(),
		core.Nodes.Erase(),
		core.PersistentVolumeClaims.Erase(),
		core.PersistentVolumes.Erase(),
		core.Pods.Erase(),
		core.PodTemplates.Erase(),
		core.ReplicationControllers.Erase(),
		core.ResourceQuotas.Erase(),
		core.Secrets.Erase(),
		core.ServiceAccounts.Erase(),
		core.Services(o.Services).Erase(),
		authentication.SelfSubjectReviews.Erase(),
		authentication.TokenReviews.Erase(),
		authorization.LocalSubjectAccessReviews.Erase(),
		authorization.SelfSubjectAccessReviews.Erase(),
		authorization.SelfSubjectRulesReviews.Erase(),
		authorization.SubjectAccessReviews.Erase(),
		coordination.Leases.Erase(),
		discovery.EndpointSlices.Erase(),
		rbac.ClusterRoleBindings.Erase(),
		rbac.ClusterRoles.Erase(),
		rbac.RoleBindings.Erase(),
		rbac.Roles.Erase(),
		apps.ControllerRevisions.Erase(),
		apps.DaemonSets.Erase(),
		apps.Deployments.Erase(),
		apps.ReplicaSets.Erase(),
		apps.StatefulSets.Erase(),
		batch.CronJobs.Erase(),
		batch.Jobs.Erase(),
		autoscaling.HorizontalPodAutoscalers.Erase(),
		networking.IngressClasses.Erase(),
		networking.Ingresses.Erase(),
		networking.IPAddresses.Erase(),
		networking.NetworkPolicies.Erase(),
		networking.ServiceCIDRs.Erase(),
		policy.PodDisruptionBudgets.Erase(),
		scheduling.PriorityClasses.Erase(),
		storage.StorageClasses.Erase(),
	}
}
