// Package ownership keeps metadata.managedFields: who owns which field of an object.
//
// Every write records what it changed. A create, update or patch takes over the fields whose values it
// changed (operation Update); a server-side apply owns what its document names (operation Apply), is refused
// where that conflicts with another owner, and removes what it no longer names.
//
// The rules are those of structured-merge-diff and of Kubernetes' field manager, to the byte. Apply uses
// these libraries themselves, with schemas built by package shape. The plain writes are far more frequent and
// take a path of their own:
//
//  1. A plan is compiled from the Go type, once for each version and subresource: fields in the order of
//     their JSON names, where they lie in memory, when JSON omits them, how lists tell items apart. Fields
//     that are never tracked, and those that a subresource resets, are not in the plan.
//  2. A walk over the old and the new object, side by side, writes down the paths that were added, modified
//     or removed, as one sorted tree in a flat slice (tree.go). Nothing is allocated for what did not change.
//  3. Each other manager's entry is read into such a tree, the changed paths are taken out, and it is encoded
//     again if that touched it. The writer's own entry gains what was added and modified.
//
// The tests hold all of it against the libraries, on random objects and random histories of writes.
package ownership
