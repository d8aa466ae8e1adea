package clientgo_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/proa-dev/proa/test/clients/cluster"
)

// typed is what client-go's typed clients have in common.
type typed[T object, L runtime.Object] interface {
	Create(context.Context, T, metav1.CreateOptions) (T, error)
	Update(context.Context, T, metav1.UpdateOptions) (T, error)
	Delete(context.Context, string, metav1.DeleteOptions) error
	Get(context.Context, string, metav1.GetOptions) (T, error)
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
	Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (T, error)
}

type object interface {
	metav1.Object
	runtime.Object
}

// life is the test of one resource: everything that can happen to an object, with no controller about.
type life struct {
	resource string // group/version/resource
	run      func(*testing.T, kubernetes.Interface)
}

// of makes the test of the resource that a typed client and an example of it are for.
func of[T object, L runtime.Object](resource string, client func(kubernetes.Interface) typed[T, L], example T) life {
	return life{resource, func(t *testing.T, k kubernetes.Interface) {
		l := lifetime[T, L]{T: t, client: client(k), example: example.DeepCopyObject().(T)}
		l.live()
	}}
}

type lifetime[T object, L runtime.Object] struct {
	*testing.T
	client  typed[T, L]
	example T
	watched []string // what the watch should tell, as "TYPE resourceVersion"
}

const label = "proa-test/life"

func (l *lifetime[T, L]) live() {
	ctx := l.Context()
	l.example.SetName("example")
	l.example.SetLabels(map[string]string{label: "0"})
	selected := metav1.ListOptions{LabelSelector: label}
	before := must(l.client.List(ctx, selected))(l)
	if n := meta.LenList(before); n != 0 {
		l.Fatalf("%d objects are there at the start", n)
	}
	watcher := must(l.client.Watch(ctx, metav1.ListOptions{LabelSelector: label, ResourceVersion: version(l, before)}))(l)
	defer watcher.Stop()

	made := l.create(ctx)
	l.read(ctx, made, selected)
	last := l.change(ctx, made)
	l.remove(ctx, last)
	l.follow(watcher)
}

func (l *lifetime[T, L]) create(ctx context.Context) T {
	l.Helper()
	if _, err := l.client.Create(ctx, l.example, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		l.Fatalf("dry run: %v", err)
	}
	made := must(l.client.Create(ctx, l.example, metav1.CreateOptions{FieldManager: "life"}))(l)
	if made.GetUID() == "" || made.GetResourceVersion() == "" || time.Since(made.GetCreationTimestamp().Time) > time.Minute {
		l.Errorf("made without uid, resource version or time: %v", made)
	}
	if f := made.GetManagedFields(); len(f) != 1 || f[0].Manager != "life" || f[0].Operation != metav1.ManagedFieldsOperationUpdate {
		l.Errorf("managed fields %v", f)
	}
	if _, err := l.client.Create(ctx, l.example, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		l.Errorf("made twice: %v", err)
	}
	l.told("ADDED", made)
	return made
}

func (l *lifetime[T, L]) read(ctx context.Context, made T, selected metav1.ListOptions) {
	l.Helper()
	got := must(l.client.Get(ctx, "example", metav1.GetOptions{}))(l)
	l.same("get", got, made)
	listed := must(meta.ExtractList(must(l.client.List(ctx, selected))(l)))(l)
	if len(listed) != 1 {
		l.Fatalf("%d objects listed", len(listed))
	}
	l.same("list", listed[0].(T), made)
	named := must(l.client.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=other", LabelSelector: label}))(l)
	if n := meta.LenList(named); n != 0 {
		l.Errorf("%d objects listed of a name that there is not", n)
	}
	if _, err := l.client.Get(ctx, "other", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		l.Errorf("get of what is not there: %v", err)
	}
}

// change updates and patches, each time on the label.
func (l *lifetime[T, L]) change(ctx context.Context, made T) T {
	l.Helper()
	next := made.DeepCopyObject().(T)
	next.SetLabels(map[string]string{label: "1"})
	updated := must(l.client.Update(ctx, next, metav1.UpdateOptions{}))(l)
	l.told("MODIFIED", updated)
	if _, err := l.client.Update(ctx, next, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		l.Errorf("update of an old version: %v", err)
	}
	if again := must(l.client.Update(ctx, updated, metav1.UpdateOptions{}))(l); again.GetResourceVersion() != updated.GetResourceVersion() {
		l.Errorf("an update that changes nothing made a version: %s after %s", again.GetResourceVersion(), updated.GetResourceVersion())
	}
	last := updated
	for i, p := range []struct {
		kind types.PatchType
		body string
	}{
		{types.JSONPatchType, `[{"op":"test","path":"/metadata/labels/proa-test~1life","value":"1"},{"op":"replace","path":"/metadata/labels/proa-test~1life","value":"2"}]`},
		{types.MergePatchType, `{"metadata":{"labels":{"proa-test/life":"3"}}}`},
		{types.StrategicMergePatchType, `{"metadata":{"labels":{"proa-test/life":"4"},"finalizers":["proa-test/wait"]}}`},
	} {
		last = must(l.client.Patch(ctx, "example", p.kind, []byte(p.body), metav1.PatchOptions{}))(l)
		if want := fmt.Sprint(i + 2); last.GetLabels()[label] != want {
			l.Errorf("%s: label %q, want %s", p.kind, last.GetLabels()[label], want)
		}
		l.told("MODIFIED", last)
	}
	gvk := must(kindOf(last))(l)
	apply := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":"example","labels":{"proa-test/life":"5"}}}`, gvk.GroupVersion(), gvk.Kind)
	if _, err := l.client.Patch(ctx, "example", types.ApplyPatchType, []byte(apply), metav1.PatchOptions{FieldManager: "other"}); !apierrors.IsConflict(err) {
		l.Errorf("apply of another's field: %v", err)
	}
	force := true
	last = must(l.client.Patch(ctx, "example", types.ApplyPatchType, []byte(apply), metav1.PatchOptions{FieldManager: "other", Force: &force}))(l)
	l.told("MODIFIED", last)
	if last.GetUID() != made.GetUID() || !last.GetCreationTimestamp().Time.Equal(made.GetCreationTimestamp().Time) {
		l.Errorf("identity lost: %v, %v", made, last)
	}
	return last
}

// remove deletes, first in vain because of a precondition, then held up by a finalizer.
func (l *lifetime[T, L]) remove(ctx context.Context, last T) {
	l.Helper()
	foreign := types.UID("foreign")
	if err := l.client.Delete(ctx, "example", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &foreign}}); !apierrors.IsConflict(err) {
		l.Errorf("delete of another uid: %v", err)
	}
	now := int64(0)
	if err := l.client.Delete(ctx, "example", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		l.Fatalf("delete: %v", err)
	}
	going := must(l.client.Get(ctx, "example", metav1.GetOptions{}))(l)
	if going.GetDeletionTimestamp() == nil {
		l.Errorf("no deletion timestamp")
	}
	l.told("MODIFIED", going)
	if _, err := l.client.Patch(ctx, "example", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		l.Fatalf("no more finalizers: %v", err)
	}
	if _, err := l.client.Get(ctx, "example", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		l.Errorf("get after delete: %v", err)
	}
	l.watched = append(l.watched, "DELETED "+string(last.GetUID()))
}

func (l *lifetime[T, L]) told(kind string, o T) {
	l.watched = append(l.watched, kind+" "+o.GetResourceVersion())
}

// follow compares what the watch tells with what was done.
func (l *lifetime[T, L]) follow(w watch.Interface) {
	l.Helper()
	var got []string
	late := time.After(cluster.Patience)
	for len(got) < len(l.watched) {
		select {
		case e, open := <-w.ResultChan():
			if !open {
				l.Fatalf("the watch ended after %v", got)
			}
			o, is := e.Object.(T)
			switch {
			case !is:
				l.Fatalf("the watch tells %s of %T %v", e.Type, e.Object, e.Object)
			case e.Type == watch.Deleted:
				got = append(got, "DELETED "+string(o.GetUID()))
			default:
				got = append(got, string(e.Type)+" "+o.GetResourceVersion())
			}
		case <-late:
			l.Fatalf("the watch told %v, want %v", got, l.watched)
		}
	}
	if diff := cmp.Diff(l.watched, got); diff != "" {
		l.Errorf("watch (-done +told):\n%s", diff)
	}
}

func (l *lifetime[T, L]) same(how string, got, want T) {
	l.Helper()
	if !equality.Semantic.DeepEqual(got, want) {
		l.Errorf("%s (-made +got):\n%s", how, cmp.Diff(want, got))
	}
}
