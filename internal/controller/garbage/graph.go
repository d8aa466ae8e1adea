package garbage

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// resource is a resource whose objects can own and be owned.
type resource struct {
	schema.GroupVersionResource
	Kind       string
	Namespaced bool
}

// node is an object as an informer last told of it. Its fields never change.
type node struct {
	of *monitor
	*metav1.PartialObjectMetadata
}

// graph is who owns whom, as far as the informers know. An owner is known by its UID alone, so a reference
// can be there before its owner is, and after it.
//
// Its methods that take a change return the objects that have to be looked at because of it. Until it is
// live there are none: while the first lists come in, nearly every owner seems absent.
type graph struct {
	mu         sync.Mutex
	live       bool // guarded by mu, as all below
	nodes      map[types.UID]*node
	dependents map[types.UID]map[types.UID]struct{} // no empty sets
}

func newGraph() *graph {
	return &graph{nodes: map[types.UID]*node{}, dependents: map[types.UID]map[types.UID]struct{}{}}
}

// begin makes the graph live.
func (g *graph) begin() (look []types.UID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.live = true
	for uid, n := range g.nodes {
		if g.suspicious(n) {
			look = append(look, uid)
		}
	}
	return look
}

// observe takes in a new state of an object.
func (g *graph) observe(n *node) (look []types.UID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.nodes[n.UID]
	g.unlink(old)
	g.link(n)
	if !g.live {
		return nil
	}
	if changed(old, n) && g.suspicious(n) {
		look = append(look, n.UID)
	}
	if old == nil || n.waits() && !old.waits() {
		for uid := range g.dependents[n.UID] {
			if dependent := g.nodes[uid]; n.waits() || g.suspicious(dependent) {
				look = append(look, uid)
			}
		}
	}
	return append(look, g.unblocked(old, n)...)
}

// remove takes in that an object is gone.
func (g *graph) remove(uid types.UID) (look []types.UID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.drop(uid)
}

// forget drops all that a monitor knew, because its resource is no longer served.
func (g *graph) forget(m *monitor) (look []types.UID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for uid, n := range g.nodes {
		if n.of == m {
			look = append(look, g.drop(uid)...)
		}
	}
	return look
}

func (g *graph) drop(uid types.UID) (look []types.UID) {
	old := g.nodes[uid]
	g.unlink(old)
	delete(g.nodes, uid)
	if !g.live || old == nil {
		return nil
	}
	for dependent := range g.dependents[uid] {
		look = append(look, dependent)
	}
	return append(look, g.unblocked(old, nil)...)
}

// sight is what the graph knows about an object when it is looked at.
type sight struct {
	*node
	suspicious bool
	dependents []*node
	blockers   []*node                 // those dependents that the object's deletion in the foreground waits for
	deadlocked bool                    // it waits for its own deletion
	strays     []metav1.OwnerReference // to objects of another namespace
}

// look is the zero sight if there is no such object.
func (g *graph) look(uid types.UID) (s sight) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.nodes[uid]
	if n == nil {
		return s
	}
	s = sight{node: n, suspicious: g.suspicious(n), blockers: g.blockers(n)}
	for dependent := range g.dependents[uid] {
		s.dependents = append(s.dependents, g.nodes[dependent])
	}
	for _, ref := range n.OwnerReferences {
		if owner := g.nodes[ref.UID]; owner != nil && owner.Namespace != "" && owner.Namespace != n.Namespace {
			s.strays = append(s.strays, ref)
		}
	}
	s.deadlocked = n.waits() && g.deadlocked(n, n, map[*node]bool{})
	return s
}

// suspicious tells whether there may be something to do about an object.
func (g *graph) suspicious(n *node) bool {
	if n.DeletionTimestamp != nil {
		return n.waits() || n.orphans()
	}
	return slices.ContainsFunc(n.OwnerReferences, func(ref metav1.OwnerReference) bool {
		owner := g.nodes[ref.UID]
		return owner == nil || owner.waits() || !owner.isMeantBy(ref, n.Namespace)
	})
}

func (g *graph) blockers(n *node) (all []*node) {
	for uid := range g.dependents[n.UID] {
		if dependent := g.nodes[uid]; dependent.blocks(n) {
			all = append(all, dependent)
		}
	}
	return all
}

// deadlocked tells whether n waits, by way of others that wait, for the object it began with.
func (g *graph) deadlocked(start, n *node, seen map[*node]bool) bool {
	seen[n] = true
	for _, b := range g.blockers(n) {
		if b == start || b.waits() && !seen[b] && g.deadlocked(start, b, seen) {
			return true
		}
	}
	return false
}

// unblocked is the owners that wait and that an object blocked once and does not block now.
func (g *graph) unblocked(old, n *node) (owners []types.UID) {
	if old == nil {
		return nil
	}
	for _, ref := range old.OwnerReferences {
		if owner := g.nodes[ref.UID]; owner != nil && owner.waits() && old.blocks(owner) && !(n != nil && n.blocks(owner)) {
			owners = append(owners, ref.UID)
		}
	}
	return owners
}

func (g *graph) link(n *node) {
	g.nodes[n.UID] = n
	for _, ref := range n.OwnerReferences {
		set := g.dependents[ref.UID]
		if set == nil {
			set = map[types.UID]struct{}{}
			g.dependents[ref.UID] = set
		}
		set[n.UID] = struct{}{}
	}
}

func (g *graph) unlink(n *node) {
	if n == nil {
		return
	}
	for _, ref := range n.OwnerReferences {
		delete(g.dependents[ref.UID], n.UID)
		if len(g.dependents[ref.UID]) == 0 {
			delete(g.dependents, ref.UID)
		}
	}
}

// waits tells whether an object is being deleted after its dependents.
func (n *node) waits() bool { return waits(n.PartialObjectMetadata) }

// orphans tells whether an object is being deleted after its dependents were cut loose.
func (n *node) orphans() bool {
	return n.DeletionTimestamp != nil && slices.Contains(n.Finalizers, metav1.FinalizerOrphanDependents)
}

// blocks tells whether an owner in the foreground has to wait for the object. A reference that cannot mean the
// owner holds nobody up: what has it may never go.
func (n *node) blocks(owner *node) bool {
	return slices.ContainsFunc(n.OwnerReferences, func(ref metav1.OwnerReference) bool {
		return ref.UID == owner.UID && ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion && owner.isMeantBy(ref, n.Namespace)
	})
}

// isMeantBy tells whether a reference from a namespace, which has the node's UID, has the rest of it right.
func (n *node) isMeantBy(ref metav1.OwnerReference, from string) bool {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	return err == nil && gv.Group == n.of.resource.Group && ref.Kind == n.of.resource.Kind && ref.Name == n.Name &&
		(n.Namespace == "" || n.Namespace == from)
}

func waits(m *metav1.PartialObjectMetadata) bool {
	return m.DeletionTimestamp != nil && slices.Contains(m.Finalizers, metav1.FinalizerDeleteDependents)
}

// changed tells whether two states of an object differ in what matters here.
func changed(old, n *node) bool {
	return old == nil ||
		(old.DeletionTimestamp == nil) != (n.DeletionTimestamp == nil) ||
		old.waits() != n.waits() || old.orphans() != n.orphans() ||
		!equality.Semantic.DeepEqual(old.OwnerReferences, n.OwnerReferences)
}
