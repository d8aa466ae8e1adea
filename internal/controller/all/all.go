// Package all lists the controllers of the control plane. A new one is one line here.
package all

import (
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/clusterroleaggregation"
	"github.com/proa-dev/proa/internal/controller/cronjob"
	"github.com/proa-dev/proa/internal/controller/daemonset"
	"github.com/proa-dev/proa/internal/controller/deployment"
	"github.com/proa-dev/proa/internal/controller/endpoints"
	"github.com/proa-dev/proa/internal/controller/endpointslice"
	"github.com/proa-dev/proa/internal/controller/garbage"
	"github.com/proa-dev/proa/internal/controller/job"
	"github.com/proa-dev/proa/internal/controller/namespace"
	"github.com/proa-dev/proa/internal/controller/nodelifecycle"
	"github.com/proa-dev/proa/internal/controller/podgc"
	"github.com/proa-dev/proa/internal/controller/replicaset"
	"github.com/proa-dev/proa/internal/controller/rootca"
	"github.com/proa-dev/proa/internal/controller/serviceaccount"
	"github.com/proa-dev/proa/internal/controller/serviceaccounttoken"
	"github.com/proa-dev/proa/internal/controller/servicecidr"
	"github.com/proa-dev/proa/internal/controller/tainteviction"
	"github.com/proa-dev/proa/internal/controller/ttlafterfinished"
)

// Entry is one controller.
type Entry struct {
	// Name is the one that kube-controller-manager knows it by.
	Name string
	// Account is the service account in kube-system that it acts as; Name if empty.
	Account string
	// Component is what its events give as their source; Name if empty.
	Component string
	// Start makes the controller and adds its handlers to the informers. It works when it is run.
	Start func(controller.Deps) controller.Runner
}

// Controllers are all of them. They start in this order.
var Controllers = []Entry{
	{Name: "daemonset-controller", Account: "daemon-set-controller", Start: daemonset.New},
	{Name: "endpoints-controller", Account: "endpoint-controller", Component: "endpoint-controller", Start: endpoints.New},
	{Name: "endpointslice-controller", Component: "endpoint-slice-controller", Start: endpointslice.New},
	{Name: "deployment-controller", Start: deployment.New},
	{Name: "replicaset-controller", Start: replicaset.New},
	{Name: "replicationcontroller-controller", Account: "replication-controller", Component: "replication-controller", Start: replicaset.NewForReplicationControllers},
	{Name: "clusterrole-aggregation-controller", Start: clusterroleaggregation.Start},
	{Name: "garbage-collector-controller", Account: "generic-garbage-collector", Start: garbage.Start},
	{Name: "namespace-controller", Start: namespace.Start},
	{Name: "serviceaccount-controller", Account: "service-account-controller", Start: serviceaccount.Start},
	{Name: "serviceaccount-token-controller", Account: "tokens-controller", Start: serviceaccounttoken.Start},
	{Name: "root-ca-certificate-publisher-controller", Account: "root-ca-cert-publisher", Start: rootca.Start},
	{Name: "service-cidr-controller", Account: "service-cidrs-controller", Start: servicecidr.Start},
	{Name: "job-controller", Start: job.Start},
	{Name: "cronjob-controller", Start: cronjob.Start},
	{Name: "ttl-after-finished-controller", Start: ttlafterfinished.Start},
	{Name: "taint-eviction-controller", Account: "node-controller", Start: tainteviction.Start},
	{Name: "pod-garbage-collector-controller", Account: "pod-garbage-collector", Start: podgc.Start},
	{Name: "node-lifecycle-controller", Account: "node-controller", Component: "node-controller", Start: nodelifecycle.Start},
}
