package cache

import (
	"runtime"
	"sync"

	"github.com/proa-dev/proa/internal/store"
)

// How a table's state is read: one goroutine goes through the store's snapshot and cuts it into chunks,
// workers describe the chunks, and the items go into the tree in the order of the chunks, which are in the
// order of the keys: that is the cheapest way to build a tree. Few chunks are under way at a time.

// chunkSize is how many values are described at a time.
const chunkSize = 256

// chunk is some of a table's values, which become items.
type chunk struct {
	values []store.KV
	items  []*Item
	done   chan struct{} // closed when items is complete
}

// read loads the table's state.
func (t *Table) read(snap store.Snapshot) (*draft, error) {
	d := &draft{table: t, tree: newTree(), floor: snap.Revision()}
	workers := runtime.GOMAXPROCS(0)
	todo := make(chan *chunk, workers)
	inOrder := make(chan *chunk, 2*workers)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for c := range todo {
				t.describeAll(c)
			}
		})
	}
	var err error
	wait.Go(func() {
		defer close(inOrder)
		defer close(todo)
		err = cut(snap, t.schema.Prefix, func(c *chunk) {
			inOrder <- c
			todo <- c
		})
	})
	for c := range inOrder {
		<-c.done
		for _, i := range c.items {
			d.tree.Load(i)
			d.bytes += int64(len(i.Value))
		}
	}
	wait.Wait()
	return d, err
}

// cut passes on what the snapshot has under a prefix, in chunks.
func cut(snap store.Snapshot, prefix string, yield func(*chunk)) error {
	var c *chunk
	err := snap.Range(store.Prefix(prefix), func(kv store.KV) bool {
		if c == nil {
			c = &chunk{done: make(chan struct{})}
		}
		c.values = append(c.values, kv)
		if len(c.values) == chunkSize {
			yield(c)
			c = nil
		}
		return true
	})
	if c != nil {
		yield(c)
	}
	return err
}

func (t *Table) describeAll(c *chunk) {
	defer close(c.done)
	c.items = make([]*Item, 0, len(c.values))
	for n := range c.values {
		if i := t.describe(c.values[n], nil); i != nil {
			c.items = append(c.items, i)
		}
	}
	c.values = nil
}
