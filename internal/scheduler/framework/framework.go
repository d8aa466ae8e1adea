// Package framework decides which node a pod shall run on.
//
// The story. Plugins say which nodes will do and how good each is. A plugin is asked once about a class of
// pods, the pods that are equal to scheduling, and answers with a Judge, whose functions are then asked about
// nodes. What a judge says of a node alone is kept until that node changes; what it says in view of other
// nodes (how many pods of a kind are in a zone) it keeps counts for itself, which Observe brings up to date
// when a node changes. So the first pod of a class costs a look at every node, and each one after it a look at the
// nodes that have changed since (mostly the one that the last pod went to) and a pass over the scores.
//
// The invariant: a decision with what is kept equals a decision without. A test holds the two against each
// other. What a judge read besides nodes (the layout of the cluster, namespaces, Services) is not
// followed: when it changes, classes are dropped (Forget, ForgetAll) and made anew.
//
// Nothing here waits, reads a clock or takes a lock: the caller holds the lock of the cluster.
package framework

import (
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/scheduler/cluster"
)

// MaxScore is the best score of a node.
const MaxScore = 100

// Plugin is one concern.
type Plugin interface {
	Name() string
	// Judge looks at a pod on behalf of all pods of its class. A rejection holds for all nodes.
	Judge(p *cluster.Pod, c *cluster.Cluster) (Judge, *Rejection)
	// Wakes tells if an event may let a pod run that the plugin has kept from it. When in doubt it does.
	Wakes(p *corev1.Pod, e *Event) bool
}

// Judge is what a plugin has to say about a class of pods. All fields may be nil, and mostly are.
type Judge struct {
	// Nodes are the only ones that will do.
	Nodes []string

	// Filter and Score depend on the node, and the layout of the cluster, alone.
	Filter func(n *cluster.Node) *Rejection
	Score  func(n *cluster.Node) int64
	// Normalize brings scores into the range from 0 to MaxScore.
	Normalize func(scores []int64)

	// Observe is told of every node, and again when it has changed, before any of the functions below is
	// called. Nodes that are only tried have the index of the real one.
	Observe     func(n *cluster.Node)
	FilterAmong func(n *cluster.Node) *Rejection
	// ScoreAmong fills in the scores of the nodes that will do.
	ScoreAmong func(nodes []*cluster.Node, scores []int64)
}

// Rejection is why a node will not do. It is shared and never changed.
type Rejection struct {
	Reasons []string
	// Final says that taking other pods off the node would not help.
	Final bool
}

// Reject makes a rejection.
func Reject(reasons ...string) *Rejection { return &Rejection{Reasons: reasons} }

// RejectFinally makes one that nothing can be done about.
func RejectFinally(reasons ...string) *Rejection { return &Rejection{Reasons: reasons, Final: true} }

// Weighted is a plugin and how much its scores weigh.
type Weighted struct {
	Plugin
	Weight int64
}

// Plugins is a set of plugins, as bits by their place in the list.
type Plugins uint32

// Point is a part of a decision, as Kubernetes calls the points where plugins come in.
type Point int

// The points, in order. Bind is not the framework's.
const (
	PreFilter Point = iota
	Filter
	PostFilter
	Score
	Bind
	Points
)

func (p Point) String() string {
	return [...]string{"PreFilter", "Filter", "PostFilter", "Score", "Bind"}[p]
}

// Status is what came of a point.
type Status int

// The statuses.
const (
	Success Status = iota
	Unschedulable
	UnschedulableAndUnresolvable
	Error
	Statuses
)

func (s Status) String() string {
	return [...]string{"Success", "Unschedulable", "UnschedulableAndUnresolvable", "Error"}[s]
}

// noNodes stands among the plugins for the lack of any node.
const noNodes Plugins = 1 << 31

// Options are what a framework is made of.
type Options struct {
	Cluster *cluster.Cluster
	Plugins []Weighted
	Seed    uint64
	// Budgets are the disruption budgets that are spared where it can be; nil for none.
	Budgets func() []*policyv1.PodDisruptionBudget
	// Reached is told when a decision has come past a point, and how; nil for nobody.
	Reached func(Point, Status)
	// NoReuse makes all classes anew for each pod, which changes nothing but the time it takes.
	NoReuse bool
}

// Framework decides. It is not safe for concurrent use.
type Framework struct {
	Nominations
	cluster *cluster.Cluster
	plugins []Weighted
	random  *rand.Rand
	budgets func() []*policyv1.PodDisruptionBudget
	noReuse bool
	reached func(Point, Status)

	start   int // of the next search
	classes classes
	layout  uint64 // that the classes are made for

	// What decisions reuse.
	feasible []*cluster.Node
	rejected []rejected
	total    []int64
	scores   []int64
	key      []byte
}

// New makes a framework.
func New(o Options) *Framework {
	if len(o.Plugins) > 31 {
		panic("framework: a set of plugins has 31 bits")
	}
	if o.Reached == nil {
		o.Reached = func(Point, Status) {}
	}
	return &Framework{
		reached:     o.Reached,
		Nominations: Nominations{pods: map[string][]*cluster.Pod{}, nodes: map[types.UID]string{}, victims: map[types.UID][]types.UID{}},
		cluster:     o.Cluster, plugins: o.Plugins, budgets: o.Budgets, noReuse: o.NoReuse,
		random: rand.New(rand.NewPCG(o.Seed, 0)), classes: classes{all: map[string]*class{}},
	}
}

// Wakes tells if an event may let a pod run that some plugins have kept from it.
func (f *Framework) Wakes(p *corev1.Pod, by Plugins, e *Event) bool {
	if by == 0 || by&noNodes != 0 && e.OldNode == nil && e.NewNode != nil {
		return true
	}
	for i := range f.plugins {
		if by&(1<<i) != 0 && f.plugins[i].Wakes(p, e) {
			return true
		}
	}
	return false
}

// Names are the names of some plugins.
func (f *Framework) Names(set Plugins) []string {
	var names []string
	for i := range f.plugins {
		if set&(1<<i) != 0 {
			names = append(names, f.plugins[i].Name())
		}
	}
	return names
}

// Forget drops what is kept about pods of a namespace.
func (f *Framework) Forget(namespace string) { f.classes.drop(namespace) }

// ForgetAll drops what is kept about all pods.
func (f *Framework) ForgetAll() { clear(f.classes.all) }
