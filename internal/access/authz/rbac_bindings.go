package authz

import (
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/registry"
)

func (r *RBAC) clusterBindingChanged(_, name string, o registry.Object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removeBinding(objectKey{"", name})
	if b, ok := o.(*rbacv1.ClusterRoleBinding); ok {
		r.addBinding(objectKey{"", name}, b.RoleRef, b.Subjects)
	}
}

func (r *RBAC) bindingChanged(namespace, name string, o registry.Object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removeBinding(objectKey{namespace, name})
	if b, ok := o.(*rbacv1.RoleBinding); ok {
		r.addBinding(objectKey{namespace, name}, b.RoleRef, b.Subjects)
	}
}

func (r *RBAC) addBinding(key objectKey, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
	index := &r.cluster
	if key.namespace != "" {
		if r.namespaces[key.namespace] == nil {
			g := newGrants()
			r.namespaces[key.namespace] = &g
		}
		index = r.namespaces[key.namespace]
	}
	s := r.slot(refKey(ref, key.namespace))
	var all []placed
	for _, subject := range subjects {
		name, isGroup := subjectName(subject, key.namespace)
		if name == "" {
			continue
		}
		g := &grant{slot: s, reason: reason(key, ref, subject)}
		index.subjects(isGroup)[name] = append(index.subjects(isGroup)[name], g)
		all = append(all, placed{g, name, isGroup})
	}
	s.count += len(all)
	r.release(s)
	if len(all) > 0 {
		r.bindings[key] = all
	}
}

func (r *RBAC) removeBinding(key objectKey) {
	index := &r.cluster
	if key.namespace != "" {
		index = r.namespaces[key.namespace]
	}
	for _, p := range r.bindings[key] {
		m := index.subjects(p.isGroup)
		m[p.subject] = slices.DeleteFunc(m[p.subject], func(g *grant) bool { return g == p.grant })
		if len(m[p.subject]) == 0 {
			delete(m, p.subject)
		}
		p.slot.count--
		r.release(p.slot)
	}
	delete(r.bindings, key)
	if key.namespace != "" && index != nil && len(index.users)+len(index.groups) == 0 {
		delete(r.namespaces, key.namespace)
	}
}

func (g *grants) subjects(areGroups bool) map[string][]*grant {
	if areGroups {
		return g.groups
	}
	return g.users
}

// subjectName is the user or group that a subject means, "" if it means nobody. A service account without
// a namespace is one of the binding's.
func subjectName(s rbacv1.Subject, namespace string) (name string, isGroup bool) {
	switch s.Kind {
	case rbacv1.UserKind:
		return s.Name, false
	case rbacv1.GroupKind:
		return s.Name, true
	case rbacv1.ServiceAccountKind:
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		if namespace == "" {
			return "", false
		}
		return access.ServiceAccountPrefix + namespace + ":" + s.Name, false
	}
	return "", false
}

// reason is what an allowed request's audit event says. Names of namespaced things stand before their
// namespaces there.
func reason(key objectKey, ref rbacv1.RoleRef, s rbacv1.Subject) string {
	kind, name := "ClusterRoleBinding", key.name
	if key.namespace != "" {
		kind, name = "RoleBinding", key.name+"/"+key.namespace
	}
	subject := s.Name
	if s.Kind == rbacv1.ServiceAccountKind {
		namespace := s.Namespace
		if namespace == "" {
			namespace = key.namespace
		}
		subject += "/" + namespace
	}
	return fmt.Sprintf("RBAC: allowed by %s %q of %s %q to %s %q", kind, name, ref.Kind, ref.Name, s.Kind, subject)
}
