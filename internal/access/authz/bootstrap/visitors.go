package bootstrap

import rbacv1 "k8s.io/api/rbac/v1"

// visitors are the roles of those who look around: discovery, health, monitoring, questions about oneself.
func visitors() []*rbacv1.ClusterRole {
	return []*rbacv1.ClusterRole{
		clusterRole("system:discovery",
			visit("get", "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/"),
		),
		clusterRole("system:public-info-viewer",
			visit("get", "/healthz /livez /readyz /version /version/"),
		),
		clusterRole("system:basic-user",
			allow("create", authorization, "selfsubjectaccessreviews selfsubjectrulesreviews"),
			allow("create", authentication, "selfsubjectreviews"),
		),
		clusterRole("system:monitoring",
			visit("get", "/flagz /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/* /statusz"),
			allow("get", core, "nodes/metrics"),
		),
		clusterRole("system:service-account-issuer-discovery",
			visit("get",
				"/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks "+
					"/openid/v1/jwks/"),
		),
		clusterRole("system:heapster",
			allow(read, core, "events namespaces nodes pods"),
			allow(read, extensions, "deployments"),
		),
	}
}
