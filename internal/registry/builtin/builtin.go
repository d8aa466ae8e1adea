// Package builtin lists the resources that Proa has by itself: one line each.
package builtin

import (
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/core"
)

// Types returns the built-in resources, in the order in which discovery shows those of one group.
func Types() []*registry.Type {
	return []*registry.Type{
		core.ConfigMaps.Erase(),
	}
}
