package apiserver

import (
	"github.com/proa-dev/proa/internal/ownership"
	"github.com/proa-dev/proa/internal/registry"
)

// own records in the object's managedFields whom the fields that the call changes belong to. live is nil
// on create.
func (s *Server) own(c *call, live, o registry.Object) {
	if err := c.res.owner.Update(live, o, s.ownWrite(c)); err != nil {
		// The object has no managedFields then, and is written all the same: so does kube-apiserver.
		s.log.Warn("managedFields could not be computed", "call", c.String(), "err", err)
	}
}

func (s *Server) ownWrite(c *call) ownership.Write {
	return ownership.Write{Version: c.version, Manager: c.manager, Subresource: c.subresource, Now: s.now()}
}
