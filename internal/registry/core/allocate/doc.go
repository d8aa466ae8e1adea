// Package allocate hands out what Services need from finite ranges: cluster addresses and node ports.
//
// Everything lives in memory. What is taken is what the stored Services hold: the server calls Hold for
// each of them before it serves, and from then on every write passes through a Request. A Request takes
// at once, so that no two requests in flight get the same number, and gives back late: what it took, if
// the write fails; what the old object held and the new one does not, once the write is committed. An
// error can therefore leak a number until the next start but never hand one out twice.
package allocate
