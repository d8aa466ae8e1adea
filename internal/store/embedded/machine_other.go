//go:build !linux

package embedded

import "github.com/cockroachdb/pebble/v2/vfs"

// machine is the machine's own file system.
func machine() vfs.FS { return vfs.Default }
