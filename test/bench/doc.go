// Command bench measures Proa beside kube-apiserver and etcd: both in one run, in turn, over HTTPS and HTTP/2,
// with the same bytes on the wire and fsync on. What it reports first is server CPU per operation: user and
// system time of all server processes, from the operating system's accounting, over the operations done. That
// hardly depends on what else the machine does, where throughput and latency do.
//
//	go run . [-rounds N] [-rows REGEXP] [-proa BINARY] [-tools DIR] [-out FILE.json] [-svg FILE]
//
// The peer's binaries come from `make -C ../peer`. A row that a side cannot run, or that failed, says so in the
// table.
package main
