package cache

import (
	"runtime"
	"sync"

	"github.com/proa-dev/proa/internal/store"
)

// How a table's state is read: one goroutine goes through the store's snapshot and cuts it into chunks,
// workers describe the chunks, and the items go into the tree in the order of the chunks, which are in the
// order of the keys: that is the cheapest way to build a tree. Few chunks are under way at a time, and they are used
// again: of what is read, only the items stay, so that next to no garbage is made on the way.

// How many values are described at a time, or how many bytes of them.
const (
	chunkSize  = 256
	chunkBytes = 1 << 20
)

// ahead is how many chunks may be under way for each worker, so that nobody waits for somebody whose turn on a busy
// machine is late.
const ahead = 8

// chunk is some of a table's values, which become items.
type chunk struct {
	values []store.KV
	room   []byte // where the values lie
	items  []*Item
	done   chan struct{} // has an element when items is complete
}

func newChunk() *chunk { return &chunk{done: make(chan struct{}, 1)} }

// add copies a value that is lent.
func (c *chunk) add(kv store.KV) {
	c.room = append(c.room, kv.Value...)
	kv.Value = c.room[len(c.room)-len(kv.Value):]
	c.values = append(c.values, kv)
}

func (c *chunk) full() bool { return len(c.values) == chunkSize || len(c.room) >= chunkBytes }

// reset empties the chunk; a room that one huge value has made is given up.
func (c *chunk) reset() {
	clear(c.values)
	clear(c.items)
	c.values, c.items, c.room = c.values[:0], c.items[:0], c.room[:0]
	if cap(c.room) > 2*chunkBytes {
		c.room = nil
	}
}

// read loads the table's state.
func (t *Table) read(snap store.Snapshot) (*draft, error) {
	d := &draft{table: t, tree: newTree(), floor: snap.Revision()}
	workers := runtime.GOMAXPROCS(0)
	todo := make(chan *chunk, workers*ahead)
	inOrder := make(chan *chunk, workers*ahead)
	unused := make(chan *chunk, workers*ahead)
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
		err = cut(snap, t.schema.Prefix, unused, func(c *chunk) {
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
		c.reset()
		select {
		case unused <- c:
		default:
		}
	}
	wait.Wait()
	return d, err
}

// cut passes on what the snapshot has under a prefix, in chunks that are unused, or new.
func cut(snap store.Snapshot, prefix string, unused <-chan *chunk, yield func(*chunk)) error {
	all := store.Prefix(prefix)
	all.Lent = true
	var c *chunk
	err := snap.Range(all, func(kv store.KV) bool {
		if c == nil {
			select {
			case c = <-unused:
			default:
				c = newChunk()
			}
		}
		if c.add(kv); c.full() {
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
	for n := range c.values {
		if i := t.describe(c.values[n], nil); i != nil {
			c.items = append(c.items, i)
		}
	}
	c.done <- struct{}{}
}
