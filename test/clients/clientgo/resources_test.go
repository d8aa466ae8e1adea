package clientgo_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	batchv1beta1 "k8s.io/api/batch/v1beta1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
)

var (
	selected = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	podSpec  = corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx", Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}}
	template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: selected.MatchLabels}, Spec: podSpec}
	once     = corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: podSpec.Containers}}
	web      = corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Name: "web", Namespace: "default"}
	now      = metav1.NewMicroTime(time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC))
)

// lives are the resources that client-go has a typed client for and that Proa serves.
var lives = slices.Concat(coreLives, appsLives, otherLives)

var coreLives = []life{
	of("/v1/configmaps", func(k kubernetes.Interface) typed[*corev1.ConfigMap, *corev1.ConfigMapList] {
		return k.CoreV1().ConfigMaps("default")
	}, &corev1.ConfigMap{Data: map[string]string{"a": "1"}, BinaryData: map[string][]byte{"b": {0, 255}}}),
	of("/v1/secrets", func(k kubernetes.Interface) typed[*corev1.Secret, *corev1.SecretList] {
		return k.CoreV1().Secrets("default")
	}, &corev1.Secret{StringData: map[string]string{"a": "1"}, Data: map[string][]byte{"b": {0, 255}}}),
	of("/v1/pods", func(k kubernetes.Interface) typed[*corev1.Pod, *corev1.PodList] {
		return k.CoreV1().Pods("default")
	}, &corev1.Pod{Spec: podSpec}),
	of("/v1/podtemplates", func(k kubernetes.Interface) typed[*corev1.PodTemplate, *corev1.PodTemplateList] {
		return k.CoreV1().PodTemplates("default")
	}, &corev1.PodTemplate{Template: template}),
	of("/v1/replicationcontrollers", func(k kubernetes.Interface) typed[*corev1.ReplicationController, *corev1.ReplicationControllerList] {
		return k.CoreV1().ReplicationControllers("default")
	}, &corev1.ReplicationController{Spec: corev1.ReplicationControllerSpec{Replicas: pointer[int32](2), Template: &template}}),
	of("/v1/services", func(k kubernetes.Interface) typed[*corev1.Service, *corev1.ServiceList] {
		return k.CoreV1().Services("default")
	}, &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Selector: selected.MatchLabels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}}}}),
	of("/v1/endpoints", func(k kubernetes.Interface) typed[*corev1.Endpoints, *corev1.EndpointsList] {
		return k.CoreV1().Endpoints("default")
	}, &corev1.Endpoints{Subsets: []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "10.1.2.3"}}, Ports: []corev1.EndpointPort{{Port: 80}}}}}),
	of("/v1/serviceaccounts", func(k kubernetes.Interface) typed[*corev1.ServiceAccount, *corev1.ServiceAccountList] {
		return k.CoreV1().ServiceAccounts("default")
	}, &corev1.ServiceAccount{AutomountServiceAccountToken: pointer(false)}),
	of("/v1/limitranges", func(k kubernetes.Interface) typed[*corev1.LimitRange, *corev1.LimitRangeList] {
		return k.CoreV1().LimitRanges("default")
	}, &corev1.LimitRange{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, Max: quantities("2")}}}}),
	of("/v1/resourcequotas", func(k kubernetes.Interface) typed[*corev1.ResourceQuota, *corev1.ResourceQuotaList] {
		return k.CoreV1().ResourceQuotas("default")
	}, &corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: quantities("100")}}),
	of("/v1/persistentvolumeclaims", func(k kubernetes.Interface) typed[*corev1.PersistentVolumeClaim, *corev1.PersistentVolumeClaimList] {
		return k.CoreV1().PersistentVolumeClaims("default")
	}, &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}}}}),
	of("/v1/persistentvolumes", func(k kubernetes.Interface) typed[*corev1.PersistentVolume, *corev1.PersistentVolumeList] {
		return k.CoreV1().PersistentVolumes()
	}, &corev1.PersistentVolume{Spec: corev1.PersistentVolumeSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/mnt"}}}}),
	of("/v1/nodes", func(k kubernetes.Interface) typed[*corev1.Node, *corev1.NodeList] {
		return k.CoreV1().Nodes()
	}, &corev1.Node{Spec: corev1.NodeSpec{PodCIDR: "10.2.3.0/24", PodCIDRs: []string{"10.2.3.0/24"}}}),
	of("/v1/events", func(k kubernetes.Interface) typed[*corev1.Event, *corev1.EventList] {
		return k.CoreV1().Events("default")
	}, &corev1.Event{InvolvedObject: web, Reason: "Tested", Message: "all well", Type: corev1.EventTypeNormal, Count: 1}),
}

var appsLives = []life{
	of("apps/v1/deployments", func(k kubernetes.Interface) typed[*appsv1.Deployment, *appsv1.DeploymentList] {
		return k.AppsV1().Deployments("default")
	}, &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Selector: selected, Template: template}}),
	of("apps/v1/replicasets", func(k kubernetes.Interface) typed[*appsv1.ReplicaSet, *appsv1.ReplicaSetList] {
		return k.AppsV1().ReplicaSets("default")
	}, &appsv1.ReplicaSet{Spec: appsv1.ReplicaSetSpec{Selector: selected, Template: template}}),
	of("apps/v1/daemonsets", func(k kubernetes.Interface) typed[*appsv1.DaemonSet, *appsv1.DaemonSetList] {
		return k.AppsV1().DaemonSets("default")
	}, &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Selector: selected, Template: template}}),
	of("apps/v1/statefulsets", func(k kubernetes.Interface) typed[*appsv1.StatefulSet, *appsv1.StatefulSetList] {
		return k.AppsV1().StatefulSets("default")
	}, &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{ServiceName: "web", Selector: selected, Template: template}}),
	of("apps/v1/controllerrevisions", func(k kubernetes.Interface) typed[*appsv1.ControllerRevision, *appsv1.ControllerRevisionList] {
		return k.AppsV1().ControllerRevisions("default")
	}, &appsv1.ControllerRevision{Revision: 1, Data: runtime.RawExtension{Raw: []byte(`{"a":1}`)}}),
	of("batch/v1/jobs", func(k kubernetes.Interface) typed[*batchv1.Job, *batchv1.JobList] {
		return k.BatchV1().Jobs("default")
	}, &batchv1.Job{Spec: batchv1.JobSpec{Template: once}}),
	of("batch/v1/cronjobs", func(k kubernetes.Interface) typed[*batchv1.CronJob, *batchv1.CronJobList] {
		return k.BatchV1().CronJobs("default")
	}, &batchv1.CronJob{Spec: batchv1.CronJobSpec{Schedule: "*/5 * * * *", TimeZone: pointer("Europe/Lisbon"), JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: once}}}}),
	of("batch/v1beta1/cronjobs", func(k kubernetes.Interface) typed[*batchv1beta1.CronJob, *batchv1beta1.CronJobList] {
		return k.BatchV1beta1().CronJobs("default")
	}, &batchv1beta1.CronJob{Spec: batchv1beta1.CronJobSpec{Schedule: "*/5 * * * *", JobTemplate: batchv1beta1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: once}}}}),
}

var otherLives = []life{
	of("autoscaling/v1/horizontalpodautoscalers", func(k kubernetes.Interface) typed[*autoscalingv1.HorizontalPodAutoscaler, *autoscalingv1.HorizontalPodAutoscalerList] {
		return k.AutoscalingV1().HorizontalPodAutoscalers("default")
	}, &autoscalingv1.HorizontalPodAutoscaler{Spec: autoscalingv1.HorizontalPodAutoscalerSpec{MaxReplicas: 3, TargetCPUUtilizationPercentage: pointer[int32](50), ScaleTargetRef: autoscalingv1.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}}}),
	of("autoscaling/v2/horizontalpodautoscalers", func(k kubernetes.Interface) typed[*autoscalingv2.HorizontalPodAutoscaler, *autoscalingv2.HorizontalPodAutoscalerList] {
		return k.AutoscalingV2().HorizontalPodAutoscalers("default")
	}, &autoscalingv2.HorizontalPodAutoscaler{Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MaxReplicas: 3, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}}}),
	of("coordination.k8s.io/v1/leases", func(k kubernetes.Interface) typed[*coordinationv1.Lease, *coordinationv1.LeaseList] {
		return k.CoordinationV1().Leases("default")
	}, &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: pointer("me"), LeaseDurationSeconds: pointer[int32](15), RenewTime: &now}}),
	of("discovery.k8s.io/v1/endpointslices", func(k kubernetes.Interface) typed[*discoveryv1.EndpointSlice, *discoveryv1.EndpointSliceList] {
		return k.DiscoveryV1().EndpointSlices("default")
	}, &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.2.3"}}}}),
	of("events.k8s.io/v1/events", func(k kubernetes.Interface) typed[*eventsv1.Event, *eventsv1.EventList] {
		return k.EventsV1().Events("default")
	}, &eventsv1.Event{EventTime: now, ReportingController: "proa.dev/test", ReportingInstance: "test-0", Action: "Testing", Reason: "Tested", Regarding: web, Note: "all well", Type: "Normal"}),
	of("networking.k8s.io/v1/ingresses", func(k kubernetes.Interface) typed[*networkingv1.Ingress, *networkingv1.IngressList] {
		return k.NetworkingV1().Ingresses("default")
	}, &networkingv1.Ingress{Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}}}}}),
	of("networking.k8s.io/v1/ingressclasses", func(k kubernetes.Interface) typed[*networkingv1.IngressClass, *networkingv1.IngressClassList] {
		return k.NetworkingV1().IngressClasses()
	}, &networkingv1.IngressClass{Spec: networkingv1.IngressClassSpec{Controller: "proa.dev/test"}}),
	of("networking.k8s.io/v1/networkpolicies", func(k kubernetes.Interface) typed[*networkingv1.NetworkPolicy, *networkingv1.NetworkPolicyList] {
		return k.NetworkingV1().NetworkPolicies("default")
	}, &networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{PodSelector: *selected}}),
	of("policy/v1/poddisruptionbudgets", func(k kubernetes.Interface) typed[*policyv1.PodDisruptionBudget, *policyv1.PodDisruptionBudgetList] {
		return k.PolicyV1().PodDisruptionBudgets("default")
	}, &policyv1.PodDisruptionBudget{Spec: policyv1.PodDisruptionBudgetSpec{Selector: selected, MinAvailable: pointer(intstr.FromString("50%"))}}),
	of("rbac.authorization.k8s.io/v1/roles", func(k kubernetes.Interface) typed[*rbacv1.Role, *rbacv1.RoleList] {
		return k.RbacV1().Roles("default")
	}, &rbacv1.Role{Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}}),
	of("rbac.authorization.k8s.io/v1/rolebindings", func(k kubernetes.Interface) typed[*rbacv1.RoleBinding, *rbacv1.RoleBindingList] {
		return k.RbacV1().RoleBindings("default")
	}, &rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "web"}, Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "web", Namespace: "default"}}}),
	of("rbac.authorization.k8s.io/v1/clusterroles", func(k kubernetes.Interface) typed[*rbacv1.ClusterRole, *rbacv1.ClusterRoleList] {
		return k.RbacV1().ClusterRoles()
	}, &rbacv1.ClusterRole{Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}}}),
	of("rbac.authorization.k8s.io/v1/clusterrolebindings", func(k kubernetes.Interface) typed[*rbacv1.ClusterRoleBinding, *rbacv1.ClusterRoleBindingList] {
		return k.RbacV1().ClusterRoleBindings()
	}, &rbacv1.ClusterRoleBinding{RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "web"}, Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "ann"}}}),
	of("scheduling.k8s.io/v1/priorityclasses", func(k kubernetes.Interface) typed[*schedulingv1.PriorityClass, *schedulingv1.PriorityClassList] {
		return k.SchedulingV1().PriorityClasses()
	}, &schedulingv1.PriorityClass{Value: 1000}),
	of("storage.k8s.io/v1/storageclasses", func(k kubernetes.Interface) typed[*storagev1.StorageClass, *storagev1.StorageClassList] {
		return k.StorageV1().StorageClasses()
	}, &storagev1.StorageClass{Provisioner: "proa.dev/test"}),
}

func quantities(cpu string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
}

// TestTypedClients leads an object of each resource through its life, in protobuf and in JSON.
func TestTypedClients(t *testing.T) {
	c := quiet(t)
	for _, mediaType := range []string{runtime.ContentTypeProtobuf, runtime.ContentTypeJSON} {
		k := clientset(t, speaking(c.Config(t), mediaType))
		t.Run(strings.TrimPrefix(mediaType, "application/"), func(t *testing.T) {
			for _, l := range lives {
				t.Run(l.resource, func(t *testing.T) { l.run(t, k) })
			}
		})
	}
}

// elsewhere are the resources that the table cannot hold: a namespace's life is its own, the names of addresses are
// addresses, a controller works on ranges of them, and client-go has no client for the last.
var elsewhere = []string{
	"/v1/namespaces", "networking.k8s.io/v1/ipaddresses", "networking.k8s.io/v1/servicecidrs", "batch/v2alpha1/cronjobs",
}

// TestEveryResourceIsTested holds the table beside what discovery tells.
func TestEveryResourceIsTested(t *testing.T) {
	tested := slices.Clone(elsewhere)
	for _, l := range lives {
		tested = append(tested, l.resource)
	}
	_, lists, err := clientset(t, quiet(t).Config(t)).Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		group := list.GroupVersion
		if !strings.Contains(group, "/") {
			group = "/" + group
		}
		for _, r := range list.APIResources {
			name := group + "/" + r.Name
			if slices.Contains(r.Verbs, "watch") && !slices.Contains(tested, name) {
				t.Errorf("%s is served and has no test here", name)
			}
		}
	}
}
