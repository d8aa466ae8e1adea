// Command bench measures Proa beside Kubernetes: both in one run, in turn, over HTTPS and HTTP/2, with the same
// bytes on the wire and fsync on. What it reports first is server CPU per operation: user and system time of all
// server processes, from the operating system's accounting, over the operations done. That hardly depends on
// what else the machine does, where throughput and latency do.
//
//	go run . [-rounds N] [-rows REGEXP] [-sides NAMES] [-growth] [-out FILE] [-doc FILE] [-again]
//
// The peers' binaries come from `make -C ../peer`. A row that a side cannot run, or that failed, says so in the
// table. Where the sides cannot be made equal, the doubt is the peer's.
package main
