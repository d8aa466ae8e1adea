package clienttest

import (
	"fmt"
	"slices"

	"github.com/proa-dev/proa/internal/client"
)

// Action is a write that was asked for, whether it succeeded or not.
type Action struct {
	Verb, Resource, Subresource, Namespace, Name string

	Object client.Object // of create and update
	Patch  string
}

// String is like "update deployments/status ns/name". Of objects whose name the server makes up, the name
// is what it begins with, and a star.
func (a Action) String() string {
	resource := a.Resource
	if a.Subresource != "" {
		resource += "/" + a.Subresource
	}
	name := a.Name
	if a.Namespace != "" {
		name = a.Namespace + "/" + name
	}
	s := fmt.Sprintf("%s %s %s", a.Verb, resource, name)
	if a.Patch != "" {
		s += " " + a.Patch
	}
	return s
}

// Actions are the writes that were asked for since the last call.
func (s *Server) Actions() []Action {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.actions
	s.actions = nil
	return all
}

func isWrite(verb string) bool { return !slices.Contains([]string{"get", "list", "watch"}, verb) }

func actionOf(r *client.Request) Action {
	a := Action{
		Verb: r.Verb, Resource: r.Resource.Resource, Subresource: r.Subresource,
		Namespace: r.Namespace, Name: r.Name, Patch: string(r.Patch),
	}
	if r.Object != nil {
		a.Object = copyOf(r.Object)
		a.Name = r.Object.GetName()
		if a.Name == "" {
			a.Name = r.Object.GetGenerateName() + "*"
		}
	}
	return a
}
