package cache

import (
	"sync/atomic"

	"github.com/proa-dev/proa/internal/store"
)

// Item is one object at rest: its encoded bytes and what selectors and indexes ask for.
type Item struct {
	// Key is "namespace/name", or "name".
	Key      string
	UID      string
	Revision store.Revision
	Labels   Labels
	// Fields are the values of the type's selectable fields beyond name and namespace, in its order.
	Fields []string
	// Value is the stored encoding with the resourceVersion in it.
	Value []byte

	memo atomic.Pointer[memo] // what was derived from Value and is worth keeping for a while
}
