package ownership

import (
	"fmt"

	"github.com/proa-dev/proa/internal/registry"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// update is one write on its way through the entries.
type update struct {
	m         *Manager
	w         *walker
	live, new registry.Object // live is nil on create
	write     Write
	changes   []versionChange
}

// versionChange is what the write changed, seen in one version.
type versionChange struct {
	version string
	// known is false for versions that the resource does not have (any more): their entries are dropped.
	known bool
	plan  *plan
	live  registry.Object
	tree  tree
}

// apply takes what changed from all entries and gives what was gained to the writer's.
func (u *update) apply(entries []entry) ([]entry, error) {
	own, err := u.change(u.write.Version.GroupVersion.String())
	if err != nil {
		return nil, err
	}
	kept := entries[:0]
	for _, e := range entries {
		ok, err := u.take(&e)
		if err != nil {
			return nil, err
		}
		if ok && len(e.fields) > 0 {
			kept = append(kept, e)
		}
	}
	if !own.tree.has(gained) {
		return kept, nil
	}
	return u.give(kept, own.tree), nil
}

// take the changed fields from an entry; ok is false if its version is gone.
func (u *update) take(e *entry) (ok bool, err error) {
	c, err := u.change(e.APIVersion)
	if err != nil || !c.known {
		return false, err
	}
	if c.plan.unordered(e.fields) {
		if err := u.reconcile(e, c); err != nil {
			return false, err
		}
	}
	from := len(u.w.work)
	left, touched := subtract(u.w.work, e.fields, c.tree, changed)
	if touched {
		u.w.work, e.fields, e.dirty = left, left[from:len(left):len(left)], true
	}
	return true, nil
}

// reconcile moves an entry from parts of a field to the whole, where the field has become atomic.
func (u *update) reconcile(e *entry, c *versionChange) error {
	var set fieldpath.Set
	if err := set.FromJSON(metav1.NewFieldsV1(string(e.fields.encode(nil, member))).GetRawReader()); err != nil {
		return err
	}
	object := c.live.DeepCopyObject().(registry.Object)
	value, err := u.m.converter.ObjectToTyped(object, typed.AllowDuplicates)
	if err != nil {
		return err
	}
	moved, err := typed.ReconcileFieldSetWithSchema(&set, value)
	if err != nil || moved == nil {
		return err
	}
	text, err := moved.ToJSON()
	if err != nil {
		return err
	}
	from := len(u.w.work)
	work, ok := parse(u.w.work, string(text), true)
	if !ok {
		return fmt.Errorf("fields %q", text)
	}
	u.w.work, e.fields, e.dirty = work, work[from:len(work):len(work)], true
	return nil
}

// give what the write gained to the writer's entry.
func (u *update) give(entries []entry, own tree) []entry {
	owner := metav1.ManagedFieldsEntry{
		Manager: managerOrUnknown(u.write.Manager), Operation: metav1.ManagedFieldsOperationUpdate,
		APIVersion: u.write.Version.GroupVersion.String(), FieldsType: fieldsV1, Subresource: u.write.Subresource,
	}
	i := find(entries, &owner)
	if i < 0 {
		i = len(entries)
		entries = append(entries, entry{ManagedFieldsEntry: owner})
	}
	e := &entries[i]
	from := len(u.w.work)
	u.w.work = union(u.w.work, e.fields, own, gained)
	e.fields, e.dirty, e.Time = u.w.work[from:len(u.w.work):len(u.w.work)], true, stamp(u.write.Now)
	return entries
}

// change compares the objects in a version, once.
func (u *update) change(version string) (*versionChange, error) {
	for i := range u.changes {
		if u.changes[i].version == version {
			return &u.changes[i], nil
		}
	}
	c, err := u.compare(version)
	if err != nil {
		return nil, err
	}
	u.changes = append(u.changes, c)
	return &u.changes[len(u.changes)-1], nil
}

func (u *update) compare(version string) (versionChange, error) {
	c := versionChange{version: version}
	v := u.write.Version
	if version != v.GroupVersion.String() {
		gv, err := schema.ParseGroupVersion(version)
		if err != nil {
			return c, err
		}
		if v = u.m.version(gv); v == nil {
			return c, nil
		}
	}
	live, err := u.old(v)
	if err != nil {
		return c, err
	}
	new, err := inVersion(u.new, v)
	if err != nil {
		return c, err
	}
	c.known, c.live = true, live
	c.plan = u.m.plan(typeOf(live))
	tracked := u.m.trackedPlan(target{v.GroupVersion, u.write.Subresource}, c.plan)
	c.tree, err = u.w.compare(tracked, address(live), address(new))
	return c, err
}

// old is the stored object in a version. What is created was empty in each.
func (u *update) old(v *registry.TypeVersion) (registry.Object, error) {
	if u.live == nil {
		return empty(v), nil
	}
	return inVersion(u.live, v)
}

// inVersion converts a copy of a hub; the hub's own version needs none.
func inVersion(o registry.Object, v *registry.TypeVersion) (registry.Object, error) {
	if v.IsHub {
		return o, nil
	}
	return v.FromHub(o.DeepCopyObject().(registry.Object))
}
