// The benchmark beside kube-apiserver and etcd. Nothing here is part of Proa.
module github.com/proa-dev/proa/test/bench

go 1.26.0

require (
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.49.0
)

require golang.org/x/text v0.43.0 // indirect
