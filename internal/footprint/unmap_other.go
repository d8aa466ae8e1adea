//go:build !linux

package footprint

// unmapBinary does nothing: other systems are for development.
func unmapBinary() {}
