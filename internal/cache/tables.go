package cache

import (
	"context"
	"fmt"
	"strings"
)

// Table returns the table of a resource, or ErrNoTable.
func (c *Cache) Table(resource string) (*Table, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	t := c.tables[resource]
	if t == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoTable, resource)
	}
	return t, nil
}

// Add adds a table. Before Run it is only registered, and Run loads it; later Add returns when the table
// is live.
func (c *Cache) Add(ctx context.Context, s Schema) (*Table, error) {
	tables, err := c.AddAll(ctx, []Schema{s})
	if err != nil {
		return nil, err
	}
	return tables[0], nil
}

// AddAll adds several tables, or none if it fails. While the cache runs this reads the store's past once
// for all of them.
func (c *Cache) AddAll(ctx context.Context, schemas []Schema) ([]*Table, error) {
	tables, err := c.register(schemas)
	if err != nil {
		return nil, err
	}
	if err := c.join(ctx, tables); err != nil {
		c.remove(tables)
		return nil, err
	}
	return tables, nil
}

// Remove takes a table out. Its watchers end with ErrNoTable, and so do reads.
func (c *Cache) Remove(resource string) error {
	t, err := c.Table(resource)
	if err != nil {
		return err
	}
	c.remove([]*Table{t})
	return nil
}

// register makes the feeder know the tables, all between the same two batches.
func (c *Cache) register(schemas []Schema) ([]*Table, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var tables []*Table
	for _, s := range schemas {
		if err := c.fits(s, schemas[:len(tables)]); err != nil {
			return nil, err
		}
		tables = append(tables, newTable(c, s))
	}
	for _, t := range tables {
		c.tables[t.schema.Resource] = t
		c.routes[t.schema.Prefix] = t
	}
	return tables, nil
}

// fits says whether a schema is sound beside those that are there. The cache's mu is held.
func (c *Cache) fits(s Schema, beside []Schema) error {
	if s.Resource == "" || s.Describe == nil || !strings.HasSuffix(s.Prefix, "/") {
		return fmt.Errorf("cache: the schema of %q needs a name, a prefix with a final slash and Describe", s.Resource)
	}
	for _, t := range c.tables {
		if err := s.clash(t.schema); err != nil {
			return err
		}
	}
	for _, other := range beside {
		if err := s.clash(other); err != nil {
			return err
		}
	}
	return nil
}

func (s Schema) clash(other Schema) error {
	if s.Resource == other.Resource {
		return fmt.Errorf("cache: there is a table of %q already", s.Resource)
	}
	if strings.HasPrefix(s.Prefix, other.Prefix) || strings.HasPrefix(other.Prefix, s.Prefix) {
		return fmt.Errorf("cache: the prefix %q of %q overlaps %q of %q", s.Prefix, s.Resource, other.Prefix, other.Resource)
	}
	return nil
}

// join makes registered tables live, or leaves that to Run.
func (c *Cache) join(ctx context.Context, tables []*Table) error {
	c.mu.RLock()
	running := c.running
	c.mu.RUnlock()
	if !running {
		return nil
	}
	if err := c.Ready(ctx); err != nil {
		return err
	}
	release, err := c.loading(ctx)
	if err != nil {
		return err
	}
	defer release()
	var late []*Table
	for _, t := range tables {
		if !t.started() {
			late = append(late, t)
		}
	}
	if len(late) == 0 {
		return nil
	}
	_, err = c.install(ctx, late)
	return err
}

// started says whether the table needs no loading any more.
func (t *Table) started() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.phase != joining
}

// loading takes the loader's token.
func (c *Cache) loading(ctx context.Context) (release func(), err error) {
	select {
	case c.loader <- struct{}{}:
		return func() { <-c.loader }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *Cache) remove(tables []*Table) {
	c.mu.Lock()
	for _, t := range tables {
		if c.tables[t.schema.Resource] == t {
			delete(c.tables, t.schema.Resource)
			delete(c.routes, t.schema.Prefix)
		}
	}
	c.mu.Unlock()
	for _, t := range tables {
		t.remove()
	}
}

// remove ends the table's life.
func (t *Table) remove() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phase = removed
	t.empty(ErrNoTable)
	t.tree, t.backlog, t.bytes = newTree(), nil, 0
}

// empty ends the watchers and gives up the past and what the items remember. The table's mu is held for
// writing.
func (t *Table) empty(reason error) {
	for _, w := range t.interest.watchers() {
		t.end(w, reason)
	}
	for t.window.len() > 0 {
		t.retire(t.window.drop())
	}
	t.tree.Scan(func(i *Item) bool {
		t.cache.memos.retire(i)
		return true
	})
	t.frozen, t.past = nil, nil
}

// all returns the tables, in no order.
func (c *Cache) all() []*Table {
	c.mu.RLock()
	defer c.mu.RUnlock()
	tables := make([]*Table, 0, len(c.tables))
	for _, t := range c.tables {
		tables = append(tables, t)
	}
	return tables
}

// route finds the table of a store's key; nil if there is none. The cache's mu is held.
func (c *Cache) route(key string) *Table { return lookup(c.routes, key) }

// lookup finds what is filed under one of the key's prefixes that end with a slash.
func lookup[T any](byPrefix map[string]*T, key string) *T {
	for end := len(key); ; {
		end = strings.LastIndexByte(key[:end], '/')
		if end < 0 {
			return nil
		}
		if found := byPrefix[key[:end+1]]; found != nil {
			return found
		}
	}
}
