// Package peer builds the programs that Proa is compared with: the control plane of Kubernetes, and what else
// people run in the place of its parts (kwok's nodes, kine for etcd). `make` puts them into .tools/ of the checkout.
package peer

import ( // what go.mod pins for the Makefile
	_ "k8s.io/kubernetes/cmd/kube-apiserver/app"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	_ "k8s.io/kubernetes/cmd/kube-scheduler/app"
)
