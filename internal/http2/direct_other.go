//go:build !linux || race

package http2

import "net"

// Direct is the listener itself where connections cannot be used directly.
func Direct(l net.Listener) net.Listener { return l }
