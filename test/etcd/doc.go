// Package etcd tests what Proa does over a real etcd: the store's contract over one member and three, with
// members that die and networks that break, several servers, and moving in from kube-apiserver and out again.
// It is a module of its own, so that etcd's server does not enter the product's.
package etcd
