package apps

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/registrytest"
)

type edit[T any] = registrytest.Edit[T]

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{
			{Name: "a", Image: "img:1", TerminationMessagePolicy: "File", ImagePullPolicy: "Always"},
			{Name: "b", Image: "img:2", TerminationMessagePolicy: "File", ImagePullPolicy: "Always"},
		}},
	}
}

func selector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
}

func meta() metav1.ObjectMeta { return metav1.ObjectMeta{Name: "web", Namespace: "default"} }

func deployment() *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: meta(), Spec: appsv1.DeploymentSpec{Selector: selector(), Template: template()}}
}

func replicaSet() *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{ObjectMeta: meta(), Spec: appsv1.ReplicaSetSpec{Selector: selector(), Template: template()}}
}

func daemonSet() *appsv1.DaemonSet {
	return &appsv1.DaemonSet{ObjectMeta: meta(), Spec: appsv1.DaemonSetSpec{Selector: selector(), Template: template()}}
}

func statefulSet() *appsv1.StatefulSet {
	return &appsv1.StatefulSet{ObjectMeta: meta(), Spec: appsv1.StatefulSetSpec{Selector: selector(), ServiceName: "web", Template: template()}}
}

const restart = `Unsupported value: "Never": supported values: "Always"`

func TestDeployment(t *testing.T) {
	rolling := func(unavailable, surge intstr.IntOrString) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) {
			d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: &unavailable, MaxSurge: &surge}
		}
	}
	percent := "Invalid value: \"10\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
	registrytest.Create(t, Deployments, deployment, []edit[appsv1.Deployment]{
		{"negative replicas", func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](-1) },
			[]string{"spec.replicas: Invalid value: -1: must be greater than or equal to 0"}},
		{"no selector", func(d *appsv1.Deployment) { d.Spec.Selector = nil },
			[]string{"spec.selector: Required value", "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`"}},
		{"empty selector", func(d *appsv1.Deployment) { d.Spec.Selector = &metav1.LabelSelector{} },
			[]string{"spec.selector: Invalid value: {}: empty selector is invalid for deployment"}},
		{"other selector", func(d *appsv1.Deployment) { d.Spec.Selector.MatchLabels["app"] = "db" },
			[]string{"spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`"}},
		{"bad operator", func(d *appsv1.Deployment) {
			d.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Like"}}}
		}, []string{
			`spec.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator`,
			`spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"Like"}]}: invalid label selector`,
		}},
		{"pods that end", func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
			d.Spec.Template.Spec.ActiveDeadlineSeconds = ptr.To[int64](5)
		}, []string{"spec.template.spec.restartPolicy: " + restart, "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported"}},
		{"rolling recreate", func(d *appsv1.Deployment) {
			d.Spec.Strategy = appsv1.DeploymentStrategy{Type: "Recreate", RollingUpdate: &appsv1.RollingUpdateDeployment{}}
		}, []string{"spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"}},
		{"recreate", func(d *appsv1.Deployment) { d.Spec.Strategy.Type = "Recreate" }, nil},
		{"unknown strategy", func(d *appsv1.Deployment) { d.Spec.Strategy.Type = "Canary" },
			[]string{`spec.strategy: Unsupported value: {"type":"Canary"}: supported values: "Recreate", "RollingUpdate"`}},
		{"standing still", rolling(intstr.FromInt32(0), intstr.FromString("0%")),
			[]string{"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"}},
		{"negative surge", rolling(intstr.FromInt32(1), intstr.FromInt32(-1)),
			[]string{"spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: must be greater than or equal to 0"}},
		{"no percent sign", rolling(intstr.FromInt32(1), intstr.FromString("10")),
			[]string{"spec.strategy.rollingUpdate.maxSurge: " + percent}},
		{"more than all", rolling(intstr.FromString("101%"), intstr.FromString("200%")),
			[]string{`spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%`}},
		{"deadline too early", func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = 600 },
			[]string{"spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"}},
		{"negative limits", func(d *appsv1.Deployment) {
			d.Spec.MinReadySeconds, d.Spec.RevisionHistoryLimit = -2, ptr.To[int32](-3)
		}, []string{
			"spec.minReadySeconds: Invalid value: -2: must be greater than or equal to 0",
			"spec.revisionHistoryLimit: Invalid value: -3: must be greater than or equal to 0",
		}},
		{"rollback to nowhere", func(d *appsv1.Deployment) { d.Annotations = map[string]string{appsv1.DeprecatedRollbackTo: "x"} },
			[]string{`metadata.annotations[deprecated.deployment.rollback.to]: Invalid value: "x": must be an integer`}},
		{"rollback to nothing", func(d *appsv1.Deployment) { d.Annotations = map[string]string{appsv1.DeprecatedRollbackTo: ""} }, nil},
	}...)
	registrytest.Update(t, Deployments, deployment, []edit[appsv1.Deployment]{
		{"scale", func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](9) }, nil},
		{"selector", func(d *appsv1.Deployment) {
			d.Spec.Selector.MatchLabels["tier"] = "x"
			d.Spec.Template.Labels["tier"] = "x"
		}, []string{`spec.selector: Invalid value: {"matchLabels":{"app":"web","tier":"x"}}: field is immutable`}},
	}...)
	withStatus := func() *appsv1.Deployment {
		d := deployment()
		d.Status = appsv1.DeploymentStatus{Replicas: 3, UpdatedReplicas: 3, ReadyReplicas: 3, AvailableReplicas: 3, CollisionCount: ptr.To[int32](2)}
		return d
	}
	registrytest.Status(t, Deployments, withStatus, []edit[appsv1.Deployment]{
		{"same", func(*appsv1.Deployment) {}, nil},
		{"counts above", func(d *appsv1.Deployment) {
			d.Status.UpdatedReplicas, d.Status.ReadyReplicas, d.Status.AvailableReplicas = 4, 5, 6
		}, []string{
			"status.updatedReplicas: Invalid value: 4: cannot be greater than status.replicas",
			"status.readyReplicas: Invalid value: 5: cannot be greater than status.replicas",
			"status.availableReplicas: Invalid value: 6: cannot be greater than status.replicas",
			"status.availableReplicas: Invalid value: 6: cannot be greater than readyReplicas",
		}},
		{"collisions forgotten", func(d *appsv1.Deployment) { d.Status.CollisionCount = nil },
			[]string{"status.collisionCount: Invalid value: 0: cannot be decremented"}},
		{"negative", func(d *appsv1.Deployment) { d.Status.TerminatingReplicas = ptr.To[int32](-1) },
			[]string{"status.terminatingReplicas: Invalid value: -1: must be greater than or equal to 0"}},
	}...)
}

func TestDeploymentDefaultsAndColumns(t *testing.T) {
	d, typ := deployment(), Deployments.Erase()
	typ.Default(d)
	s := d.Spec
	if *s.Replicas != 1 || *s.RevisionHistoryLimit != 10 || *s.ProgressDeadlineSeconds != 600 || s.Strategy.Type != "RollingUpdate" ||
		s.Strategy.RollingUpdate.MaxSurge.String() != "25%" || s.Strategy.RollingUpdate.MaxUnavailable.String() != "25%" {
		t.Errorf("defaults: %+v", s)
	}
	d.Status = appsv1.DeploymentStatus{ReadyReplicas: 2, UpdatedReplicas: 3, AvailableReplicas: 1}
	registrytest.Columns(t, typ, d, map[string]any{"Ready": "2/1", "Up-to-date": int64(3), "Available": int64(1), "Containers": "a,b", "Images": "img:1,img:2", "Selector": "app=web"})

	typ.Scale.SetReplicas(d, 7)
	if typ.Scale.SpecReplicas(d) != 7 || typ.Scale.Selector(d) != "app=web" {
		t.Errorf("scale: %d of %q", typ.Scale.SpecReplicas(d), typ.Scale.Selector(d))
	}
	annotated := d.DeepCopy()
	annotated.Annotations = map[string]string{"a": "b"}
	if equality.Semantic.DeepEqual(typ.Spec(d), typ.Spec(annotated)) {
		t.Error("annotations go into the ReplicaSets, but a change of them does not count as one of the spec")
	}
	relabeled := d.DeepCopy()
	relabeled.Labels = map[string]string{"a": "b"}
	if typ.PrepareStatus(relabeled, d); relabeled.Labels != nil {
		t.Error("a write of the status changed the labels")
	}
}

func TestReplicaSet(t *testing.T) {
	registrytest.Create(t, ReplicaSets, replicaSet, []edit[appsv1.ReplicaSet]{
		{"negative", func(r *appsv1.ReplicaSet) { r.Spec.Replicas, r.Spec.MinReadySeconds = ptr.To[int32](-1), -1 }, []string{
			"spec.replicas: Invalid value: -1: must be greater than or equal to 0",
			"spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
		}},
		{"pods that end", func(r *appsv1.ReplicaSet) { r.Spec.Template.Spec.RestartPolicy = "Never" },
			[]string{"spec.template.spec.restartPolicy: " + restart}},
	}...)
	registrytest.Update(t, ReplicaSets, replicaSet, []edit[appsv1.ReplicaSet]{
		{"selector", func(r *appsv1.ReplicaSet) { r.Spec.Selector.MatchLabels = nil },
			[]string{"spec.selector: Invalid value: {}: empty selector is invalid for deployment", "spec.selector: Invalid value: {}: field is immutable"}},
	}...)
	registrytest.Status(t, ReplicaSets, replicaSet, []edit[appsv1.ReplicaSet]{
		{"more labeled than there are", func(r *appsv1.ReplicaSet) { r.Status.FullyLabeledReplicas = 1 },
			[]string{"status.fullyLabeledReplicas: Invalid value: 1: cannot be greater than status.replicas"}},
		{"more available than ready", func(r *appsv1.ReplicaSet) { r.Status.Replicas, r.Status.AvailableReplicas = 1, 1 },
			[]string{"status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas"}},
	}...)
	r, typ := replicaSet(), ReplicaSets.Erase()
	typ.Default(r)
	r.Status = appsv1.ReplicaSetStatus{Replicas: 3, ReadyReplicas: 2}
	registrytest.Columns(t, typ, r, map[string]any{"Desired": int64(1), "Current": int64(3), "Ready": int64(2), "Containers": "a,b", "Images": "img:1,img:2", "Selector": "app=web"})
	r.Name = "web.v1"
	want := "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"
	if got := typ.Warn(r, nil); !slices.Contains(got, want) {
		t.Errorf("warnings %q, want %q", got, want)
	}
}

func TestDaemonSet(t *testing.T) {
	rolling := func(unavailable, surge intstr.IntOrString) func(*appsv1.DaemonSet) {
		return func(d *appsv1.DaemonSet) {
			d.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &unavailable, MaxSurge: &surge}
		}
	}
	registrytest.Create(t, DaemonSets, daemonSet, []edit[appsv1.DaemonSet]{
		{"surge only", rolling(intstr.FromInt32(0), intstr.FromString("10%")), nil},
		{"both", rolling(intstr.FromInt32(1), intstr.FromInt32(1)),
			[]string{"spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"}},
		{"neither", rolling(intstr.FromInt32(0), intstr.FromInt32(0)),
			[]string{"spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"}},
		{"more than all", rolling(intstr.FromInt32(0), intstr.FromString("120%")),
			[]string{`spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "120%": must not be greater than 100%`}},
		{"unknown strategy", func(d *appsv1.DaemonSet) { d.Spec.UpdateStrategy.Type = "Canary" },
			[]string{`spec.updateStrategy: Unsupported value: {"type":"Canary"}: supported values: "RollingUpdate", "OnDelete"`}},
		{"no selector", func(d *appsv1.DaemonSet) { d.Spec.Selector = nil },
			[]string{"spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`"}},
		{"empty selector", func(d *appsv1.DaemonSet) { d.Spec.Selector = &metav1.LabelSelector{} },
			[]string{"spec.selector: Invalid value: {}: empty selector is invalid for daemonset"}},
		{"deadline", func(d *appsv1.DaemonSet) { d.Spec.Template.Spec.ActiveDeadlineSeconds = ptr.To[int64](1) },
			[]string{"spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not Supported"}},
		{"generation that is none", func(d *appsv1.DaemonSet) {
			d.Annotations = map[string]string{appsv1.DeprecatedTemplateGeneration: "x"}
		}, []string{`metadata.annotations[deprecated.daemonset.template.generation]: Invalid value: "x": must be an integer`}},
	}...)
	registrytest.Update(t, DaemonSets, daemonSet, []edit[appsv1.DaemonSet]{
		{"selector", func(d *appsv1.DaemonSet) {
			d.Spec.Selector.MatchLabels["app"] = "db"
			d.Spec.Template.Labels["app"] = "db"
		}, []string{`spec.selector: Invalid value: {"matchLabels":{"app":"db"}}: field is immutable`}},
	}...)
	registrytest.Status(t, DaemonSets, daemonSet, []edit[appsv1.DaemonSet]{
		{"negative", func(d *appsv1.DaemonSet) { d.Status.NumberMisscheduled = -1 },
			[]string{"status.numberMisscheduled: Invalid value: -1: must be greater than or equal to 0"}},
	}...)
	d, typ := daemonSet(), DaemonSets.Erase()
	d.Spec.Template.Spec.NodeSelector = map[string]string{"os": "linux"}
	typ.Default(d)
	d.Status = appsv1.DaemonSetStatus{DesiredNumberScheduled: 5, CurrentNumberScheduled: 4, NumberReady: 3, UpdatedNumberScheduled: 2, NumberAvailable: 1}
	registrytest.Columns(t, typ, d, map[string]any{
		"Desired": int64(5), "Current": int64(4), "Ready": int64(3), "Up-to-date": int64(2), "Available": int64(1),
		"Node Selector": "os=linux", "Containers": "a,b", "Images": "img:1,img:2", "Selector": "app=web",
	})
}

func TestDaemonSetTemplateGeneration(t *testing.T) {
	typ := DaemonSets.Erase()
	generation := func(d *appsv1.DaemonSet) string { return d.Annotations["deprecated.daemonset.template.generation"] }
	old := daemonSet()
	typ.Default(old)
	if typ.PrepareCreate(old); generation(old) != "1" {
		t.Errorf("a new set has generation %q, want 1", generation(old))
	}
	started := daemonSet()
	started.Annotations = map[string]string{appsv1.DeprecatedTemplateGeneration: "41"}
	if typ.PrepareCreate(started); generation(started) != "41" {
		t.Errorf("a set that starts at 41 has generation %q", generation(started))
	}
	same := old.DeepCopy()
	same.Annotations = map[string]string{appsv1.DeprecatedTemplateGeneration: "9", "own": "yes"}
	same.Spec.MinReadySeconds = 3
	if typ.PrepareUpdate(same, old); generation(same) != "1" || same.Annotations["own"] != "yes" {
		t.Errorf("without a change of the template the annotations are %v", same.Annotations)
	}
	changed := old.DeepCopy()
	changed.Annotations = nil
	changed.Spec.Template.Spec.Containers[0].Image = "img:9"
	if typ.PrepareUpdate(changed, old); generation(changed) != "2" {
		t.Errorf("after a change of the template the generation is %q, want 2", generation(changed))
	}
	status := old.DeepCopy()
	status.Annotations = nil
	if typ.PrepareStatus(status, old); generation(status) != "1" {
		t.Errorf("a write of the status made the generation %q", generation(status))
	}
}

func claim(name string) corev1.PersistentVolumeClaim {
	return corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": *quantity("1Gi")}},
	}}
}

func TestStatefulSet(t *testing.T) {
	registrytest.Create(t, StatefulSets, statefulSet, []edit[appsv1.StatefulSet]{
		{"unknown pod management", func(s *appsv1.StatefulSet) { s.Spec.PodManagementPolicy = "Random" },
			[]string{`spec.podManagementPolicy: Invalid value: "Random": must be 'OrderedReady' or 'Parallel'`}},
		{"on delete", func(s *appsv1.StatefulSet) { s.Spec.UpdateStrategy.Type = "OnDelete" }, nil},
		{"on delete with parameters", func(s *appsv1.StatefulSet) {
			s.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: "OnDelete", RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{}}
		}, []string{"spec.updateStrategy.rollingUpdate: Invalid value: {}: only allowed for updateStrategy 'RollingUpdate'"}},
		{"unknown strategy", func(s *appsv1.StatefulSet) { s.Spec.UpdateStrategy.Type = "Canary" },
			[]string{`spec.updateStrategy: Invalid value: {"type":"Canary"}: must be 'RollingUpdate' or 'OnDelete'`}},
		{"negative", func(s *appsv1.StatefulSet) {
			s.Spec.Replicas, s.Spec.MinReadySeconds, s.Spec.Ordinals = ptr.To[int32](-1), -1, &appsv1.StatefulSetOrdinals{Start: -1}
			s.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: "RollingUpdate", RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](-1)}}
		}, []string{
			"spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0",
			"spec.replicas: Invalid value: -1: must be greater than or equal to 0",
			"spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
			"spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0",
		}},
		{"retention", func(s *appsv1.StatefulSet) {
			s.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenScaled: "Keep"}
		}, []string{`spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Keep": supported values: "Retain", "Delete"`}},
		{"service name", func(s *appsv1.StatefulSet) { s.Spec.ServiceName = "a.b" },
			[]string{`spec.serviceName: Invalid value: "a.b": must not contain dots`}},
		{"empty selector", func(s *appsv1.StatefulSet) { s.Spec.Selector = &metav1.LabelSelector{} },
			[]string{"spec.selector: Invalid value: {}: empty selector is invalid for statefulset"}},
		{"disabled field", func(s *appsv1.StatefulSet) {
			s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{MaxUnavailable: ptr.To(intstr.FromInt32(0))}
		}, nil},
		{"host name is the controller's", func(s *appsv1.StatefulSet) {
			s.Spec.Template.Spec.Hostname, s.Spec.Template.Spec.Subdomain = "_", "_"
		}, nil},
		{"claims are volumes", func(s *appsv1.StatefulSet) {
			s.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claim("data")}
			s.Spec.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
		}, nil},
	}...)
	const forbidden = "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
	registrytest.Update(t, StatefulSets, statefulSet, []edit[appsv1.StatefulSet]{
		{"what may change", func(s *appsv1.StatefulSet) {
			s.Spec.Replicas, s.Spec.MinReadySeconds, s.Spec.Ordinals = ptr.To[int32](3), 3, &appsv1.StatefulSetOrdinals{Start: 3}
			s.Spec.Template.Spec.Containers[0].Image = "img:3"
			s.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: "OnDelete"}
			s.Spec.RevisionHistoryLimit = ptr.To[int32](3)
			s.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenDeleted: "Delete"}
		}, nil},
		{"service name", func(s *appsv1.StatefulSet) { s.Spec.ServiceName = "other" }, []string{forbidden}},
		{"pod management", func(s *appsv1.StatefulSet) { s.Spec.PodManagementPolicy = "Parallel" }, []string{forbidden}},
		{"claims", func(s *appsv1.StatefulSet) {
			s.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claim("data")}
		}, []string{forbidden}},
		{"selector", func(s *appsv1.StatefulSet) {
			s.Spec.Selector.MatchLabels["x"] = "y"
			s.Spec.Template.Labels["x"] = "y"
		}, []string{forbidden}},
	}...)
	registrytest.Status(t, StatefulSets, statefulSet, []edit[appsv1.StatefulSet]{
		{"above", func(s *appsv1.StatefulSet) { s.Status.CurrentReplicas, s.Status.AvailableReplicas = 1, 1 }, []string{
			"status.currentReplicas: Invalid value: 1: cannot be greater than status.replicas",
			"status.availableReplicas: Invalid value: 1: cannot be greater than status.replicas",
			"status.availableReplicas: Invalid value: 1: cannot be greater than status.readyReplicas",
		}},
	}...)
}

func TestStatefulSetDefaultsAndColumns(t *testing.T) {
	s, typ := statefulSet(), StatefulSets.Erase()
	s.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claim("data")}
	typ.Default(s)
	spec := s.Spec
	if *spec.Replicas != 1 || *spec.RevisionHistoryLimit != 10 || spec.PodManagementPolicy != "OrderedReady" ||
		spec.UpdateStrategy.Type != "RollingUpdate" || *spec.UpdateStrategy.RollingUpdate.Partition != 0 || spec.UpdateStrategy.RollingUpdate.MaxUnavailable != nil ||
		spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted != "Retain" || spec.PersistentVolumeClaimRetentionPolicy.WhenScaled != "Retain" {
		t.Errorf("defaults: %+v", spec)
	}
	if c := spec.VolumeClaimTemplates[0]; c.Kind != "PersistentVolumeClaim" || c.APIVersion != "v1" || *c.Spec.VolumeMode != "Filesystem" || c.Status.Phase != "Pending" {
		t.Errorf("claim: %+v", c)
	}
	named := statefulSet()
	named.Spec.UpdateStrategy.Type = "RollingUpdate"
	if typ.Default(named); named.Spec.UpdateStrategy.RollingUpdate != nil {
		t.Error("a strategy that is named without parameters got some")
	}
	registrytest.Columns(t, typ, s, map[string]any{"Ready": "0/1", "Containers": "a,b", "Images": "img:1,img:2"})

	s.Spec.RevisionHistoryLimit = ptr.To[int32](-1)
	s.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests["storage"] = *quantity("1500m")
	want := []string{
		`spec.volumeClaimTemplates[0].resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer`,
		"spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended",
	}
	if got := typ.Warn(s, nil); !slices.Equal(got, want) {
		t.Errorf("warnings\n got %q\nwant %q", got, want)
	}

	from, to := statefulSet(), statefulSet()
	one := ptr.To(intstr.FromInt32(1))
	from.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{MaxUnavailable: one}
	to.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{MaxUnavailable: one}
	if typ.PrepareUpdate(to, from); to.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable == nil {
		t.Error("a field that is in use was dropped")
	}
	if typ.PrepareUpdate(to, statefulSet()); to.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable != nil {
		t.Error("a field that is not enabled was taken up")
	}
}

func TestControllerRevision(t *testing.T) {
	valid := func() *appsv1.ControllerRevision {
		return &appsv1.ControllerRevision{ObjectMeta: meta(), Data: runtime.RawExtension{Raw: []byte(`{"spec":{}}`)}, Revision: 1}
	}
	data := func(raw string) func(*appsv1.ControllerRevision) {
		return func(r *appsv1.ControllerRevision) { r.Data.Raw = []byte(raw) }
	}
	registrytest.Create(t, ControllerRevisions, valid, []edit[appsv1.ControllerRevision]{
		{"negative", func(r *appsv1.ControllerRevision) { r.Revision = -1 }, []string{"revision: Invalid value: -1: must be greater than or equal to 0"}},
		{"no data", func(r *appsv1.ControllerRevision) { r.Data.Raw = nil }, []string{"data: Required value: data is mandatory"}},
		{"null", data("null"), []string{"data: Required value: data is mandatory"}},
		{"list", data("[]"), []string{"data: Required value: data must be a valid JSON object"}},
		{"no JSON", data("{"), []string{`data: Invalid value: "<value omitted>": error parsing data: unexpected end of JSON input`}},
	}...)
	registrytest.Update(t, ControllerRevisions, valid, []edit[appsv1.ControllerRevision]{
		{"revision", func(r *appsv1.ControllerRevision) { r.Revision = 5 }, nil},
		{"data", data(`{"spec":1}`), []string{`data: Invalid value: {"spec":1}: field is immutable`}},
	}...)
	r, typ := valid(), ControllerRevisions.Erase()
	registrytest.Columns(t, typ, r, map[string]any{"Controller": "<none>", "Revision": int64(1)})
	r.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web", Controller: ptr.To(true)}}
	registrytest.Columns(t, typ, r, map[string]any{"Controller": "statefulset.apps/web", "Revision": int64(1)})
	synctest.Test(t, func(t *testing.T) { // where no second passes
		r.CreationTimestamp = metav1.NewTime(time.Now().Add(-5 * time.Minute))
		if age := typ.Columns[2].Value(r); age != "5m" {
			t.Errorf("age %v, want 5m", age)
		}
	})
}

func quantity(s string) *resource.Quantity { return ptr.To(resource.MustParse(s)) }
