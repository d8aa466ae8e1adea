package embedded

import "github.com/cockroachdb/pebble/v2"

// memory is what Pebble may have of the process's: its block cache and its memtables.
//
// Pebble takes every memtable's size out of the block cache. With a cache that is no larger than a few
// memtables nothing stays in it under load, and each look-up of a commit reads the Bloom filters from
// files, which costs more than all else that a commit does. So the cache is made larger by what memtables
// can take at most. Until they have grown to their size, that share is held back: a store that is read
// only at start, or little used, stays small.
type memory struct {
	cache *pebble.Cache
	// next is at most the size of the next memtable, and full that of a grown one.
	next, full int64
	// grown gives the share of the memtables free; nil once it has. Pebble calls rotated from one goroutine
	// at a time.
	grown func()
}

const (
	// memTables is how many memtables there may be before writes wait for a flush. Pebble keeps three at rest: the
	// present one, one to use again, and one that a list of old ones still points to.
	memTables = 7
	// firstMemTable is the size of Pebble's first memtable. Each is twice as large as the one before.
	firstMemTable = 256 << 10
)

func newMemory(opts Options) *memory {
	// One more than memTables: Pebble keeps an empty one for the next.
	share := (memTables + 1) * opts.MemTableBytes
	m := &memory{cache: pebble.NewCache(opts.CacheBytes + share), next: firstMemTable, full: opts.MemTableBytes}
	m.grown = m.cache.Reserve(int(share))
	return m
}

// rotated is told of every flush, of one memtable or several.
func (m *memory) rotated() {
	m.next = min(2*m.next, m.full)
	if m.next == m.full && m.grown != nil {
		m.grown()
		m.grown = nil
	}
}
