package bootstrap

import rbacv1 "k8s.io/api/rbac/v1"

// people are the roles that administrators bind to users: cluster-admin, and the three that are
// aggregated from all roles with their label, so that an extension adds to them by labelling its own.
func people() []*rbacv1.ClusterRole {
	return []*rbacv1.ClusterRole{
		clusterRole("cluster-admin",
			allow(every, every, every),
			visit("*", "*"),
		),
		aggregated(clusterRole("admin"), "admin"),
		label(aggregated(clusterRole("edit"), "edit"), "admin"),
		label(aggregated(clusterRole("view"), "view"), "edit"),
		label(clusterRole("system:aggregate-to-admin",
			allow("create", authorization, "localsubjectaccessreviews"),
			allow(readWrite, rbac, "rolebindings roles"),
		), "admin"),
		label(clusterRole("system:aggregate-to-edit",
			allow(read, core, "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
			allow("impersonate", core, "serviceaccounts"),
			allow(write, core, "pods pods/attach pods/exec pods/portforward pods/proxy"),
			allow("create", core, "pods/eviction"),
			allow(write, core,
				"configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale "+
					"secrets serviceaccounts services services/proxy"),
			allow("create", core, "serviceaccounts/token"),
			allow(write, coreEvents, "events"),
			allow(write, apps,
				"daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale "+
					"statefulsets statefulsets/scale"),
			allow(write, autoscaling, "horizontalpodautoscalers"),
			allow(write, batch, "cronjobs jobs"),
			allow(write, extensions,
				"daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies "+
					"replicasets replicasets/scale replicationcontrollers/scale"),
			allow(write, policy, "poddisruptionbudgets"),
			allow(write, networking, "ingresses networkpolicies"),
			allow(readWrite, coordination, "leases"),
			allow(write, resource, "resourceclaims resourceclaimtemplates"),
		), "edit"),
		label(clusterRole("system:aggregate-to-view",
			allow(read, core,
				"configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods "+
					"replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status"),
			allow(read, core,
				"bindings limitranges namespaces/status pods/log pods/status replicationcontrollers/status "+
					"resourcequotas resourcequotas/status"),
			allow(read, core, "namespaces"),
			allow(read, coreEvents, "events"),
			allow(read, discovery, "endpointslices"),
			allow(read, apps,
				"controllerrevisions daemonsets daemonsets/status deployments deployments/scale "+
					"deployments/status replicasets replicasets/scale replicasets/status statefulsets "+
					"statefulsets/scale statefulsets/status"),
			allow(read, autoscaling, "horizontalpodautoscalers horizontalpodautoscalers/status"),
			allow(read, batch, "cronjobs cronjobs/status jobs jobs/status"),
			allow(read, extensions,
				"daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses "+
					"ingresses/status networkpolicies replicasets replicasets/scale replicasets/status "+
					"replicationcontrollers/scale"),
			allow(read, policy, "poddisruptionbudgets poddisruptionbudgets/status"),
			allow(read, networking, "ingresses ingresses/status networkpolicies"),
			allow(read, resource, "resourceclaims resourceclaims/status resourceclaimtemplates"),
		), "view"),
	}
}
