// Package networking defines how traffic gets into the cluster and between pods.
package networking
