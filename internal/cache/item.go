package cache

import (
	"bytes"
	"sync/atomic"

	"github.com/proa-dev/proa/internal/store"
)

// Item is one object at rest: its encoded bytes and what selectors and indexes ask for.
type Item struct {
	// Key is "namespace/name", or "name". The cache sets it.
	Key string
	UID string
	// Revision is that of the object's last change. The cache sets it.
	Revision store.Revision
	Labels   Labels
	// Fields are the values of the type's selectable fields beyond name and namespace, in its order.
	Fields Fields
	// Value is the stored encoding with the resourceVersion in it.
	Value []byte

	// memo is what was derived from Value and is worth keeping for a while; the cache's cold mark while
	// there is nothing; nil when the item is not in a cache or is out of its state and window.
	memo atomic.Pointer[memo]
}

// Encoding returns what make derives from the item, such as its JSON in some version, and remembers it
// under the form's name while it is hot. However many ask at a time, make runs once; an error is not
// remembered. The bytes are shared: nobody changes them.
func (i *Item) Encoding(form string, make func() ([]byte, error)) ([]byte, error) {
	m := i.warm()
	if m == nil {
		return make()
	}
	f := m.form(form)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bytes != nil {
		return f.bytes, nil
	}
	b, err := make()
	m.charge(int64(len(b)))
	if err != nil {
		return nil, err
	}
	if cap(b) > len(b)+len(b)/8 {
		b = bytes.Clone(b) // what stays takes no more room than it needs
	}
	f.bytes = b
	return b, nil
}

// Object returns the item decoded: the one shared object as long as anybody in the process holds it,
// else what decode makes. The object must be a pointer to be shared, and nobody changes it.
func (i *Item) Object(decode func() (any, error)) (any, error) {
	m := i.warm()
	if m == nil {
		return decode()
	}
	m.object.mu.Lock()
	defer m.object.mu.Unlock()
	if object := m.object.get(); object != nil {
		return object, nil
	}
	object, err := decode()
	m.charge(0)
	if err != nil {
		return nil, err
	}
	m.object.set(object)
	return object, nil
}

// Share makes an object what Object returns, as long as anybody holds it. Schema.Describe calls it with
// what the writer's hint holds, so that those who see the event soon need not decode it.
func (i *Item) Share(object any) {
	m := i.memo.Load()
	if m == nil {
		m = &memo{item: i, place: -1}
		i.memo.Store(m)
	}
	m.object.mu.Lock()
	defer m.object.mu.Unlock()
	m.object.set(object)
}

// warm returns the item's own memo, with a new one in place of the cold mark; nil if the item has no
// place in a cache.
func (i *Item) warm() *memo {
	for {
		m := i.memo.Load()
		if m == nil {
			return nil
		}
		if m.item != nil {
			m.touch()
			return m
		}
		fresh := &memo{owner: m.owner, item: i, place: -1}
		if i.memo.CompareAndSwap(m, fresh) {
			return fresh
		}
	}
}

// pack moves the item's texts into one string: one small thing on the heap in place of a dozen.
func (i *Item) pack() {
	text := i.Key + i.UID + i.Labels.packed + i.Fields.packed
	for _, part := range []*string{&i.Key, &i.UID, &i.Labels.packed, &i.Fields.packed} {
		*part, text = text[:len(*part)], text[len(*part):]
	}
}

// at is the item with another revision, its value as it is.
func (i *Item) at(rev store.Revision) *Item {
	return &Item{Key: i.Key, UID: i.UID, Revision: rev, Labels: i.Labels, Fields: i.Fields, Value: i.Value}
}
