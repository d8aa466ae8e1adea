package queue

import "container/heap"

// ordered is a heap of items, each of which knows its place in it.
type ordered struct {
	items []*Item
	less  func(a, b *Item) bool
}

func (h *ordered) Len() int           { return len(h.items) }
func (h *ordered) Less(i, j int) bool { return h.less(h.items[i], h.items[j]) }

func (h *ordered) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.items[i].index, h.items[j].index = i, j
}

// Push is for the heap package: use put.
func (h *ordered) Push(x any) {
	i := x.(*Item)
	i.index = len(h.items)
	h.items = append(h.items, i)
}

// Pop is for the heap package: use take.
func (h *ordered) Pop() any {
	last := len(h.items) - 1
	i := h.items[last]
	h.items[last] = nil
	h.items = h.items[:last]
	return i
}

func (h *ordered) put(i *Item)    { heap.Push(h, i) }
func (h *ordered) remove(i *Item) { heap.Remove(h, i.index) }
func (h *ordered) fix(i *Item)    { heap.Fix(h, i.index) }

// first is the least item; nil if there is none.
func (h *ordered) first() *Item {
	if len(h.items) == 0 {
		return nil
	}
	return h.items[0]
}
