package main

import (
	"fmt"
	"strings"
)

const namespace = "bench"

// Paths of what is written and read.
const (
	configMaps  = "/api/v1/namespaces/" + namespace + "/configmaps"
	pods        = "/api/v1/namespaces/" + namespace + "/pods"
	leases      = "/apis/coordination.k8s.io/v1/namespaces/" + namespace + "/leases"
	deployments = "/apis/apps/v1/namespaces/" + namespace + "/deployments"
)

// configMap is one of about 1 KB.
func configMap(name string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"},"data":{"key":"%s"}}`, name, strings.Repeat("x", 900))
}

// labelled is how many pods of all have the label pick=me.
const labelled = 50

// pod is one of about 1.2 KB, as a controller would make it. A gated one is not to be scheduled yet: it rests
// at both sides, where one without a node would be tried again and again, and one on a node that is not there
// would be deleted.
func pod(n int, gated bool) []byte {
	pick, gates := "no", ""
	if n%(creates/labelled) == 0 {
		pick = "me"
	}
	if gated {
		gates = `"schedulingGates":[{"name":"bench.example/hold"}],`
	}
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"pod-%d","labels":{"app":"bench","pick":"%s",`+
		`"pod-template-hash":"6c5f67b5f7"},"annotations":{"note":"%s"}},"spec":{%s"serviceAccountName":"default","automountServiceAccountToken":false,`+
		`"containers":[{"name":"web","image":"registry.example/web:1.27.3","ports":[{"name":"http","containerPort":8080,"protocol":"TCP"}],`+
		`"env":[{"name":"MODE","value":"production"},{"name":"ZONE","value":"a"}],"resources":{"requests":{"cpu":"100m","memory":"128Mi"},`+
		`"limits":{"memory":"256Mi"}},"readinessProbe":{"httpGet":{"path":"/ready","port":8080},"periodSeconds":5},`+
		`"volumeMounts":[{"name":"data","mountPath":"/data"}]},{"name":"sidecar","image":"registry.example/proxy:2.1","args":["--quiet"]}],`+
		`"volumes":[{"name":"data","emptyDir":{}}],"tolerations":[{"key":"dedicated","operator":"Equal","value":"web","effect":"NoSchedule"}]}}`,
		n, pick, strings.Repeat("n", 120), gates)
}

// lease is a node's heartbeat.
func lease(holder int, revision string, n int) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"lease-%d","namespace":"%s","resourceVersion":"%s"},`+
		`"spec":{"holderIdentity":"node-%d","leaseDurationSeconds":40,"renewTime":"2026-01-01T00:00:00.%06dZ"}}`, holder, namespace, revision, holder, n)
}

// node is as large as those that Proa simulates.
func node(n int) []byte {
	const resources = `{"cpu":"32","memory":"256Gi","pods":"110","ephemeral-storage":"1Ti"}`
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-%d","labels":{"kubernetes.io/hostname":"node-%d",`+
		`"kubernetes.io/os":"linux","kubernetes.io/arch":"amd64"}},"status":{"capacity":%s,"allocatable":%s}}`, n, n, resources, resources)
}

// deployment has no replicas yet.
func deployment(name string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"%s"},"spec":{"replicas":0,`+
		`"selector":{"matchLabels":{"app":"%s"}},"template":{"metadata":{"labels":{"app":"%s"}},"spec":{"containers":[{"name":"web",`+
		`"image":"registry.example/web:1.27.3","ports":[{"containerPort":8080}],"resources":{"requests":{"cpu":"10m","memory":"16Mi"}}}]}}}}`,
		name, name, name)
}
