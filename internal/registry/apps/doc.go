// Package apps defines the workloads: Deployments, ReplicaSets, StatefulSets, DaemonSets and the
// ControllerRevisions that record their histories.
package apps
