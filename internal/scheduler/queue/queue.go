// Package queue is the pods that wait for a node.
//
// A pod is in one of five places:
//
//	gated     it has scheduling gates, and is not tried until it has none
//	active    it is to be tried: the one with the highest priority first, then the one that waits longest
//	waiting   it was tried in vain, and nothing has happened since that may change the outcome
//	backoff   something has happened. It is tried when its backoff is over, or as soon as none is active
//	failed    an error kept it from being tried or bound. It is tried when its backoff is over
//
// The backoff doubles with every attempt in vain, from one second to ten. A pod that has waited for five minutes
// is tried again even if nothing is known to have happened.
//
// The queue is data: it reads no clock and takes no lock, both are its user's. Next says when it wants to be
// looked at again.
package queue

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulinghelper "k8s.io/component-helpers/scheduling/corev1"

	"github.com/proa-dev/proa/internal/scheduler/framework"
)

const (
	firstBackoff = time.Second
	maxBackoff   = 10 * time.Second
	maxWait      = 5 * time.Minute
)

// Place is where an item is.
type Place int

// The places.
const (
	None Place = iota // it was taken, or removed
	Gated
	Active
	Waiting
	Backoff
	Failed
	places
)

// Why pods move, beside the events of package framework.
const (
	attemptFailed = "ScheduleAttemptFailure"
	backoffOver   = "BackoffComplete"
	fromBackoff   = "PopFromBackoffQ"
	forced        = "ForceActivate"
	waitedLong    = "UnschedulableTimeout"
	updated       = "UnschedulablePodUpdate"
)

// Item is a pod that waits.
type Item struct {
	Pod *corev1.Pod
	// Attempts counts how often it was taken.
	Attempts int
	// By is who kept it from running when it was last tried. It is empty after an error.
	By framework.Plugins

	place    Place
	index    int
	sequence uint64    // of entering the queue, as if since had no ties
	since    time.Time // when it entered the queue
	due      time.Time // end of the backoff
	rejected int       // attempts in vain
	errors   int       // errors since the last attempt that had none
}

// Queue is all pods that wait. The zero value is not ready: use New.
type Queue struct {
	// Entered is told of every pod that enters a place to wait in, and why, as Kubernetes' metrics call it. It may be
	// nil.
	Entered func(to Place, why string)

	items    map[types.UID]*Item
	heaps    [places]*ordered
	sequence uint64
}

// New makes an empty queue.
func New() *Queue {
	q := &Queue{items: map[types.UID]*Item{}}
	for _, p := range []Place{Backoff, Failed} {
		q.heaps[p] = &ordered{less: sooner}
	}
	q.heaps[Active] = &ordered{less: before}
	for _, p := range []Place{Gated, Waiting} {
		q.heaps[p] = &ordered{less: earlier}
	}
	return q
}

func before(a, b *Item) bool {
	p, o := schedulinghelper.PodPriority(a.Pod), schedulinghelper.PodPriority(b.Pod)
	if p != o {
		return p > o
	}
	if !a.since.Equal(b.since) {
		return a.since.Before(b.since)
	}
	return a.sequence < b.sequence
}

func earlier(a, b *Item) bool { return a.since.Before(b.since) }

func sooner(a, b *Item) bool {
	if !a.due.Equal(b.due) {
		return a.due.Before(b.due)
	}
	return before(a, b)
}

// Put adds a pod, or takes note of how it is now. If it has waited in vain, wakes tells if its change may help.
func (q *Queue) Put(pod *corev1.Pod, now time.Time, wakes func(*Item, *corev1.Pod) bool) {
	i := q.items[pod.UID]
	if i == nil {
		q.enter(&Item{Pod: pod}, now)
		return
	}
	old := i.Pod
	i.Pod = pod
	switch {
	case len(pod.Spec.SchedulingGates) > 0:
		q.move(i, Gated, updated)
	case i.place == Gated:
		q.start(i, now, framework.Ungated)
	case i.place == Waiting:
		if wakes(i, old) {
			q.wake(i, now, (&framework.Event{Own: true, OldPod: old, NewPod: pod}).Label())
		}
	default:
		q.heaps[i.place].fix(i)
	}
}

// Take removes the pod to be tried next, and returns nil if none is.
func (q *Queue) Take(now time.Time) *Item {
	q.promote(now)
	i := q.heaps[Active].first()
	if i == nil {
		if i = q.heaps[Backoff].first(); i == nil {
			return nil
		}
		q.tell(Active, fromBackoff)
	}
	q.remove(i)
	i.Attempts++
	return i
}

// Reject puts a pod back that was taken and will not run, as things are, because of some plugins.
func (q *Queue) Reject(i *Item, by framework.Plugins, now time.Time) {
	i.By = by
	i.rejected++
	i.errors = 0
	i.due = now.Add(backoff(i.rejected))
	q.reenter(i, Waiting, now)
}

// Fail puts a pod back that was taken but not tried, or not bound, by an error.
func (q *Queue) Fail(i *Item, now time.Time) {
	i.By = 0
	i.errors++
	i.due = now.Add(backoff(i.errors))
	q.reenter(i, Failed, now)
}

// Remove drops a pod.
func (q *Queue) Remove(uid types.UID) {
	if i := q.items[uid]; i != nil {
		q.remove(i)
	}
}

// Wake moves the pods that have waited in vain and for which f is true. why says what has happened.
func (q *Queue) Wake(now time.Time, why func() string, f func(*Item) bool) {
	var woken []*Item
	for _, i := range q.heaps[Waiting].items {
		if f(i) {
			woken = append(woken, i)
		}
	}
	if len(woken) == 0 {
		return
	}
	label := why()
	for _, i := range woken {
		q.wake(i, now, label)
	}
}

// Ready tells if there is anything to take.
func (q *Queue) Ready(now time.Time) bool {
	if len(q.heaps[Active].items)+len(q.heaps[Backoff].items) > 0 {
		return true
	}
	next, ok := q.Next()
	return ok && !next.After(now)
}

// Next is when there will be something to take, if nothing happens before.
func (q *Queue) Next() (next time.Time, ok bool) {
	consider := func(t time.Time) {
		if !ok || t.Before(next) {
			next, ok = t, true
		}
	}
	if i := q.heaps[Failed].first(); i != nil {
		consider(i.due)
	}
	if i := q.heaps[Waiting].first(); i != nil {
		consider(i.since.Add(maxWait))
	}
	return next, ok
}

// Count is the number of pods in a place.
func (q *Queue) Count(p Place) int { return len(q.heaps[p].items) }

// Get is the item of a pod that waits; nil if it does not.
func (q *Queue) Get(uid types.UID) *Item { return q.items[uid] }

// Place is where the item is.
func (i *Item) Place() Place { return i.place }

// Activate has a pod tried that waits for something to happen.
func (q *Queue) Activate(uid types.UID, now time.Time) {
	if i := q.items[uid]; i != nil && i.place == Waiting {
		q.wake(i, now, forced)
	}
}

func (q *Queue) enter(i *Item, now time.Time) {
	if len(i.Pod.Spec.SchedulingGates) > 0 {
		i.since = now
		q.move(i, Gated, framework.PodAdded)
		return
	}
	q.start(i, now, framework.PodAdded)
}

// start makes a pod active for the first time.
func (q *Queue) start(i *Item, now time.Time, why string) {
	i.since = now
	q.sequence++
	i.sequence = q.sequence
	q.move(i, Active, why)
}

func (q *Queue) reenter(i *Item, p Place, now time.Time) {
	i.since = now
	q.sequence++
	i.sequence = q.sequence
	q.move(i, p, attemptFailed)
}

func (q *Queue) wake(i *Item, now time.Time, why string) {
	if i.due.After(now) {
		q.move(i, Backoff, why)
		return
	}
	q.move(i, Active, why)
}

// promote makes active what has waited for long enough.
func (q *Queue) promote(now time.Time) {
	for _, p := range []Place{Backoff, Failed} {
		for i := q.heaps[p].first(); i != nil && !i.due.After(now); i = q.heaps[p].first() {
			q.move(i, Active, backoffOver)
		}
	}
	for i := q.heaps[Waiting].first(); i != nil && !i.since.Add(maxWait).After(now); i = q.heaps[Waiting].first() {
		q.move(i, Active, waitedLong)
	}
}

func (q *Queue) move(i *Item, to Place, why string) {
	if i.place == to {
		return
	}
	q.remove(i)
	q.items[i.Pod.UID] = i
	i.place = to
	q.heaps[to].put(i)
	q.tell(to, why)
}

func (q *Queue) tell(to Place, why string) {
	if q.Entered != nil {
		q.Entered(to, why)
	}
}

func (q *Queue) remove(i *Item) {
	if i.place == None {
		return
	}
	q.heaps[i.place].remove(i)
	i.place = None
	delete(q.items, i.Pod.UID)
}

func backoff(attempts int) time.Duration {
	d := firstBackoff
	for ; attempts > 1 && d < maxBackoff; attempts-- {
		d *= 2
	}
	return min(d, maxBackoff)
}
