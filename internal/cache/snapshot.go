package cache

import (
	"sort"
	"strings"

	"github.com/proa-dev/proa/internal/store"
	"github.com/tidwall/btree"
)

// tree is the items of a table in the order of their keys. It is copied on write: Copy takes no time,
// and neither copy sees what happens to the other.
type tree = btree.BTreeG[*Item]

func newTree() *tree {
	return btree.NewBTreeGOptions(func(a, b *Item) bool { return a.Key < b.Key }, btree.Options{NoLocks: true})
}

// Snapshot is a table frozen at a revision.
type Snapshot struct {
	tree *tree
	rev  store.Revision
}

// Revision is the one at which the state was frozen.
func (s *Snapshot) Revision() store.Revision { return s.rev }

// Len is the number of all items.
func (s *Snapshot) Len() int { return s.tree.Len() }

// Get returns the item with the key.
func (s *Snapshot) Get(key string) (*Item, bool) {
	return s.tree.Get(&Item{Key: key})
}

// Range calls yield, in the order of the keys, for the items whose key has the prefix and is greater
// than after, until yield returns false. Two empty strings are all.
func (s *Snapshot) Range(prefix, after string, yield func(*Item) bool) {
	s.tree.Ascend(&Item{Key: firstKey(prefix, after)}, func(i *Item) bool {
		return strings.HasPrefix(i.Key, prefix) && yield(i)
	})
}

// CountFrom is how many items Range would yield. It takes no time in proportion to their number.
func (s *Snapshot) CountFrom(prefix, after string) int {
	first := s.rank(firstKey(prefix, after))
	return s.end(first, prefix) - first
}

// rank is how many items have a smaller key.
func (s *Snapshot) rank(key string) int {
	if key == "" {
		return 0
	}
	return sort.Search(s.tree.Len(), func(n int) bool {
		i, _ := s.tree.GetAt(n)
		return i.Key >= key
	})
}

// end is the rank beyond the last item with the prefix, none of which ranks below first.
func (s *Snapshot) end(first int, prefix string) int {
	if prefix == "" {
		return s.tree.Len()
	}
	return first + sort.Search(s.tree.Len()-first, func(n int) bool {
		i, _ := s.tree.GetAt(first + n)
		return !strings.HasPrefix(i.Key, prefix)
	})
}

// firstKey is the smallest key that has the prefix and is greater than after.
func firstKey(prefix, after string) string {
	if after < prefix {
		return prefix
	}
	if after == "" {
		return ""
	}
	return after + "\x00"
}
