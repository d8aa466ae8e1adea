package bootstrap

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/proa-dev/proa/internal/access"
)

// Users of the components.
const (
	controllerManager = "system:kube-controller-manager"
	scheduler         = "system:kube-scheduler"
	proxy             = "system:kube-proxy"
	system            = "kube-system"
	public            = "kube-public"
)

// ClusterRoleBindings of every cluster. Each controller's role is bound to the service account of its name.
func ClusterRoleBindings() []*rbacv1.ClusterRoleBinding {
	all := []*rbacv1.ClusterRoleBinding{
		bindCluster("cluster-admin", group(access.MastersGroup)),
		bindCluster("system:monitoring", group("system:monitoring")),
		bindCluster("system:discovery", group(access.AuthenticatedGroup)),
		bindCluster("system:basic-user", group(access.AuthenticatedGroup)),
		bindCluster("system:public-info-viewer", group(access.AuthenticatedGroup), group(access.UnauthenticatedGroup)),
		bindCluster("system:node-proxier", user(proxy)),
		bindCluster("system:kube-controller-manager", user(controllerManager)),
		bindCluster("system:kube-dns", account("kube-dns")),
		bindCluster("system:kube-scheduler", user(scheduler)),
		bindCluster("system:volume-scheduler", user(scheduler)),
		bindCluster("system:node"),
		bindCluster("system:service-account-issuer-discovery", group(access.ServiceAccountsGroup)),
	}
	for _, r := range controllers() {
		all = append(all, bindCluster(r.Name, account(strings.TrimPrefix(r.Name, controllerPrefix))))
	}
	return all
}

// RoleBindings in kube-system and kube-public.
func RoleBindings() []*rbacv1.RoleBinding {
	const (
		lockManager   = "system::leader-locking-kube-controller-manager"
		lockScheduler = "system::leader-locking-kube-scheduler"
		reader        = "extension-apiserver-authentication-reader"
	)
	return []*rbacv1.RoleBinding{
		bind(public, controllerPrefix+"bootstrap-signer", controllerPrefix+"bootstrap-signer", account("bootstrap-signer")),
		bind(system, "system::"+reader, reader, user(controllerManager), user(scheduler)),
		bind(system, lockManager, lockManager,
			user(controllerManager), account("kube-controller-manager"), account("leader-election-controller")),
		bind(system, lockScheduler, lockScheduler, user(scheduler), account("kube-scheduler")),
		bind(system, controllerPrefix+"bootstrap-signer", controllerPrefix+"bootstrap-signer", account("bootstrap-signer")),
		bind(system, controllerPrefix+"cloud-provider", controllerPrefix+"cloud-provider", account("cloud-provider")),
		bind(system, controllerPrefix+"token-cleaner", controllerPrefix+"token-cleaner", account("token-cleaner")),
	}
}

// bindCluster binds the cluster role of the same name.
func bindCluster(name string, subjects ...rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta("", name), Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
	}
}

func bind(namespace, name, role string, subjects ...rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: meta(namespace, name), Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role},
	}
}

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}
}

func group(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: name}
}

// account is a service account of kube-system.
func account(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: system, Name: name}
}
