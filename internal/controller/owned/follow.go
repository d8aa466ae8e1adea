package owned

import (
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/expect"
	"github.com/proa-dev/proa/internal/informer"
)

// Follower tells the loop of the owners, of type O, what happens to the objects of type T that they control,
// and of orphans that they may adopt.
type Follower[T, O any] struct {
	Loop   *controller.Loop
	Owners *informer.Informer[O]
	Kind   client.Kind[O]
	// Match tells whether an owner wants an orphan.
	Match func(owner *O, orphan *T) bool
	// Expect learns of creations and deletions; nil if the loop expects none.
	Expect *expect.Expectations
	// Delay gathers what happens within it into one look.
	Delay time.Duration
	// DelayOf is a delay that depends on the owner, where that is longer; nil for none. Who is the last to be
	// expected is not kept waiting by it.
	DelayOf func(owner *O) time.Duration
}

// Handler is for the informer of the objects.
func (f *Follower[T, O]) Handler() informer.Handler[T] {
	return informer.Handler[T]{Add: f.added, Update: f.updated, Delete: f.deleted}
}

func (f *Follower[T, O]) added(o *T, _ bool) {
	if object(o).GetDeletionTimestamp() != nil {
		f.deleted(o)
		return
	}
	if k, ok := f.owner(object(o)); ok {
		if f.Expect == nil {
			f.look(k)
			return
		}
		f.Expect.CreationObserved(k)
		if f.Expect.Satisfied(k) {
			f.Loop.AddAfter(k, f.Delay) // the loop has waited for this one
			return
		}
		f.look(k)
		return
	}
	f.orphan(o)
}

func (f *Follower[T, O]) updated(old, new *T) {
	before, after := object(old), object(new)
	if after.GetDeletionTimestamp() != nil {
		f.deleted(new)
		return
	}
	k, ok := f.owner(after)
	was, had := f.owner(before)
	if had && was != k {
		f.look(was)
	}
	if ok {
		f.look(k)
		return
	}
	freed := !equality.Semantic.DeepEqual(metav1.GetControllerOfNoCopy(before), metav1.GetControllerOfNoCopy(after))
	if freed || !maps.Equal(before.GetLabels(), after.GetLabels()) {
		f.orphan(new)
	}
}

func (f *Follower[T, O]) deleted(o *T) {
	k, ok := f.owner(object(o))
	if !ok {
		return
	}
	if f.Expect != nil {
		f.Expect.DeletionObserved(k, object(o).GetUID())
	}
	f.look(k)
}

// look asks the loop for a look, in which all is gathered that happens until then.
func (f *Follower[T, O]) look(k controller.Key) {
	d := f.Delay
	if f.DelayOf != nil {
		if owner, ok := f.Owners.Get(k.Namespace, k.Name); ok {
			d = max(d, f.DelayOf(owner))
		}
	}
	f.Loop.AddAfter(k, d)
}

// owner is the key of an object's controller if that exists. An owner of the same name that is not it does not
// count.
func (f *Follower[T, O]) owner(o client.Object) (controller.Key, bool) {
	k, ok := controller.OwnerKey(o, f.Kind)
	if !ok {
		return k, false
	}
	owner, ok := f.Owners.Get(k.Namespace, k.Name)
	return k, ok && object(owner).GetUID() == metav1.GetControllerOfNoCopy(o).UID
}

func (f *Follower[T, O]) orphan(o *T) {
	if metav1.GetControllerOfNoCopy(object(o)) != nil {
		return
	}
	for _, owner := range f.Owners.InNamespace(object(o).GetNamespace()) {
		if f.Match(owner, o) {
			f.look(informer.KeyOf(object(owner)))
		}
	}
}
