package informer

import (
	"fmt"
	"sync"

	"github.com/proa-dev/proa/internal/client"
)

// index is the local copy: objects by namespace and name, and by whatever indexes were added. There is one
// writer at a time (the informer's lock sees to it) and any number of readers, who wait for single
// writes only: what takes long is built aside and swapped in.
type index[T any] struct {
	mu    sync.RWMutex // guards all below against readers
	items objects[T]
	count int
	by    map[string]*lookup[T]
}

// objects are objects by namespace, then by name. There are no empty namespaces.
type objects[T any] map[string]map[string]*T

// lookup is one added index.
type lookup[T any] struct {
	values  func(*T) []string
	objects map[string]map[*T]struct{} // no empty sets
}

func newIndex[T any]() *index[T] {
	return &index[T]{items: objects[T]{}, by: map[string]*lookup[T]{}}
}

func (x *index[T]) get(k Key) (*T, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	o, ok := x.items[k.Namespace][k.Name]
	return o, ok
}

func (x *index[T]) len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.count
}

func (x *index[T]) list() []*T {
	x.mu.RLock()
	defer x.mu.RUnlock()
	all := make([]*T, 0, x.count)
	for _, objects := range x.items {
		for _, o := range objects {
			all = append(all, o)
		}
	}
	return all
}

func (x *index[T]) inNamespace(namespace string) []*T {
	x.mu.RLock()
	defer x.mu.RUnlock()
	objects := x.items[namespace]
	found := make([]*T, 0, len(objects))
	for _, o := range objects {
		found = append(found, o)
	}
	return found
}

func (x *index[T]) byIndex(name, value string) []*T {
	x.mu.RLock()
	defer x.mu.RUnlock()
	l, ok := x.by[name]
	if !ok {
		panic(fmt.Sprintf("informer: no index %q was added", name))
	}
	found := make([]*T, 0, len(l.objects[value]))
	for o := range l.objects[value] {
		found = append(found, o)
	}
	return found
}

func (x *index[T]) addIndex(name string, values func(*T) []string) {
	if _, ok := x.by[name]; ok {
		return
	}
	l := newLookup(values, x.items)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.by[name] = l
}

// put stores an object and returns the one it replaces.
func (x *index[T]) put(k Key, o *T) (old *T) {
	x.mu.Lock()
	defer x.mu.Unlock()
	old = x.items.put(k, o)
	if old == nil {
		x.count++
	}
	for _, l := range x.by {
		l.remove(old)
		l.add(o)
	}
	return old
}

// drop removes an object and returns it, nil if there is none.
func (x *index[T]) drop(k Key) (old *T) {
	x.mu.Lock()
	defer x.mu.Unlock()
	old = x.items.drop(k)
	if old == nil {
		return nil
	}
	x.count--
	for _, l := range x.by {
		l.remove(old)
	}
	return old
}

// replace makes the copy hold just these objects.
func (x *index[T]) replace(items objects[T]) {
	by := make(map[string]*lookup[T], len(x.by))
	for name, l := range x.by {
		by[name] = newLookup(l.values, items)
	}
	count := 0
	for _, objects := range items {
		count += len(objects)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.items, x.by, x.count = items, by, count
}

func (m objects[T]) put(k Key, o *T) (old *T) {
	names := m[k.Namespace]
	if names == nil {
		names = map[string]*T{}
		m[k.Namespace] = names
	}
	old = names[k.Name]
	names[k.Name] = o
	return old
}

func (m objects[T]) drop(k Key) (old *T) {
	names := m[k.Namespace]
	old = names[k.Name]
	delete(names, k.Name)
	if len(names) == 0 {
		delete(m, k.Namespace)
	}
	return old
}

func newLookup[T any](values func(*T) []string, items objects[T]) *lookup[T] {
	l := &lookup[T]{values: values, objects: map[string]map[*T]struct{}{}}
	for _, objects := range items {
		for _, o := range objects {
			l.add(o)
		}
	}
	return l
}

func (l *lookup[T]) add(o *T) {
	for _, v := range l.values(o) {
		set := l.objects[v]
		if set == nil {
			set = map[*T]struct{}{}
			l.objects[v] = set
		}
		set[o] = struct{}{}
	}
}

// remove does nothing for nil.
func (l *lookup[T]) remove(o *T) {
	if o == nil {
		return
	}
	for _, v := range l.values(o) {
		delete(l.objects[v], o)
		if len(l.objects[v]) == 0 {
			delete(l.objects, v)
		}
	}
}

func keyOf[T any](o *T) Key { return KeyOf(any(o).(client.Object)) }
