package registry

import (
	"context"
	"errors"

	"github.com/proa-dev/proa/internal/store"
)

// Claim is what a write takes and gives back beside its object: keys that no two objects may have at once,
// such as an address. They change in the commit that changes the object, or not at all, so that servers over
// one store agree on them without talking to each other, and a server that dies leaves nothing behind.
type Claim interface {
	// Commit commits the write's own operation and, with it, what the claim takes and gives back. A
	// ConflictError is about the own key. ErrLost means that others have taken what Begin chose; if they
	// have taken what the client asked for by name, the error is the client's answer.
	Commit(ctx context.Context, own store.Op) (store.Revision, error)
	// End lets go of what has not been committed. It is called once, last.
	End()
}

// ErrLost tells that a write must be decided anew, because others have taken what was chosen for it.
var ErrLost = errors.New("others have taken what was chosen")
