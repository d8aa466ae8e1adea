package ownership

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// entry of managedFields while it is worked on.
type entry struct {
	metav1.ManagedFieldsEntry
	fields tree
	// dirty entries are encoded again; others keep their text.
	dirty bool
}

// maxUpdates is how many entries with operation Update an object keeps. Above, the oldest flow together.
const maxUpdates = 10

const (
	ancientManager = "ancient-changes"
	unknownManager = "unknown"
	fieldsV1       = "FieldsV1"
)

// sameOwner tells that two entries are of one owner. An applier is the same in every version.
func (e *entry) sameOwner(o *metav1.ManagedFieldsEntry) bool {
	return e.Manager == o.Manager && e.Operation == o.Operation && e.Subresource == o.Subresource &&
		(e.Operation == metav1.ManagedFieldsOperationApply || e.APIVersion == o.APIVersion)
}

func find(entries []entry, owner *metav1.ManagedFieldsEntry) int {
	return slices.IndexFunc(entries, func(e entry) bool { return e.sameOwner(owner) })
}

// isReset tells that a client asks to forget all owners, by an empty list or one empty entry.
func isReset(entries []metav1.ManagedFieldsEntry) bool {
	if len(entries) == 0 {
		return entries != nil
	}
	e := entries[0]
	return len(entries) == 1 && e.Manager == "" && e.Operation == "" && e.APIVersion == "" && e.Time == nil &&
		e.FieldsType == "" && e.FieldsV1 == nil && e.Subresource == ""
}

// read decodes entries into trees that lie in w.work. Of two entries of one owner the last counts.
func (w *walker) read(encoded []metav1.ManagedFieldsEntry) ([]entry, error) {
	entries := make([]entry, 0, len(encoded)+1)
	for i := range encoded {
		e := entry{ManagedFieldsEntry: encoded[i]}
		if err := w.readOne(&e); err != nil {
			return nil, fmt.Errorf("managed fields entry %d: %w", i, err)
		}
		if j := find(entries, &encoded[i]); j >= 0 {
			entries[j] = e
			continue
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (w *walker) readOne(e *entry) error {
	switch {
	case e.Operation != metav1.ManagedFieldsOperationApply && e.Operation != metav1.ManagedFieldsOperationUpdate:
		return errors.New("operation must be `Apply` or `Update`")
	case e.APIVersion == "":
		return errors.New("apiVersion must not be empty")
	case e.FieldsType != fieldsV1:
		return fmt.Errorf("invalid fieldsType %q", e.FieldsType)
	case e.FieldsV1 == nil:
		return nil
	}
	from := len(w.work)
	raw := unsafeString(e.FieldsV1.GetRawBytes())
	work, ok := parse(w.work, raw, false)
	if !ok {
		canonical, err := canonicalFields(e.FieldsV1)
		if err != nil {
			return err
		}
		if work, ok = parse(w.work[:from], canonical, true); !ok {
			return fmt.Errorf("fields %q", raw)
		}
		e.dirty = true
	}
	w.work, e.fields = work, work[from:len(work):len(work)]
	return nil
}

// canonicalFields brings a foreign text into the form that is written.
func canonicalFields(f *metav1.FieldsV1) (string, error) {
	var set fieldpath.Set
	if err := set.FromJSON(f.GetRawReader()); err != nil {
		return "", fmt.Errorf("error decoding set: %w", err)
	}
	text, err := set.ToJSON()
	return string(text), err
}

// write encodes the entries in their order.
func (w *walker) write(entries []entry) []metav1.ManagedFieldsEntry {
	if len(entries) == 0 {
		return nil
	}
	encoded := make([]metav1.ManagedFieldsEntry, len(entries))
	for i := range entries {
		e := &entries[i]
		if e.dirty || e.FieldsV1 == nil {
			w.out = e.fields.encode(w.out[:0], member)
			e.FieldsV1 = w.known.fields(w.out)
		}
		encoded[i] = e.ManagedFieldsEntry
	}
	sortEntries(encoded)
	return encoded
}

func sortEntries(entries []metav1.ManagedFieldsEntry) {
	slices.SortFunc(entries, func(a, b metav1.ManagedFieldsEntry) int {
		return cmp.Or(
			cmp.Compare(a.Operation, b.Operation),
			cmp.Compare(seconds(a.Time), seconds(b.Time)),
			cmp.Compare(a.Manager, b.Manager),
			cmp.Compare(a.APIVersion, b.APIVersion),
			cmp.Compare(a.Subresource, b.Subresource),
		)
	})
}

func seconds(t *metav1.Time) int64 {
	if t == nil {
		return 0
	}
	return t.Unix()
}

// capUpdates merges the oldest Update entries, by version, until few enough are left.
func (w *walker) capUpdates(entries []entry) []entry {
	var oldest []metav1.ManagedFieldsEntry
	for i := range entries {
		if entries[i].Operation == metav1.ManagedFieldsOperationUpdate {
			oldest = append(oldest, entries[i].ManagedFieldsEntry)
		}
	}
	if len(oldest) <= maxUpdates {
		return entries
	}
	slices.SortFunc(oldest, func(a, b metav1.ManagedFieldsEntry) int {
		return cmp.Or(cmp.Compare(seconds(a.Time), seconds(b.Time)), cmp.Compare(identifier(a), identifier(b)))
	})
	first := map[string]metav1.ManagedFieldsEntry{} // of each version
	for left := len(oldest); len(oldest) > 0 && left > maxUpdates; oldest = oldest[1:] {
		e := oldest[0]
		if f, ok := first[e.APIVersion]; ok {
			entries = w.intoBucket(entries, f, e)
			left--
		} else {
			first[e.APIVersion] = e
		}
	}
	return entries
}

// identifier is by what entries of the same time are ordered.
func identifier(e metav1.ManagedFieldsEntry) string {
	text, err := json.Marshal(metav1.ManagedFieldsEntry{
		Manager: e.Manager, Operation: e.Operation, APIVersion: e.APIVersion, Subresource: e.Subresource,
	})
	if err != nil {
		panic("ownership: " + err.Error())
	}
	return string(text)
}

// intoBucket merges an entry into its version's bucket, which starts as the version's first entry.
func (w *walker) intoBucket(entries []entry, first, merged metav1.ManagedFieldsEntry) []entry {
	bucket := metav1.ManagedFieldsEntry{
		Manager: ancientManager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: merged.APIVersion,
	}
	b := find(entries, &bucket)
	if b < 0 {
		b = find(entries, &first)
		entries[b].Manager, entries[b].Subresource = ancientManager, ""
	}
	m := find(entries, &merged)
	from := len(w.work)
	w.work = union(w.work, entries[b].fields, entries[m].fields, member)
	entries[b].fields, entries[b].dirty, entries[b].Time = w.work[from:], true, merged.Time
	return slices.Delete(entries, m, m+1)
}
