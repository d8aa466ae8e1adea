package framework

import (
	"fmt"
	"slices"
	"strings"
)

// explain says why no node will do, as users of Kubernetes know it.
func (f *Framework) explain(c *class, nodes int) string {
	if c.refused != nil {
		return fmt.Sprintf("0/%d nodes are available: %s.", nodes, strings.Join(c.refused.Reasons, ", "))
	}
	if c.nodes != nil && len(c.nodes) == 0 {
		return fmt.Sprintf("0/%d nodes are available: %s.", nodes, f.nobody(c))
	}
	h := histogram{}
	for i := range f.rejected {
		h.add(f.rejected[i].why, 1)
	}
	if rest := nodes - len(f.rejected); rest > 0 {
		h[fmt.Sprintf("node(s) didn't satisfy plugin(s) %v", sortedNames(f, c.limited))] += rest
	}
	return h.message(nodes)
}

// nobody is why the nodes that plugins limit the search to are none.
func (f *Framework) nobody(c *class) string {
	names := sortedNames(f, c.limited)
	if len(names) == 1 {
		return "node(s) didn't satisfy plugin " + names[0]
	}
	return fmt.Sprintf("node(s) didn't satisfy plugin(s) %v simultaneously", names)
}

// histogram is how many nodes were rejected for each reason.
type histogram map[string]int

func (h histogram) add(r *Rejection, nodes int) {
	for _, reason := range r.Reasons {
		h[reason] += nodes
	}
}

func (h histogram) message(nodes int) string {
	lines := make([]string, 0, len(h))
	for reason, count := range h {
		lines = append(lines, fmt.Sprintf("%d %s", count, reason))
	}
	slices.Sort(lines)
	m := fmt.Sprintf("0/%d nodes are available:", nodes)
	if len(lines) > 0 {
		m += " " + strings.Join(lines, ", ") + "."
	}
	return m
}
