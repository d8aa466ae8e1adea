package admission

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/accesstest"
	"github.com/proa-dev/proa/internal/access/authz"
)

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// create is a request to create an object of the resource.
func create(resource schema.GroupResource, namespace, name string, o runtime.Object) *Request {
	return &Request{
		Operation: Create, User: &access.User{Name: "ann"}, Resource: resource.WithVersion("v1"),
		Namespace: namespace, Name: name, Object: o,
	}
}

// run does what the chain does for one plugin.
func run(t *testing.T, p Plugin, r *Request) error {
	t.Helper()
	if err := (Chain{p}).Mutate(t.Context(), r); err != nil {
		return err
	}
	return (Chain{p}).Validate(t.Context(), r)
}

func checkText(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestNamespaceLifecycle(t *testing.T) {
	store := &accesstest.Objects{}
	store.Put(namespaces,
		&corev1.Namespace{ObjectMeta: named("", "live"), Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}},
		&corev1.Namespace{ObjectMeta: named("", "dying"), Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}})
	configMaps := schema.GroupResource{Resource: "configmaps"}
	reviews := schema.GroupResource{Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"}
	for _, c := range []struct {
		op              Operation
		resource        schema.GroupResource
		namespace, name string
		want            string
		code            int32
	}{
		{Create, configMaps, "live", "x", "", 0},
		{Create, configMaps, "none", "x", `namespaces "none" not found`, 404},
		{Update, configMaps, "none", "x", `namespaces "none" not found`, 404},
		{Delete, configMaps, "none", "x", "", 0},
		{Create, configMaps, "dying", "x", `configmaps "x" is forbidden: unable to create new content in namespace dying because it is being terminated`, 403},
		{Update, configMaps, "dying", "x", "", 0},
		{Create, reviews, "none", "", "", 0},
		{Create, nodes, "", "n", "", 0},
		{Create, namespaces, "none", "none", "", 0},
		{Delete, namespaces, "", "default", `namespaces "default" is forbidden: this namespace may not be deleted`, 403},
		{Delete, namespaces, "", "kube-system", `namespaces "kube-system" is forbidden: this namespace may not be deleted`, 403},
		{Delete, namespaces, "", "kube-public", `namespaces "kube-public" is forbidden: this namespace may not be deleted`, 403},
		{Delete, namespaces, "", "kube-node-lease", "", 0},
	} {
		t.Run(string(c.op)+" "+c.resource.Resource+" "+c.namespace+c.name, func(t *testing.T) {
			r := create(c.resource, c.namespace, c.name, nil)
			r.Operation = c.op
			err := run(t, NamespaceLifecycle{store}, r)
			checkText(t, err, c.want)
			if s := (apierrors.APIStatus)(nil); errors.As(err, &s) && s.Status().Code != c.code {
				t.Errorf("code %d", s.Status().Code)
			}
		})
	}
	err := run(t, NamespaceLifecycle{store}, create(configMaps, "dying", "x", nil))
	cause, ok := apierrors.StatusCause(err, corev1.NamespaceTerminatingCause)
	if !ok || cause.Message != "namespace dying is being terminated" || cause.Field != "metadata.namespace" {
		t.Errorf("cause %+v", cause)
	}
}

func onePod(edit func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: named("ns", "p"), Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "init"}}, Containers: []corev1.Container{{Name: "main"}},
	}}
	if edit != nil {
		edit(p)
	}
	return p
}

func accounts(edit func(*corev1.ServiceAccount)) *accesstest.Objects {
	sa := &corev1.ServiceAccount{ObjectMeta: named("ns", "default")}
	if edit != nil {
		edit(sa)
	}
	store := &accesstest.Objects{}
	store.Put(serviceAccounts, sa)
	return store
}

func TestServiceAccountMountsToken(t *testing.T) {
	pod := onePod(nil)
	store := accounts(func(sa *corev1.ServiceAccount) { sa.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "pull"}} })
	if err := run(t, ServiceAccount{store}, create(pods, "ns", "p", pod)); err != nil {
		t.Fatal(err)
	}
	name := pod.Spec.Volumes[0].Name
	if suffix := strings.TrimPrefix(name, "kube-api-access-"); len(suffix) != 5 {
		t.Errorf("volume %s", name)
	}
	mount := []corev1.VolumeMount{{Name: name, ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}}
	want := onePod(func(p *corev1.Pod) {
		p.Spec.ServiceAccountName, p.Spec.DeprecatedServiceAccount = "default", "default"
		p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "pull"}}
		p.Spec.InitContainers[0].VolumeMounts, p.Spec.Containers[0].VolumeMounts = mount, mount
		p.Spec.Volumes = []corev1.Volume{{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: ptr.To[int32](0o644),
			Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr.To[int64](3607)}},
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
					Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
				{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace",
					FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}}}},
			},
		}}}}
	})
	if d := cmp.Diff(want, pod); d != "" {
		t.Error(d)
	}
	// Admission may run again on what it has changed.
	again := pod.DeepCopy()
	if err := run(t, ServiceAccount{store}, create(pods, "ns", "p", again)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(pod, again); d != "" {
		t.Errorf("not idempotent:\n%s", d)
	}
}

func TestServiceAccountMountChoices(t *testing.T) {
	for _, c := range []struct {
		name     string
		account  func(*corev1.ServiceAccount)
		pod      func(*corev1.Pod)
		volumes  int
		mounts   int
		pullsAre string
	}{
		{"the account says no", func(sa *corev1.ServiceAccount) { sa.AutomountServiceAccountToken = ptr.To(false) }, nil, 0, 0, ""},
		{"the pod says no", nil, func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = ptr.To(false) }, 0, 0, ""},
		{"the pod overrides", func(sa *corev1.ServiceAccount) { sa.AutomountServiceAccountToken = ptr.To(false) },
			func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = ptr.To(true) }, 1, 2, ""},
		{"the place is taken", nil, func(p *corev1.Pod) {
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "mine", MountPath: tokenMountPath}}
		}, 1, 2, ""},
		{"all places are taken", nil, func(p *corev1.Pod) {
			p.Spec.InitContainers = nil
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "mine", MountPath: tokenMountPath}}
		}, 0, 1, ""},
		{"the pod's own pull secrets stay", func(sa *corev1.ServiceAccount) {
			sa.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "account's"}}
		}, func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "own"}} }, 1, 2, "own"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := onePod(c.pod)
			if err := run(t, ServiceAccount{accounts(c.account)}, create(pods, "ns", "p", pod)); err != nil {
				t.Fatal(err)
			}
			mounts := 0
			for _, x := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
				mounts += len(x.VolumeMounts)
			}
			pulls := ""
			for _, s := range pod.Spec.ImagePullSecrets {
				pulls += s.Name
			}
			if len(pod.Spec.Volumes) != c.volumes || mounts != c.mounts || pulls != c.pullsAre {
				t.Errorf("%d volumes, %d mounts, pull secrets %q", len(pod.Spec.Volumes), mounts, pulls)
			}
		})
	}
}

func TestServiceAccountRefusals(t *testing.T) {
	enforce := func(sa *corev1.ServiceAccount) {
		sa.Annotations = map[string]string{mountableOnly: "true"}
		sa.Secrets = []corev1.ObjectReference{{Name: "ok"}}
	}
	mirror := func(edit func(*corev1.Pod)) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
			if edit != nil {
				edit(p)
			}
		}
	}
	secretVolume := func(name string) corev1.Volume {
		return corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name}}}
	}
	env := []corev1.EnvVar{{Name: "E", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "no"}}}}}
	envFrom := []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "no"}}}}
	for _, c := range []struct {
		name    string
		account func(*corev1.ServiceAccount)
		pod     func(*corev1.Pod)
		want    string
	}{
		{"no account", nil, func(p *corev1.Pod) { p.Spec.ServiceAccountName = "none" },
			`pods "p" is forbidden: error looking up service account ns/none: serviceaccount "none" not found`},
		{"mirror", nil, mirror(nil), ""},
		{"mirror with account", nil, mirror(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" }), `pods "p" is forbidden: a mirror pod may not reference service accounts`},
		{"mirror with secret", nil, mirror(func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{secretVolume("s")} }), `pods "p" is forbidden: a mirror pod may not reference secrets`},
		{"mirror with token", nil, mirror(func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: tokenSource()}}}
		}), `pods "p" is forbidden: a mirror pod may not use ServiceAccountToken volume projections`},
		{"listed secret", enforce, func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{secretVolume("ok")} }, ""},
		{"other secret", enforce, func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{secretVolume("no")} },
			`pods "p" is forbidden: volume with secret.secretName="no" is not allowed because service account default does not reference that secret`},
		{"env", enforce, func(p *corev1.Pod) { p.Spec.Containers[0].Env = env },
			`pods "p" is forbidden: container main with envVar E referencing secret.secretName="no" is not allowed because service account default does not reference that secret`},
		{"envFrom", enforce, func(p *corev1.Pod) { p.Spec.InitContainers[0].EnvFrom = envFrom },
			`pods "p" is forbidden: init container init with envFrom referencing secret.secretName="no" is not allowed because service account default does not reference that secret`},
		{"pull secret", enforce, func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "no"}} },
			`pods "p" is forbidden: imagePullSecrets[0].name="no" is not allowed because service account default does not reference that imagePullSecret`},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := onePod(c.pod)
			before := pod.DeepCopy()
			checkText(t, run(t, ServiceAccount{accounts(c.account)}, create(pods, "ns", "p", pod)), c.want)
			if isMirror(pod) && !cmp.Equal(before, pod) {
				t.Error("a mirror pod was changed")
			}
		})
	}
}

func TestDefaultAccountIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &accesstest.Objects{}
		go func() {
			time.Sleep(time.Second)
			store.Put(serviceAccounts, &corev1.ServiceAccount{ObjectMeta: named("ns", "default")})
		}()
		if err := run(t, ServiceAccount{store}, create(pods, "ns", "p", onePod(nil))); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		err := run(t, ServiceAccount{&accesstest.Objects{}}, create(pods, "ns", "p", onePod(nil)))
		checkText(t, err, `pods "p" is forbidden: error looking up service account ns/default: serviceaccount "default" not found`)
		if took := time.Since(begin); took > 2*time.Second || took < time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestDefaultTolerations(t *testing.T) {
	text := func(pod *corev1.Pod) (s []string) {
		for _, x := range pod.Spec.Tolerations {
			s = append(s, x.Key+":"+string(x.Effect))
		}
		return s
	}
	const a, b = "node.kubernetes.io/not-ready:NoExecute", "node.kubernetes.io/unreachable:NoExecute"
	for _, c := range []struct {
		has  []corev1.Toleration
		want []string
	}{
		{nil, []string{a, b}},
		{[]corev1.Toleration{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoExecute}}, []string{a, b}},
		{[]corev1.Toleration{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}}, []string{"node.kubernetes.io/not-ready:NoSchedule", a, b}},
		{[]corev1.Toleration{{Operator: corev1.TolerationOpExists}}, []string{":"}},
	} {
		pod := onePod(func(p *corev1.Pod) { p.Spec.Tolerations = c.has })
		if err := run(t, DefaultTolerationSeconds{Unreachable: 7}, create(pods, "ns", "p", pod)); err != nil {
			t.Fatal(err)
		}
		if got := text(pod); !slices.Equal(got, c.want) {
			t.Errorf("%v, want %v", got, c.want)
		}
		if len(c.has) == 0 && (*pod.Spec.Tolerations[0].TolerationSeconds != 300 || *pod.Spec.Tolerations[1].TolerationSeconds != 7) {
			t.Errorf("%+v", pod.Spec.Tolerations)
		}
	}
}

func TestNewNodesAreTainted(t *testing.T) {
	node := &corev1.Node{}
	for range 2 {
		if err := run(t, TaintNodesByCondition{}, create(nodes, "", "n", node)); err != nil {
			t.Fatal(err)
		}
	}
	if want := []corev1.Taint{{Key: "node.kubernetes.io/not-ready", Effect: "NoSchedule"}}; !cmp.Equal(node.Spec.Taints, want) {
		t.Errorf("%v", node.Spec.Taints)
	}
}

func TestPriority(t *testing.T) {
	class := func(name string, value int32, isDefault bool) *schedulingv1.PriorityClass {
		return &schedulingv1.PriorityClass{ObjectMeta: named("", name), Value: value, GlobalDefault: isDefault, PreemptionPolicy: ptr.To(corev1.PreemptNever)}
	}
	for _, c := range []struct {
		name    string
		stored  []*schedulingv1.PriorityClass
		pod     func(*corev1.Pod)
		class   string
		value   int32
		preempt corev1.PreemptionPolicy
		want    string
	}{
		{"none", nil, nil, "", 0, corev1.PreemptLowerPriority, ""},
		{"the system's", nil, func(p *corev1.Pod) { p.Spec.PriorityClassName = "system-node-critical" }, "system-node-critical", 2000001000, corev1.PreemptLowerPriority, ""},
		{"by name", []*schedulingv1.PriorityClass{class("a", 5, false)}, func(p *corev1.Pod) { p.Spec.PriorityClassName = "a" }, "a", 5, corev1.PreemptNever, ""},
		{"the least default", []*schedulingv1.PriorityClass{class("a", 5, true), class("b", 3, true)}, nil, "b", 3, corev1.PreemptNever, ""},
		{"unknown", nil, func(p *corev1.Pod) { p.Spec.PriorityClassName = "x" }, "", 0, "", `pods "p" is forbidden: no PriorityClass with name x was found`},
		{"given", nil, func(p *corev1.Pod) { p.Spec.Priority = ptr.To[int32](7) }, "", 0, "",
			`pods "p" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name`},
		{"policy given", nil, func(p *corev1.Pod) { p.Spec.PreemptionPolicy = ptr.To(corev1.PreemptNever) }, "", 0, "",
			`pods "p" is forbidden: the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority admission controller computed PreemptLowerPriority from the given PriorityClass name`},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := &accesstest.Objects{}
			plugin := NewPriority(store)
			for _, s := range c.stored {
				store.Put(priorityClasses, s)
			}
			pod := onePod(c.pod)
			err := run(t, plugin, create(pods, "ns", "p", pod))
			checkText(t, err, c.want)
			if s := pod.Spec; err == nil && (s.PriorityClassName != c.class || *s.Priority != c.value || *s.PreemptionPolicy != c.preempt) {
				t.Errorf("%s %d %s", s.PriorityClassName, *s.Priority, *s.PreemptionPolicy)
			}
		})
	}
	store := &accesstest.Objects{}
	plugin := NewPriority(store)
	store.Put(priorityClasses, class("a", 5, true))
	checkText(t, run(t, plugin, create(priorityClasses, "", "b", class("b", 1, true))),
		`priorityclasses.scheduling.k8s.io "b" is forbidden: PriorityClass a is already marked as default. Only one default can exist`)
	update := create(priorityClasses, "", "a", class("a", 5, true))
	update.Operation = Update
	checkText(t, run(t, plugin, update), "")
	store.Drop(priorityClasses, "", "a")
	checkText(t, run(t, plugin, create(priorityClasses, "", "b", class("b", 1, true))), "")
}

func TestChain(t *testing.T) {
	store := &accesstest.Objects{}
	o := Options{Objects: store, Authorizer: authz.AlwaysAllow{}}
	names := func(o Options) string {
		c, err := New(o)
		if err != nil {
			return err.Error()
		}
		var list []string
		for _, p := range c {
			list = append(list, p.Name())
		}
		return strings.Join(list, " ")
	}
	const usual = "NamespaceLifecycle LimitRanger ServiceAccount TaintNodesByCondition Priority DefaultTolerationSeconds"
	if got := names(o); got != usual {
		t.Error(got)
	}
	o.Disable, o.Enable = []string{"ServiceAccount", "Priority"}, []string{"OwnerReferencesPermissionEnforcement", "LimitRanger"}
	o.RBAC = authz.NewRBAC(store)
	if got := names(o); got != "NamespaceLifecycle LimitRanger TaintNodesByCondition DefaultTolerationSeconds OwnerReferencesPermissionEnforcement RoleEscalation" {
		t.Error(got)
	}
	o.Disable = []string{"LimitRanger"}
	if got := names(o); got != `admission: plugin "LimitRanger" is both enabled and disabled` {
		t.Error(got)
	}
	o.Disable = []string{"Typo"}
	if got := names(o); !strings.HasPrefix(got, `admission: there is no plugin "Typo"; there are NamespaceLifecycle, `) {
		t.Error(got)
	}
}

func TestRoleEscalationPlugin(t *testing.T) {
	rbac := authz.NewRBAC(&accesstest.Objects{})
	plugin := RoleEscalation{authz.Escalation{RBAC: rbac, Authorizer: rbac}}
	role := &rbacv1.Role{ObjectMeta: named("ns", "r"), Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}}
	const refused = "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"ann\" (groups=[]) is attempting to grant RBAC permissions not currently held:\n" +
		"{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\"]}"
	r := create(rbacv1.Resource("roles"), "ns", "r", role)
	checkText(t, run(t, plugin, r), refused)
	r.Operation, r.Old = Update, role.DeepCopy()
	role.Finalizers = []string{"x"}
	checkText(t, run(t, plugin, r), "")
	role.Labels = map[string]string{"a": "b"}
	checkText(t, run(t, plugin, r), refused)
}
