package framework

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
)

// class is what is kept about pods that are equal to scheduling.
type class struct {
	shape     *cluster.Shape
	namespace string
	used      uint64 // when a pod of it was last decided on, counted in decisions

	judges []Judge // by plugin
	// refused is why no node will do at all, and by which plugin; nil if some may.
	refused   *Rejection
	refusedBy int
	// nodes are the only ones that will do; nil if all may.
	nodes   map[string]bool
	limited Plugins // by whom

	// The places of the judges that have the functions.
	filter, score, observe, filterAmong, scoreAmong []int

	seen     uint64 // generation of the cluster up to which nodes were observed
	verdicts []verdict
	scores   []int64 // of node i by score[j] at i*len(score)+j
}

// status is what came of looking at the class, before any node.
func (c *class) status() Status {
	switch {
	case c.refused == nil:
		return Success
	case c.refused.Final:
		return UnschedulableAndUnresolvable
	}
	return Unschedulable
}

// verdict is what the filters say of a node alone.
type verdict struct {
	generation uint64 // of the node when it was judged; 0 if it was not
	by         int
	rejection  *Rejection
}

// classes are those in use. There are at most maxClasses; the one that was not used for the longest time goes first.
type classes struct {
	all   map[string]*class
	clock uint64
}

const maxClasses = 16

func (s *classes) get(key []byte) *class {
	c := s.all[string(key)]
	if c != nil {
		s.clock++
		c.used = s.clock
	}
	return c
}

func (s *classes) put(key []byte, c *class) {
	if len(s.all) >= maxClasses {
		oldest := ""
		for k, c := range s.all {
			if oldest == "" || c.used < s.all[oldest].used {
				oldest = k
			}
		}
		delete(s.all, oldest)
	}
	s.clock++
	c.used = s.clock
	s.all[string(key)] = c
}

func (s *classes) drop(namespace string) {
	for k, c := range s.all {
		if c.namespace == namespace {
			delete(s.all, k)
		}
	}
}

// classOf is the class of a pod, up to date with the cluster.
func (f *Framework) classOf(pod *corev1.Pod) *class {
	nodes := f.cluster.Nodes()
	if f.layout != f.cluster.Layout() || f.noReuse {
		f.ForgetAll()
		f.layout = f.cluster.Layout()
	}
	f.key = appendKey(f.key[:0], pod)
	c := f.classes.get(f.key)
	if c == nil {
		c = f.newClass(cluster.NewPod(pod))
		c.verdicts = make([]verdict, len(nodes))
		c.scores = make([]int64, len(nodes)*len(c.score))
		f.classes.put(f.key, c)
	}
	c.catchUp(f.cluster, nodes)
	return c
}

func (f *Framework) newClass(p *cluster.Pod) *class {
	c := &class{shape: p.Shape, namespace: p.Namespace, judges: make([]Judge, len(f.plugins))}
	for i := range f.plugins {
		j, refused := f.plugins[i].Judge(p, f.cluster)
		if refused != nil {
			c.refused, c.refusedBy = refused, i
			break
		}
		c.judges[i] = j
		c.list(i, &j)
	}
	return c
}

func (c *class) list(i int, j *Judge) {
	note := func(has bool, list *[]int) {
		if has {
			*list = append(*list, i)
		}
	}
	note(j.Filter != nil, &c.filter)
	note(j.Score != nil, &c.score)
	note(j.Observe != nil, &c.observe)
	note(j.FilterAmong != nil, &c.filterAmong)
	note(j.ScoreAmong != nil, &c.scoreAmong)
	if j.Nodes == nil {
		return
	}
	c.limited |= 1 << i
	allowed := map[string]bool{}
	for _, name := range j.Nodes {
		if c.nodes == nil || c.nodes[name] {
			allowed[name] = true
		}
	}
	c.nodes = allowed
}

// catchUp shows the judges the nodes that have changed since they last saw them.
func (c *class) catchUp(all *cluster.Cluster, nodes []*cluster.Node) {
	switch {
	case len(c.observe) == 0:
	case c.seen == 0:
		for _, n := range nodes {
			c.show(n)
		}
	default:
		all.Changed(c.seen, c.show)
	}
	c.seen = all.Generation()
}

func (c *class) show(n *cluster.Node) {
	for _, i := range c.observe {
		c.judges[i].Observe(n)
	}
}

// judge is what the filters say of a node, which will do if the rejection is nil.
func (c *class) judge(n *cluster.Node) (by int, r *Rejection) {
	v := &c.verdicts[n.Index]
	if v.generation != n.Generation {
		v.generation = n.Generation
		v.by, v.rejection = c.judgeAlone(n)
		if v.rejection == nil {
			for j, i := range c.score {
				c.scores[n.Index*len(c.score)+j] = c.judges[i].Score(n)
			}
		}
	}
	if v.rejection != nil {
		return v.by, v.rejection
	}
	return c.judgeAmong(n)
}

func (c *class) judgeAlone(n *cluster.Node) (by int, r *Rejection) {
	for _, i := range c.filter {
		if r := c.judges[i].Filter(n); r != nil {
			return i, r
		}
	}
	return 0, nil
}

func (c *class) judgeAmong(n *cluster.Node) (by int, r *Rejection) {
	for _, i := range c.filterAmong {
		if r := c.judges[i].FilterAmong(n); r != nil {
			return i, r
		}
	}
	return 0, nil
}

// try is what the filters would say if a node were another than it is. The caller shows them the real one
// afterwards.
func (c *class) try(n *cluster.Node) (by int, r *Rejection) {
	if by, r = c.judgeAlone(n); r != nil {
		return by, r
	}
	c.show(n)
	return c.judgeAmong(n)
}

// allows tells if a node is among those that plugins have limited the search to.
func (c *class) allows(n *cluster.Node) bool { return c.nodes == nil || c.nodes[n.Name] }

func sortedNames(f *Framework, set Plugins) []string {
	names := f.Names(set)
	slices.Sort(names)
	return names
}
