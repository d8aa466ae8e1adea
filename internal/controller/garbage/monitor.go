package garbage

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/informer"
)

// monitor watches the metadata of one resource.
type monitor struct {
	resource resource
	kind     client.Kind[metav1.PartialObjectMetadata]
	informer *informer.Informer[metav1.PartialObjectMetadata]
	stop     context.CancelFunc
}

// monitors keep a monitor for each resource that the server serves.
type monitors struct {
	client client.Transport
	log    *slog.Logger
	// handler is told of every object; gone of a monitor whose resource is served no longer.
	handler func(*monitor) informer.Handler[metav1.PartialObjectMetadata]
	gone    func(*monitor)

	wg    sync.WaitGroup
	mu    sync.RWMutex
	kinds map[schema.GroupVersionKind]client.Kind[metav1.PartialObjectMetadata] // guarded by mu, replaced as a whole
	all   map[resource]*monitor                                                 // used by refresh only, which one goroutine calls
}

// kind finds the resource that an owner reference means.
func (m *monitors) kind(ref metav1.OwnerReference) (k client.Kind[metav1.PartialObjectMetadata], ok bool) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return k, false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	k, ok = m.kinds[gv.WithKind(ref.Kind)]
	return k, ok
}

// refresh starts and stops monitors so that there is one for each resource served. New ones run until the
// context ends or their resource is gone. An error may still come with a part of the resources: then none
// is stopped.
func (m *monitors) refresh(ctx context.Context) (changed bool, err error) {
	lists, err := m.client.Discover(ctx)
	kinds, wanted := served(lists)
	m.mu.Lock()
	if err != nil {
		for gvk, k := range m.kinds {
			if _, ok := kinds[gvk]; !ok {
				kinds[gvk] = k
			}
		}
	}
	m.kinds = kinds
	m.mu.Unlock()
	for _, r := range wanted {
		if m.all[r] == nil {
			m.start(ctx, r)
			changed = true
		}
	}
	if err != nil {
		return changed, err
	}
	for r, old := range m.all {
		if !slices.Contains(wanted, r) {
			old.stop()
			delete(m.all, r)
			changed = true
		}
	}
	return changed, nil
}

func (m *monitors) start(ctx context.Context, r resource) {
	running, stop := context.WithCancel(ctx)
	one := &monitor{resource: r, kind: client.Metadata(r.GroupVersionResource, r.Kind, r.Namespaced), stop: stop}
	one.informer = informer.New(m.client, one.kind, informer.Options{Logger: m.log, Trim: trim})
	one.informer.Handle(m.handler(one))
	m.all[r] = one
	m.wg.Go(func() {
		_ = one.informer.Run(running)
		if ctx.Err() == nil {
			m.gone(one)
		}
	})
}

// trim leaves of an object's metadata what the graph looks at. There is one of each object of the cluster, so the
// texts that many have in common are shared.
func trim(o client.Object) client.Object {
	m, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return o
	}
	few := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: m.Name, Namespace: shared(m.Namespace), UID: m.UID, ResourceVersion: m.ResourceVersion,
		DeletionTimestamp: m.DeletionTimestamp, OwnerReferences: slices.Clone(m.OwnerReferences),
	}}
	for i := range few.OwnerReferences {
		ref := &few.OwnerReferences[i]
		ref.APIVersion, ref.Kind, ref.Name = shared(ref.APIVersion), shared(ref.Kind), shared(ref.Name)
		ref.UID = types.UID(shared(string(ref.UID)))
	}
	for _, f := range m.Finalizers {
		few.Finalizers = append(few.Finalizers, shared(f))
	}
	return few
}

func shared(text string) string { return unique.Make(text).Value() }

// waitSynced waits until all monitors have told of what was there. One that cannot must not hold up the
// others for ever.
func (m *monitors) waitSynced(ctx context.Context, patience time.Duration) error {
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var late []string
	for r, one := range m.all {
		if !one.informer.WaitSynced(patient) {
			late = append(late, r.GroupResource().String())
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(late) > 0 {
		slices.Sort(late)
		return errors.New("cannot list " + strings.Join(late, ", "))
	}
	return nil
}

// served is all kinds there are, and of each resource whose objects come and go the preferred version.
func served(lists []metav1.APIResourceList) (map[schema.GroupVersionKind]client.Kind[metav1.PartialObjectMetadata], []resource) {
	kinds := map[schema.GroupVersionKind]client.Kind[metav1.PartialObjectMetadata]{}
	var monitored []resource
	seen := map[schema.GroupResource]bool{}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			continue
		}
		for _, x := range l.APIResources {
			r := resource{gv.WithResource(x.Name), x.Kind, x.Namespaced}
			if strings.Contains(x.Name, "/") {
				continue
			}
			kinds[gv.WithKind(x.Kind)] = client.Metadata(r.GroupVersionResource, r.Kind, r.Namespaced)
			if !seen[r.GroupResource()] && comesAndGoes(x.Verbs) && x.Kind != "Event" {
				seen[r.GroupResource()] = true
				monitored = append(monitored, r)
			}
		}
	}
	return kinds, monitored
}

func comesAndGoes(verbs []string) bool {
	return slices.Contains(verbs, "delete") && slices.Contains(verbs, "list") && slices.Contains(verbs, "watch")
}
