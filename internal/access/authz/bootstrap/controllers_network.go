package bootstrap

import rbacv1 "k8s.io/api/rbac/v1"

// networkControllers look after services and addresses.
func networkControllers() []*rbacv1.ClusterRole {
	return []*rbacv1.ClusterRole{
		controllerRole("endpoint-controller",
			allow(read, core, "pods services"),
			allow("create delete get list update watch", core, "endpoints"),
			allow("create", core, "endpoints/restricted"),
			recordEvents(),
		),
		controllerRole("endpointslice-controller",
			allow(read, core, "nodes pods services"),
			allow("update", core, "services/finalizers"),
			allow("create delete get list update watch", discovery, "endpointslices"),
			recordEvents(),
		),
		controllerRole("endpointslicemirroring-controller",
			allow(read, core, "endpoints services"),
			allow("update", core, "services/finalizers"),
			allow("update", core, "endpoints/finalizers"),
			allow("create delete get list update watch", discovery, "endpointslices"),
			recordEvents(),
		),
		controllerRole("route-controller",
			allow(follow, core, "nodes"),
			allow("patch", core, "nodes/status"),
			recordEvents(),
		),
		controllerRole("service-controller",
			allow(read, core, "services"),
			allow(change, core, "services/status"),
			allow(follow, core, "nodes"),
			recordEvents(),
		),
		controllerRole("service-cidrs-controller",
			allow("get list patch update watch", networking, "servicecidrs"),
			allow(change, networking, "servicecidrs/finalizers"),
			allow(change, networking, "servicecidrs/status"),
			allow(read, networking, "ipaddresses"),
			recordEvents(),
		),
	}
}
