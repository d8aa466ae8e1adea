// Package informer is the client's half of list-watch: it keeps a local, indexed copy of a resource and
// calls handlers on every change of it; and it has the work queue and the workers with which a control
// loop follows up.
//
// The parts, each in its file: reflector (list, then watch, resuming where it was), index (the local
// copy), listener (one handler and its delta queue: what happened to each key, in order, not yet handled),
// informer (the three together), set (informers shared by all who want the same resource), queue (keys to
// work on), worker (who works on them), stats and metrics (what all of them count).
package informer
