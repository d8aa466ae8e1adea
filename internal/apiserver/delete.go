package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/access/admission"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/store"
)

// A deletion is either one commit that removes the object, or one that marks it (deletionTimestamp,
// finalizers) and leaves the removal to whoever takes the last finalizer away or ends the grace period.
// decideDelete, which is pure, says which.

// parseDelete reads DeleteOptions from the body, if there is one, or from the query.
func (c *call) parseDelete(q url.Values) error {
	if len(c.body.data) > 0 {
		if err := c.decodeDeleteOptions(); err != nil {
			return err
		}
	} else if err := c.deleteQuery(q); err != nil {
		return err
	}
	return c.settleDelete()
}

func (c *call) decodeDeleteOptions() error {
	c.validation = metav1.FieldValidationIgnore
	if err := c.checkSyntax(); err != nil {
		return badRequest("%v", err)
	}
	got, _, err := c.unmarshal(&c.delete)
	if err != nil {
		return badRequest("%v", err)
	}
	if got.Kind != "" && got.Kind != "DeleteOptions" {
		return badRequest("no kind %q is registered for version %q", got.Kind, got.GroupVersion())
	}
	return nil
}

func (c *call) deleteQuery(q url.Values) error {
	o := &c.delete
	o.DryRun = q["dryRun"]
	var err error
	if o.GracePeriodSeconds, err = optionalInt(q, "gracePeriodSeconds"); err != nil {
		return err
	}
	if q.Has("orphanDependents") {
		v := parseBool(q.Get("orphanDependents"))
		o.OrphanDependents = &v
	}
	if p := metav1.DeletionPropagation(q.Get("propagationPolicy")); p != "" {
		o.PropagationPolicy = &p
	}
	uid, revision := types.UID(q.Get("uid")), q.Get("resourceVersion")
	if uid == "" && revision == "" {
		return nil
	}
	o.Preconditions = &metav1.Preconditions{}
	if uid != "" {
		o.Preconditions.UID = &uid
	}
	if revision != "" {
		o.Preconditions.ResourceVersion = &revision
	}
	return nil
}

// settleDelete checks the options.
func (c *call) settleDelete() error {
	c.delete.IgnoreStoreReadErrorWithClusterBreakingPotential = nil // of a feature that is off
	if errs := validation.ValidateDeleteOptions(&c.delete); len(errs) > 0 {
		return invalidOptions("DeleteOptions", errs)
	}
	c.dryRun = len(c.delete.DryRun) > 0
	if c.delete.PropagationPolicy == nil && c.delete.OrphanDependents == nil {
		c.warn(c.typ.OrphansWarning)
	}
	return nil
}

func (s *Server) delete(ctx context.Context, c *call) (*answer, error) {
	a, err := s.onPresent(ctx, c, func(t target) (*answer, error) { return s.tryDelete(ctx, c, t) })
	if errors.Is(err, store.ErrNotFound) {
		return nil, c.notFound()
	}
	return a, err
}

func (s *Server) tryDelete(ctx context.Context, c *call, t target) (*answer, error) {
	if err := c.checkDeletePreconditions(t); err != nil {
		return nil, err
	}
	adm := c.admission(admission.Delete, nil, t.object)
	if err := s.admission.Mutate(ctx, adm); err != nil {
		return nil, err
	}
	if err := s.admission.Validate(ctx, adm); err != nil {
		return nil, err
	}
	d := decideDelete(c.typ, t.object, &c.delete, s.now())
	switch {
	case c.dryRun:
		return c.deleted(d.object, !d.remove), nil
	case d.remove:
		revision, err := s.remove(ctx, c, t)
		if err != nil {
			return nil, err
		}
		d.object.SetResourceVersion(strconv.FormatInt(revision, 10))
		return c.deleted(d.object, false), nil
	case d.object == t.object:
		return c.deleted(d.object, true), nil
	default:
		err := s.commit(ctx, c, nil, d.object, t.revision)
		return c.deleted(d.object, true), err
	}
}

func (c *call) checkDeletePreconditions(t target) error {
	p := c.delete.Preconditions
	if p == nil {
		return nil
	}
	if uid := t.object.GetUID(); p.UID != nil && *p.UID != uid {
		return c.mistaken("UID", string(*p.UID), string(uid), "deleted and then recreated")
	}
	if rv := t.object.GetResourceVersion(); p.ResourceVersion != nil && *p.ResourceVersion != rv {
		return c.mistaken("ResourceVersion", *p.ResourceVersion, rv, "modified")
	}
	return nil
}

// mistaken is the 409 of a precondition that does not hold. It names the kind, in the group of the hub, as
// kube-apiserver does here alone; but for namespaces, which it checks in a place of their own.
func (c *call) mistaken(field, want, have, hint string) error {
	if c.typ.Terminates {
		return apierrors.NewConflict(c.typ.GroupResource(), c.name,
			fmt.Errorf("Precondition failed: %s in precondition: %s, %s in object meta: %s", field, want, field, have))
	}
	kind := schema.GroupResource{Group: c.typ.GroupResource().Group, Resource: c.version.Kind}
	return apierrors.NewConflict(kind, c.name,
		fmt.Errorf("the %s in the precondition (%s) does not match the %s in record (%s). The object might have been %s", field, want, field, have, hint))
}

// remove deletes the key and what the stored object had claimed, and tells the revision of the deletion.
func (s *Server) remove(ctx context.Context, c *call, t target) (store.Revision, error) {
	claim, err := c.typ.Begin(ctx, nil, t.object)
	if err != nil {
		return 0, err
	}
	defer end(claim)
	return s.put(ctx, claim, store.Op{Key: c.typ.Prefix + c.key(), Expect: t.revision})
}

// deleted is the answer to a deletion: the object, or a Status that names it.
func (c *call) deleted(o registry.Object, survived bool) *answer {
	code := http.StatusOK
	if orphan := c.delete.OrphanDependents; survived && orphan != nil && !*orphan {
		code = http.StatusAccepted
	}
	if c.typ.AnswersDeleted || survived {
		return &answer{code: code, object: o}
	}
	return &answer{code: code, other: &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusSuccess,
		Details:  &metav1.StatusDetails{Name: o.GetName(), Group: c.version.Group, Kind: c.typ.Name, UID: o.GetUID()},
	}}
}

// removal is what a deletion does to an object.
type removal struct {
	// remove takes the object away; otherwise it is replaced by object, unless that is the old one.
	remove bool
	object registry.Object
}

// decideDelete says what deleting old does at a time.
func decideDelete(t *registry.Type, old registry.Object, o *metav1.DeleteOptions, now time.Time) removal {
	object := old.DeepCopyObject().(registry.Object)
	graceful, pending, period := decideGrace(t, object, o, now)
	if pending {
		return removal{object: old}
	}
	finalizers, changed := collectionFinalizers(t, object, o)
	if changed {
		object.SetFinalizers(finalizers)
	}
	kept := len(finalizers) > 0 || t.Held(object)
	switch {
	case kept && !graceful:
		mark := markDeleted
		if t.Held(object) {
			mark = markHeld
		}
		if !mark(object, now) && !changed {
			return removal{object: old}
		}
		t.MarkDeleted(object)
		return removal{object: object}
	case kept, graceful && period > 0:
		return removal{object: object}
	default:
		return removal{remove: true, object: object}
	}
}

// decideGrace sets the deletion's time and grace period on kinds that have one. pending means that the
// object is on its way already and there is nothing to change.
func decideGrace(t *registry.Type, o registry.Object, opts *metav1.DeleteOptions, now time.Time) (graceful, pending bool, period int64) {
	if t.GracePeriod == nil {
		return false, false, 0
	}
	have := o.GetDeletionGracePeriodSeconds()
	if deleted := o.GetDeletionTimestamp(); deleted != nil {
		switch {
		case have == nil:
			return false, false, 0
		case opts.GracePeriodSeconds == nil:
			return false, true, 0
		}
		period = t.GracePeriod(o, opts.GracePeriodSeconds)
		if period >= *have {
			return false, true, 0
		}
		at := metav1.NewTime(deleted.Add(time.Duration(period-*have) * time.Second))
		o.SetDeletionTimestamp(&at)
		o.SetDeletionGracePeriodSeconds(&period)
		return true, false, period
	}
	period = t.GracePeriod(o, opts.GracePeriodSeconds)
	at := metav1.NewTime(now.Add(time.Duration(period) * time.Second).Truncate(time.Second))
	o.SetDeletionTimestamp(&at)
	o.SetDeletionGracePeriodSeconds(&period)
	if o.GetGeneration() > 0 {
		o.SetGeneration(o.GetGeneration() + 1)
	}
	return true, false, period
}

// markHeld marks an object that its own kind of finalizers keep: it has no grace period.
func markHeld(o registry.Object, now time.Time) bool {
	if o.GetDeletionTimestamp() != nil {
		return false
	}
	at := metav1.NewTime(now.Truncate(time.Second))
	o.SetDeletionTimestamp(&at)
	return true
}

// markDeleted marks an object that only its finalizers keep. It tells whether that changed anything.
func markDeleted(o registry.Object, now time.Time) bool {
	zero := int64(0)
	if o.GetDeletionTimestamp() != nil {
		if g := o.GetDeletionGracePeriodSeconds(); g != nil && *g == 0 {
			return false
		}
		o.SetDeletionGracePeriodSeconds(&zero)
		return true
	}
	if o.GetGeneration() > 0 {
		o.SetGeneration(o.GetGeneration() + 1)
	}
	at := metav1.NewTime(now.Truncate(time.Second))
	o.SetDeletionTimestamp(&at)
	o.SetDeletionGracePeriodSeconds(&zero)
	return true
}

// collectionFinalizers are the object's finalizers once the garbage collector's two follow the policy.
func collectionFinalizers(t *registry.Type, o registry.Object, opts *metav1.DeleteOptions) (finalizers []string, changed bool) {
	have := o.GetFinalizers()
	if t.NeverCollected {
		return have, false
	}
	orphan := wantsOrphans(t, o, opts)
	foreground := wantsForeground(o, opts)
	for _, f := range have {
		if f != metav1.FinalizerOrphanDependents && f != metav1.FinalizerDeleteDependents {
			finalizers = append(finalizers, f)
		}
	}
	if orphan {
		finalizers = append(finalizers, metav1.FinalizerOrphanDependents)
	}
	if foreground {
		finalizers = append(finalizers, metav1.FinalizerDeleteDependents)
	}
	slices.Sort(finalizers)
	sorted := slices.Sorted(slices.Values(have))
	if slices.Equal(finalizers, sorted) {
		return have, false
	}
	return finalizers, true
}

func wantsOrphans(t *registry.Type, o registry.Object, opts *metav1.DeleteOptions) bool {
	switch {
	case opts.OrphanDependents != nil:
		return *opts.OrphanDependents
	case opts.PropagationPolicy != nil:
		return *opts.PropagationPolicy == metav1.DeletePropagationOrphan
	case slices.Contains(o.GetFinalizers(), metav1.FinalizerOrphanDependents):
		return true
	case slices.Contains(o.GetFinalizers(), metav1.FinalizerDeleteDependents):
		return false
	default:
		return t.OrphansByDefault
	}
}

func wantsForeground(o registry.Object, opts *metav1.DeleteOptions) bool {
	switch {
	case opts.OrphanDependents != nil:
		return false
	case opts.PropagationPolicy != nil:
		return *opts.PropagationPolicy == metav1.DeletePropagationForeground
	default:
		return slices.Contains(o.GetFinalizers(), metav1.FinalizerDeleteDependents)
	}
}
