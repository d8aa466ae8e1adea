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
	if c.subresource != "scale" || c.typ.Scale.SpecReplicas(o) != 0 || c.typ.Scale.SpecReplicas(live) == 0 {
		return
	}
	// A Scale to 0 does not have the field.
	if entries, err := ownership.FromScale(c.typ, o.GetManagedFields(), c.version.GroupVersion, nil); err == nil {
		o.SetManagedFields(entries)
	} else {
		s.log.Warn("the owner of replicas could not be forgotten", "call", c.String(), "err", err)
	}
}

func (s *Server) ownWrite(c *call) ownership.Write {
	return ownership.Write{Version: c.version, Manager: c.manager, Subresource: c.subresource, Now: s.now()}
}
