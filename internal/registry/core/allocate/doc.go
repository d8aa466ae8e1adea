// Package allocate hands out what Services need from finite ranges: cluster addresses and node ports.
//
// The store is the truth, in kube-apiserver's own layout. An address belongs to whoever has committed the key
// of its IPAddress, and node ports are bits of the one RangeAllocation. Both change in the commit that changes
// the Service: the IPAddress must not be there yet, the RangeAllocation must be as it was read. So no two
// Services get the same, whichever servers make them, and nothing is left behind by a server that dies.
//
// What is in memory (index.go, ports.go) is there to choose well, and may lag: the store decides. A number
// that was chosen and turns out to be taken is a loss (registry.ErrLost), upon which the write begins anew and
// chooses another; one that the client asked for is refused.
//
// A Request is one write: it takes numbers in memory at once, so that writes of one process do not choose the
// same, and in the store when it commits.
package allocate
