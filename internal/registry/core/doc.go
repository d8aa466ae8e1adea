// Package core defines the resources of the core group.
package core
