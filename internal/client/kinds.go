package client

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds that components work with.
var (
	ConfigMaps             = namespaced[corev1.ConfigMap]("", "v1", "configmaps", "ConfigMap")
	Endpoints              = namespaced[corev1.Endpoints]("", "v1", "endpoints", "Endpoints")
	Events                 = namespaced[corev1.Event]("", "v1", "events", "Event")
	Namespaces             = cluster[corev1.Namespace]("", "v1", "namespaces", "Namespace")
	Nodes                  = cluster[corev1.Node]("", "v1", "nodes", "Node")
	Pods                   = namespaced[corev1.Pod]("", "v1", "pods", "Pod")
	ReplicationControllers = namespaced[corev1.ReplicationController]("", "v1", "replicationcontrollers", "ReplicationController")
	Secrets                = namespaced[corev1.Secret]("", "v1", "secrets", "Secret")
	ServiceAccounts        = namespaced[corev1.ServiceAccount]("", "v1", "serviceaccounts", "ServiceAccount")
	Services               = namespaced[corev1.Service]("", "v1", "services", "Service")

	ControllerRevisions = namespaced[appsv1.ControllerRevision]("apps", "v1", "controllerrevisions", "ControllerRevision")
	DaemonSets          = namespaced[appsv1.DaemonSet]("apps", "v1", "daemonsets", "DaemonSet")
	Deployments         = namespaced[appsv1.Deployment]("apps", "v1", "deployments", "Deployment")
	ReplicaSets         = namespaced[appsv1.ReplicaSet]("apps", "v1", "replicasets", "ReplicaSet")
	StatefulSets        = namespaced[appsv1.StatefulSet]("apps", "v1", "statefulsets", "StatefulSet")

	PriorityClasses = cluster[schedulingv1.PriorityClass]("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass")

	CronJobs       = namespaced[batchv1.CronJob]("batch", "v1", "cronjobs", "CronJob")
	Jobs           = namespaced[batchv1.Job]("batch", "v1", "jobs", "Job")
	Leases         = namespaced[coordinationv1.Lease]("coordination.k8s.io", "v1", "leases", "Lease")
	EndpointSlices = namespaced[discoveryv1.EndpointSlice]("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")

	IPAddresses  = cluster[networkingv1.IPAddress]("networking.k8s.io", "v1", "ipaddresses", "IPAddress")
	ServiceCIDRs = cluster[networkingv1.ServiceCIDR]("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR")

	ClusterRoles        = cluster[rbacv1.ClusterRole]("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole")
	ClusterRoleBindings = cluster[rbacv1.ClusterRoleBinding]("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding")
	Roles               = namespaced[rbacv1.Role]("rbac.authorization.k8s.io", "v1", "roles", "Role")
	RoleBindings        = namespaced[rbacv1.RoleBinding]("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
)

// Metadata is any resource, read and watched by its metadata alone.
func Metadata(r schema.GroupVersionResource, kind string, namespaced bool) Kind[metav1.PartialObjectMetadata] {
	return Kind[metav1.PartialObjectMetadata]{Resource: r, Kind: kind, Namespaced: namespaced}
}

func namespaced[T any](group, version, resource, kind string) Kind[T] {
	return Kind[T]{Resource: schema.GroupVersionResource{Group: group, Version: version, Resource: resource}, Kind: kind, Namespaced: true}
}

func cluster[T any](group, version, resource, kind string) Kind[T] {
	k := namespaced[T](group, version, resource, kind)
	k.Namespaced = false
	return k
}
