package bootstrap

import rbacv1 "k8s.io/api/rbac/v1"

// certificateRoles are the roles of those who ask for certificates and of those who approve them.
func certificateRoles() []*rbacv1.ClusterRole {
	return []*rbacv1.ClusterRole{
		clusterRole("system:certificates.k8s.io:certificatesigningrequests:nodeclient",
			allow("create", certificates, "certificatesigningrequests/nodeclient"),
		),
		clusterRole("system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
			allow("create", certificates, "certificatesigningrequests/selfnodeclient"),
		),
		clusterRole("system:certificates.k8s.io:kube-apiserver-client-approver",
			allow("approve", certificates, "signers", "kubernetes.io/kube-apiserver-client"),
		),
		clusterRole("system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
			allow("approve", certificates, "signers", "kubernetes.io/kube-apiserver-client-kubelet"),
		),
		clusterRole("system:certificates.k8s.io:kubelet-serving-approver",
			allow("approve", certificates, "signers", "kubernetes.io/kubelet-serving"),
		),
		clusterRole("system:certificates.k8s.io:legacy-unknown-approver",
			allow("approve", certificates, "signers", "kubernetes.io/legacy-unknown"),
		),
	}
}
