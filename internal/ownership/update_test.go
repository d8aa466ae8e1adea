package ownership

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proa-dev/proa/internal/registry"
	"k8s.io/apimachinery/pkg/util/managedfields"
)

// TestCreateEqualsLibrary creates random objects of every kind.
func TestCreateEqualsLibrary(t *testing.T) {
	all := kinds(t)
	synctest.Test(t, func(t *testing.T) {
		rng := seeded(t)
		for _, typ := range all {
			m, library := New(typ), oracle(t, typ, "")
			for i := range 12 {
				o := filler{rng, i%2 == 1}.object(typ)
				o.SetUID("")
				if !createBoth(t, m, library, o) {
					t.Fatalf("creating a %s", name(typ))
				}
			}
		}
	})
}

func createBoth(t *testing.T, m *Manager, library *managedfields.FieldManager, o registry.Object) bool {
	ours, theirs := copyOf(o), copyOf(o)
	live := m.typ.New()
	setKind(live, m.typ.Hub.GroupVersionKind())
	_, theirErr := library.Update(live, theirs, "creator")
	ourErr := m.Update(nil, ours, Write{Version: m.typ.Hub, Manager: "creator", Now: time.Now()})
	if theirErr != nil {
		return true // we do not look at what nobody can own, and may find no fault
	}
	if ourErr != nil {
		t.Errorf("we said %v", ourErr)
		return false
	}
	return sameEntries(t, ours.GetManagedFields(), theirs.GetManagedFields())
}

// TestHistoriesEqualLibrary writes each kind again and again, by many managers, through the object and
// its status, and compares the entries after every write.
func TestHistoriesEqualLibrary(t *testing.T) {
	all := kinds(t)
	synctest.Test(t, func(t *testing.T) {
		rng := seeded(t)
		for _, typ := range all {
			h := history{t: t, f: filler{rng, rng.IntN(2) == 0}, m: New(typ), libraries: map[string]*managedfields.FieldManager{}}
			h.through("", "", "status")
			writes := 25
			if typ.Name == "pods" {
				h.through("resize", "ephemeralcontainers")
				writes = 200
			}
			if !h.run(writes) {
				t.Fatalf("writing a %s", name(typ))
			}
		}
	})
}

type history struct {
	t         *testing.T
	f         filler
	m         *Manager
	libraries map[string]*managedfields.FieldManager
	// subresources to write through, as often as they stand here.
	subresources []string
}

func (h *history) through(subresources ...string) {
	h.subresources = append(h.subresources, subresources...)
	for _, s := range subresources {
		h.libraries[s] = oracle(h.t, h.m.typ, s)
	}
}

func (h *history) run(writes int) bool {
	live := h.f.object(h.m.typ)
	live.SetUID("")
	if !createBoth(h.t, h.m, h.libraries[""], live) {
		return false
	}
	if err := h.m.Update(nil, live, Write{Version: h.m.typ.Hub, Manager: "creator", Now: time.Now()}); err != nil {
		return true // an object whose fields cannot be told apart; creating it compared that
	}
	live.SetUID("uid")
	for range writes {
		time.Sleep(time.Duration(h.f.IntN(3)) * time.Second)
		next, ok := h.write(live)
		if !ok {
			return false
		}
		if next != nil {
			live = next
		}
	}
	return true
}

// write edits the object and has both compute the entries; nil if both refuse.
func (h *history) write(live registry.Object) (registry.Object, bool) {
	edited := h.f.edit(live, h.m.typ, 1+h.f.IntN(60))
	h.send(live, edited)
	subresource := h.subresources[h.f.IntN(len(h.subresources))]
	manager := fmt.Sprintf("m%d", h.f.IntN(14))
	ours, theirs := copyOf(edited), copyOf(edited)
	before := asJSON(h.t, live)
	ourErr := h.m.Update(live, ours, Write{Version: h.m.typ.Hub, Manager: manager, Subresource: subresource, Now: time.Now()})
	if asJSON(h.t, live) != before {
		h.t.Error("the stored object was changed")
		return nil, false
	}
	_, theirErr := h.libraries[subresource].Update(copyOf(live), theirs, manager)
	if theirErr != nil {
		return nil, true
	}
	if ourErr != nil {
		h.t.Errorf("we said %v", ourErr)
		return nil, false
	}
	return ours, sameEntries(h.t, ours.GetManagedFields(), theirs.GetManagedFields())
}

// send puts the entries into the request as clients do: mostly as they were read, sometimes not at all,
// rarely reset.
func (h *history) send(live, edited registry.Object) {
	switch h.f.IntN(20) {
	case 0:
		edited.SetManagedFields(nil)
	case 1, 2, 3:
		edited.SetManagedFields(foreign(h.f, live))
	default:
		edited.SetManagedFields(copyOf(live).GetManagedFields())
	}
}
