package etcd

import (
	"bytes"
	"sync"

	"github.com/proa-dev/proa/internal/store"
)

// hintsKept is how many of this process's latest writes have their hints kept for the events to come.
const hintsKept = 512

// hints finds the hint of an event by its key and value: what a writer knows of a value is true of equal
// bytes, whoever wrote them.
type hints struct {
	mu    sync.Mutex
	byKey map[string]hinted // guarded by mu, as is what follows
	ring  [hintsKept]string // keys, in the order of writing
	next  int
}

type hinted struct {
	value []byte
	hint  any
	slot  int // in the ring
}

func newHints() *hints { return &hints{byKey: make(map[string]hinted, hintsKept)} }

// add keeps the hints of ops that are about to be written: the event may come before the answer.
func (h *hints) add(t *transaction, ops []store.Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, op := range ops {
		if op.Hint == nil || op.Value == nil {
			continue
		}
		key := t.keys[i]
		if old := h.ring[h.next]; h.byKey[old].slot == h.next {
			delete(h.byKey, old)
		}
		h.ring[h.next] = key
		h.byKey[key] = hinted{value: op.Value, hint: op.Hint, slot: h.next}
		h.next = (h.next + 1) % hintsKept
	}
}

// of is the hint for a value, nil if there is none.
func (h *hints) of(key, value []byte) any {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k, ok := h.byKey[string(key)]; ok && bytes.Equal(k.value, value) {
		return k.hint
	}
	return nil
}
