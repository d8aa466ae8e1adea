package bootstrap

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/proa-dev/proa/internal/access/authz/aggregate"
	"github.com/proa-dev/proa/internal/registry"
)

// Action is what has to be done to an object.
type Action int

const (
	Keep Action = iota
	Create
	Update
	// Recreate deletes the object and creates it anew: a binding's role cannot change.
	Recreate
)

// Step is one write of a plan. Object is what shall be stored.
type Step struct {
	Action   Action
	Resource schema.GroupVersionResource
	Object   registry.Object
}

// Plan says what to write so that the cluster has the roles and bindings that it needs. existing returns
// the stored object, nil if there is none. Roles come before the bindings to them. Aggregated roles that
// are created have their rules already, so that they can be used before any controller runs.
func Plan(existing func(resource schema.GroupVersionResource, namespace, name string) registry.Object) []Step {
	var steps []Step
	consider := func(resource string, wanted registry.Object) {
		gvr := rbacv1.SchemeGroupVersion.WithResource(resource)
		step := Step{Create, gvr, wanted}
		if old := existing(gvr, wanted.GetNamespace(), wanted.GetName()); old != nil {
			step.Action, step.Object = Reconcile(old, wanted)
		}
		if step.Action != Keep {
			steps = append(steps, step)
		}
	}
	roles := ClusterRoles()
	for _, changed := range aggregate.Roles(roles) {
		i := slices.IndexFunc(roles, func(r *rbacv1.ClusterRole) bool { return r.Name == changed.Name })
		roles[i] = changed
	}
	for _, r := range roles {
		consider("clusterroles", r)
	}
	for _, r := range Roles() {
		consider("roles", r)
	}
	for _, b := range ClusterRoleBindings() {
		consider("clusterrolebindings", b)
	}
	for _, b := range RoleBindings() {
		consider("rolebindings", b)
	}
	return steps
}

// Reconcile adds to a stored role or binding what it lacks and takes nothing away. It leaves alone what is
// annotated with autoupdate=false. The result shares memory with neither argument.
func Reconcile(existing, wanted registry.Object) (Action, registry.Object) {
	if existing.GetAnnotations()[rbacv1.AutoUpdateAnnotationKey] == "false" {
		return Keep, existing
	}
	result := existing.DeepCopyObject().(registry.Object)
	changed := mergeMeta(result, wanted)
	switch w := wanted.(type) {
	case *rbacv1.ClusterRole:
		r := result.(*rbacv1.ClusterRole)
		changed = addSelectors(r, w.AggregationRule) || changed
		// The rules of an aggregated role are what its selectors find.
		if r.AggregationRule == nil {
			changed = addRules(&r.Rules, w.Rules) || changed
		}
	case *rbacv1.Role:
		changed = addRules(&result.(*rbacv1.Role).Rules, w.Rules) || changed
	case *rbacv1.ClusterRoleBinding:
		b := result.(*rbacv1.ClusterRoleBinding)
		if b.RoleRef != w.RoleRef {
			return Recreate, wanted
		}
		changed = addSubjects(&b.Subjects, w.Subjects) || changed
	case *rbacv1.RoleBinding:
		b := result.(*rbacv1.RoleBinding)
		if b.RoleRef != w.RoleRef {
			return Recreate, wanted
		}
		changed = addSubjects(&b.Subjects, w.Subjects) || changed
	}
	if !changed {
		return Keep, existing
	}
	return Update, result
}

// mergeMeta adds labels and annotations; what is stored wins.
func mergeMeta(o, wanted registry.Object) (changed bool) {
	labels, annotations := maps.Clone(wanted.GetLabels()), maps.Clone(wanted.GetAnnotations())
	maps.Copy(labels, o.GetLabels())
	maps.Copy(annotations, o.GetAnnotations())
	changed = len(labels) > len(o.GetLabels()) || len(annotations) > len(o.GetAnnotations())
	o.SetLabels(labels)
	o.SetAnnotations(annotations)
	return changed
}

func addRules(rules *[]rbacv1.PolicyRule, wanted []rbacv1.PolicyRule) (changed bool) {
	_, missing := validation.Covers(*rules, wanted)
	*rules = append(*rules, missing...)
	return len(missing) > 0
}

func addSelectors(r *rbacv1.ClusterRole, wanted *rbacv1.AggregationRule) (changed bool) {
	if wanted == nil {
		changed = r.AggregationRule != nil
		r.AggregationRule = nil
		return changed
	}
	if r.AggregationRule == nil {
		r.AggregationRule = &rbacv1.AggregationRule{}
	}
	has := &r.AggregationRule.ClusterRoleSelectors
	for _, s := range wanted.ClusterRoleSelectors {
		same := func(t metav1.LabelSelector) bool { return equality.Semantic.DeepEqual(s, t) }
		if !slices.ContainsFunc(*has, same) {
			*has = append(*has, s)
			changed = true
		}
	}
	return changed
}

func addSubjects(subjects *[]rbacv1.Subject, wanted []rbacv1.Subject) (changed bool) {
	for _, s := range wanted {
		if !slices.Contains(*subjects, s) {
			*subjects = append(*subjects, s)
			changed = true
		}
	}
	return changed
}
