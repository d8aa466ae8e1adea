package ownership

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"github.com/proa-dev/proa/internal/registry"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
)

// Manager keeps the owners of one resource's fields. It is safe for concurrent use and compiles what it
// needs when it is first needed.
type Manager struct {
	typ       *registry.Type
	converter managedfields.TypeConverter
	// custom tells that objects are unstructured: the library does all writes.
	custom    bool
	plans     sync.Map // reflect.Type → *plan of everything in it
	tracked   sync.Map // target → *plan of what a write can change
	libraries sync.Map // target → *managedfields.FieldManager
}

// target of a request.
type target struct {
	version     schema.GroupVersion
	subresource string
}

// New returns the manager of a resource of the built-in types.
func New(t *registry.Type) *Manager { return &Manager{typ: t, converter: shapeConverter{t}} }

// NewCustom returns the manager of a custom resource. The converter knows its schema; without one
// (managedfields.NewDeducedTypeConverter) lists are atomic.
func NewCustom(t *registry.Type, c managedfields.TypeConverter) *Manager {
	return &Manager{typ: t, converter: c, custom: true}
}

// Write is what is known of a write beside the objects.
type Write struct {
	// Version of the request. Entries carry it.
	Version *registry.TypeVersion
	// Manager who writes; see ManagerName.
	Manager string
	// Subresource written through, "" for the object itself.
	Subresource string
	// Now is the time of the write.
	Now time.Time
}

// Update sets the managedFields of an object that is about to be written by other means than apply. live is
// the object as it is stored, nil on create; neither live nor what it refers to is changed, but new may
// refer to its entries. Both are hubs.
//
// Where it fails new has no managedFields, and can be written all the same.
func (m *Manager) Update(live, new registry.Object, w Write) error {
	var err error
	if m.custom {
		err = m.updateCustom(live, new, w)
	} else {
		err = m.update(live, new, w)
	}
	if err != nil {
		new.SetManagedFields(nil)
		return fmt.Errorf("managed fields of %s %s/%s: %w", m.typ.Kind, new.GetNamespace(), new.GetName(), err)
	}
	return nil
}

func (m *Manager) update(live, new registry.Object, write Write) error {
	w := newWalker()
	defer w.release()
	entries := w.current(live, new, write.Subresource)
	new.SetManagedFields(nil)
	if len(entries) == 0 && live != nil && live.GetUID() != "" {
		return nil // nobody's object stays nobody's
	}
	u := update{m: m, w: w, live: live, new: new, write: write, changes: make([]versionChange, 0, 1)}
	entries, err := u.apply(entries)
	if err != nil {
		return err
	}
	new.SetManagedFields(w.write(w.capUpdates(entries)))
	return nil
}

// current are the entries that the write starts from: those that the client sent, if it did so and they can
// be read, else those of the stored object.
func (w *walker) current(live, new registry.Object, subresource string) []entry {
	sent := new.GetManagedFields()
	if subresource == "" {
		if isReset(sent) {
			return nil
		}
		if entries, err := w.read(sent); err == nil && len(entries) > 0 {
			return entries
		}
	}
	if live == nil {
		return nil
	}
	entries, err := w.read(live.GetManagedFields())
	if err != nil {
		return nil
	}
	return entries
}

// plan of a Go type with all its fields.
func (m *Manager) plan(t reflect.Type) *plan {
	if found, ok := m.plans.Load(t); ok {
		return found.(*plan)
	}
	found, _ := m.plans.LoadOrStore(t, compile(t))
	return found.(*plan)
}

// trackedPlan is the plan of what a request to the target can change.
func (m *Manager) trackedPlan(t target, root *plan) *plan {
	if found, ok := m.tracked.Load(t); ok {
		return found.(*plan)
	}
	found, _ := m.tracked.LoadOrStore(t, root.tracked(resetOf(m.typ, t.subresource, false)))
	return found.(*plan)
}

// version finds the version that an entry is in. The hub's name in another group of the resource is the
// hub too.
func (m *Manager) version(gv schema.GroupVersion) *registry.TypeVersion {
	if v := m.typ.Version(gv); v != nil {
		return v
	}
	if gv == m.typ.Hub.GroupVersion {
		return m.typ.Hub
	}
	return nil
}

// ManagerName is the field manager of a request: the one it names, else the start of its user agent.
func ManagerName(named, userAgent string) string {
	if named != "" {
		return named
	}
	agent, _, _ := strings.Cut(userAgent, "/")
	var b strings.Builder
	for _, r := range agent {
		if !unicode.IsPrint(r) {
			continue
		}
		if b.Len()+utf8.RuneLen(r) > maxManagerName {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

const maxManagerName = 128

func managerOrUnknown(name string) string {
	if name == "" {
		return unknownManager
	}
	return name
}

// stamp is the time of a write as it is stored: to the second.
func stamp(now time.Time) *metav1.Time { return &metav1.Time{Time: now.UTC().Truncate(time.Second)} }

func setKind(o registry.Object, gvk schema.GroupVersionKind) {
	o.GetObjectKind().SetGroupVersionKind(gvk)
}

func address(o registry.Object) unsafe.Pointer { return reflect.ValueOf(o).UnsafePointer() }

func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func isUnstructured(o any) bool {
	_, ok := o.(*unstructured.Unstructured)
	return ok
}
