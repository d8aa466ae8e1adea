// Package peer builds the programs that Proa is compared with: kube-apiserver
// and etcd. `make` puts them into .tools/ of the checkout.
package peer

import _ "k8s.io/kubernetes/cmd/kube-apiserver/app" // what go.mod pins for the Makefile
