package cache

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/selection"

	"github.com/proa-dev/proa/internal/store"
)

// interest finds the watchers that may want a change. Each watcher stands in one bucket, by the most
// telling thing its selector fixes: key, then name, then an indexed field, then a label, then namespace, then
// nothing. A change looks into the few buckets that its own key and values name. Guarded by the table's mu.
type interest struct {
	indexed []int // positions in Item.Fields, as in Schema.Indexed

	all         bucket
	byKey       map[string]*bucket
	byName      map[string]*bucket
	byNamespace map[string]*bucket
	byField     []map[string]*bucket // one for each of indexed
	byLabel     map[string]*bucket   // by labelKey

	scratch []byte // of labelKey

	count int
}

// bucket is the watchers that fix the same thing.
type bucket struct {
	watchers []*Watcher
	home     map[string]*bucket // where an empty bucket is taken out; nil for the one of all
	value    string             // its key there
}

func newInterest(indexed []int) interest {
	x := interest{
		indexed:     indexed,
		byKey:       map[string]*bucket{},
		byName:      map[string]*bucket{},
		byNamespace: map[string]*bucket{},
		byLabel:     map[string]*bucket{},
	}
	for range indexed {
		x.byField = append(x.byField, map[string]*bucket{})
	}
	return x
}

func (x *interest) add(w *Watcher) {
	b := x.choose(&w.selector)
	w.bucket, w.place = b, len(b.watchers)
	b.watchers = append(b.watchers, w)
	x.count++
}

func (x *interest) remove(w *Watcher) {
	b := w.bucket
	last := len(b.watchers) - 1
	b.watchers[w.place] = b.watchers[last]
	b.watchers[w.place].place = w.place
	b.watchers[last] = nil
	b.watchers = b.watchers[:last]
	w.bucket = nil
	x.count--
	if last == 0 && b.home != nil {
		delete(b.home, b.value)
	}
}

// watchers returns all, in no order.
func (x *interest) watchers() []*Watcher {
	found := slices.Clone(x.all.watchers)
	for _, buckets := range append([]map[string]*bucket{x.byKey, x.byName, x.byNamespace, x.byLabel}, x.byField...) {
		for _, b := range buckets {
			found = append(found, b.watchers...)
		}
	}
	return found
}

func (x *interest) choose(s *Selector) *bucket {
	switch {
	case s.Name != "" && s.Namespace != "":
		return bucketFor(x.byKey, s.Namespace+"/"+s.Name)
	case s.Name != "":
		return bucketFor(x.byName, s.Name)
	}
	for n, field := range x.indexed {
		for _, d := range s.Fields {
			if d.Field == field && !d.Not {
				return bucketFor(x.byField[n], d.Value)
			}
		}
	}
	if key, value, ok := s.fixedLabel(); ok {
		return bucketFor(x.byLabel, string(appendLabelKey(nil, key, value)))
	}
	if s.Namespace != "" {
		return bucketFor(x.byNamespace, s.Namespace)
	}
	return &x.all
}

// fixedLabel is a label that whatever the selector wants has, if it says so.
func (s *Selector) fixedLabel() (key, value string, ok bool) {
	if s.Labels == nil {
		return "", "", false
	}
	requirements, _ := s.Labels.Requirements()
	for _, r := range requirements {
		switch r.Operator() {
		case selection.Equals, selection.DoubleEquals, selection.In:
			if values := r.ValuesUnsorted(); len(values) == 1 {
				return r.Key(), values[0], true
			}
		}
	}
	return "", "", false
}

// appendLabelKey appends what tells a label from all others: neither key nor value has a '='.
func appendLabelKey(b []byte, key, value string) []byte {
	return append(append(append(b, key...), '='), value...)
}

func bucketFor(home map[string]*bucket, value string) *bucket {
	b := home[value]
	if b == nil {
		b = &bucket{home: home, value: value}
		home[value] = b
	}
	return b
}

// find appends the buckets whose watchers may want the change.
func (x *interest) find(found []*bucket, c *change) []*bucket {
	key := c.key()
	namespace, name := splitKey(key)
	found = appendBucket(found, x.byKey, key)
	found = appendBucket(found, x.byName, name)
	found = appendBucket(found, x.byNamespace, namespace)
	for n, field := range x.indexed {
		if len(x.byField[n]) == 0 {
			continue
		}
		if c.item != nil {
			found = appendBucket(found, x.byField[n], c.item.field(field))
		}
		if c.prev != nil && (c.item == nil || c.item.field(field) != c.prev.field(field)) {
			found = appendBucket(found, x.byField[n], c.prev.field(field))
		}
	}
	if len(x.byLabel) > 0 {
		found = x.findLabels(found, c.item, nil)
		found = x.findLabels(found, c.prev, c.item)
	}
	if len(x.all.watchers) > 0 {
		found = append(found, &x.all)
	}
	return found
}

// findLabels appends the buckets of an item's labels, without those that another has as well.
func (x *interest) findLabels(found []*bucket, i, without *Item) []*bucket {
	if i == nil {
		return found
	}
	for key, value := range i.Labels.All() {
		if without != nil {
			if other, ok := without.Labels.Lookup(key); ok && other == value {
				continue
			}
		}
		x.scratch = appendLabelKey(x.scratch[:0], key, value)
		if b := x.byLabel[string(x.scratch)]; b != nil {
			found = append(found, b)
		}
	}
	return found
}

func appendBucket(found []*bucket, home map[string]*bucket, value string) []*bucket {
	if len(home) == 0 {
		return found
	}
	if b := home[value]; b != nil {
		return append(found, b)
	}
	return found
}

// selectsKey says whether the selector wants the key, whatever its value.
func (s *Selector) selectsKey(key string) bool {
	if s.Namespace == "" && s.Name == "" {
		return true
	}
	if n := len(s.Namespace); s.Name == "" {
		return len(key) > n && key[n] == '/' && key[:n] == s.Namespace
	}
	namespace, name := splitKey(key)
	return (s.Namespace == "" || s.Namespace == namespace) && s.Name == name
}

// selectsItem says whether the selector wants an item whose key it wants.
func (s *Selector) selectsItem(i *Item) bool {
	if i == nil {
		return false
	}
	if s.mark != "" && !strings.Contains(i.Labels.packed, s.mark) {
		return false
	}
	for _, d := range s.Fields {
		if (i.field(d.Field) == d.Value) == d.Not {
			return false
		}
	}
	return s.Labels == nil || s.Labels.Matches(&i.Labels)
}

// Selects says whether the selector wants the item.
func (s *Selector) Selects(i *Item) bool {
	return s.selectsKey(i.Key) && s.selectsItem(i)
}

// see is what a change means to the selector of a watcher that wants what comes after a revision.
func (s *Selector) see(c *change, after store.Revision) (EventType, bool) {
	if c.rev <= after || !s.selectsKey(c.key()) {
		return 0, false
	}
	before, now := s.selectsItem(c.prev), s.selectsItem(c.item)
	switch {
	case before && now:
		return Modified, true
	case now:
		return Added, true
	default:
		return Deleted, before
	}
}

// prefix is one that all wanted keys have.
func (s *Selector) prefix() string {
	switch {
	case s.Namespace == "":
		return ""
	case s.Name == "":
		return s.Namespace + "/"
	default:
		return s.Namespace + "/" + s.Name
	}
}

func (i *Item) field(n int) string {
	switch {
	case n == FieldName:
		_, name := splitKey(i.Key)
		return name
	case n == FieldNamespace:
		namespace, _ := splitKey(i.Key)
		return namespace
	default:
		return i.Fields.At(n)
	}
}

func splitKey(key string) (namespace, name string) {
	if slash := strings.IndexByte(key, '/'); slash >= 0 {
		return key[:slash], key[slash+1:]
	}
	return "", key
}
