package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/admission"
	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/ownership"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
	"github.com/proa-dev/proa/internal/store"
)

// target is the stored object that a write is decided on. Its object is shared.
type target struct {
	object   registry.Object
	revision store.Revision
	// value is the stored encoding with the revision in it.
	value []byte
}

// decision makes the new object from the present one, which is nil if there is none. It returns nil to
// leave things as they are.
type decision func(live registry.Object) (registry.Object, error)

func (s *Server) update(ctx context.Context, c *call) (*answer, error) {
	body, err := c.decode()
	if err != nil {
		return nil, err
	}
	if err := c.checkNamespace(body); err != nil {
		return nil, err
	}
	if err := c.checkName(body); err != nil {
		return nil, err
	}
	c.dropDuplicateOwners(body)
	return s.change(ctx, c, c.typ.CreateOnUpdate && c.subresource == "", func(registry.Object) (registry.Object, error) {
		return c.takeBody(&body)
	})
}

// takeBody hands the decoded body to the first try, which changes it; each that follows gets it decoded anew,
// since few do.
func (c *call) takeBody(body *registry.Object) (o registry.Object, err error) {
	if o, *body = *body, nil; o != nil {
		return o, nil
	}
	c.warn = func(string) {} // all was said the first time
	if o, err = c.decode(); err == nil {
		c.dropDuplicateOwners(o)
	}
	return o, err
}

// change is every write by a client to an object that may exist.
func (s *Server) change(ctx context.Context, c *call, mayCreate bool, decide decision) (*answer, error) {
	a, err := s.onPresent(ctx, c, func(t target) (*answer, error) { return s.tryChange(ctx, c, t, decide) })
	if errors.Is(err, store.ErrNotFound) {
		return s.changeAbsent(ctx, c, mayCreate, decide)
	}
	return a, err
}

// onPresent calls try with the present state of the call's object, and again with the state that its
// commit met if that was another, or if others had taken what it chose. Without an object it returns
// store.ErrNotFound.
func (s *Server) onPresent(ctx context.Context, c *call, try func(target) (*answer, error)) (*answer, error) {
	t, err := s.load(ctx, c)
	losses := 0
	for err == nil {
		a, terr := try(t)
		if errors.Is(terr, registry.ErrLost) && losses < maxLosses {
			losses++
			continue
		}
		var conflict *store.ConflictError
		if !errors.As(terr, &conflict) {
			return a, terr
		}
		t, err = c.target(conflict.Actual)
	}
	return nil, err
}

// replace is the server's own write to an object: it passes no admission and owns no fields.
func (s *Server) replace(ctx context.Context, c *call, decide decision) (*answer, error) {
	a, err := s.onPresent(ctx, c, func(t target) (*answer, error) {
		o, err := decide(t.object)
		if err != nil {
			return nil, err
		}
		if !c.dryRun {
			err = s.commitChange(ctx, c, nil, o, t)
		}
		return ok(o), err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, c.notFound()
	}
	return a, err
}

// load finds the object that a write is about.
func (s *Server) load(ctx context.Context, c *call) (target, error) {
	item, err := c.res.table.Get(ctx, c.key(), cache.At{Consistency: cache.Consistent})
	if err != nil {
		return target{}, err
	}
	o, err := c.res.object(item)
	return target{object: o, revision: item.Revision, value: item.Value}, err
}

// target is what a failed commit found in place of what it expected.
func (c *call) target(kv store.KV) (target, error) {
	if kv.Revision == 0 {
		return target{}, store.ErrNotFound
	}
	o, err := c.decodeStored(kv)
	if err != nil {
		return target{}, err
	}
	value, err := withRevision(kv.Value, kv.Revision)
	return target{object: o, revision: kv.Revision, value: value}, err
}

func (s *Server) changeAbsent(ctx context.Context, c *call, mayCreate bool, decide decision) (*answer, error) {
	if !mayCreate {
		return nil, c.notFound()
	}
	o, err := decide(nil)
	if err != nil {
		return nil, err
	}
	if o.GetUID() != "" {
		return nil, c.uidConflict(string(o.GetUID()), "")
	}
	attrs := c.attributes()
	attrs.Verb = "create"
	if err := s.authorize(ctx, attrs); err != nil {
		return nil, err
	}
	o.SetResourceVersion("")
	return s.createObject(ctx, c, o)
}

func (s *Server) tryChange(ctx context.Context, c *call, t target, decide decision) (*answer, error) {
	old := t.object
	o, err := decide(old)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return ok(old), nil
	}
	if err := c.checkPreconditions(o, t); err != nil {
		return nil, err
	}
	if c.patchType != applyPatch {
		s.own(c, old, o)
	}
	adm := c.admission(admission.Update, o, old)
	if err := s.admission.Mutate(ctx, adm); err != nil {
		return nil, err
	}
	c.prepareUpdate(o, old)
	claim, err := c.typ.Begin(ctx, o, old)
	if err != nil {
		return nil, err
	}
	defer end(claim)
	if errs := c.validateUpdate(o, old); len(errs) > 0 {
		return nil, apierrors.NewInvalid(c.groupKind(), c.name, errs)
	}
	if c.subresource == "" {
		for _, w := range c.typ.Warn(o, old) {
			c.warn(w)
		}
	}
	if err := s.admission.Validate(ctx, adm); err != nil {
		return nil, err
	}
	if c.dryRun {
		ownership.KeepTimes(old, o)
		o.SetResourceVersion(strconv.FormatInt(t.revision, 10))
		return ok(o), nil
	}
	if c.finished(o) {
		_, err := s.remove(ctx, c, t)
		return ok(o), err
	}
	return ok(o), s.commitChange(ctx, c, claim, o, t)
}

// commitChange writes the object unless that would change nothing.
func (s *Server) commitChange(ctx context.Context, c *call, claim registry.Claim, o registry.Object, t target) error {
	o.SetResourceVersion("")
	ownership.KeepTimes(t.object, o)
	value, err := encoding.Stored(c.typ, o)
	if err != nil {
		return err
	}
	same, err := c.sameButRevision(value, t)
	if err != nil {
		return err
	}
	if same {
		o.SetResourceVersion(strconv.FormatInt(t.revision, 10))
		return nil
	}
	return s.commitValue(ctx, c, claim, o, value, t.revision)
}

// sameButRevision tells whether a value, which has no revision, is what is stored.
func (c *call) sameButRevision(value []byte, t target) (bool, error) {
	if encoding.IsProtobuf(value) {
		return encoding.SameButRevision(value, t.value)
	}
	with, err := withRevision(value, t.revision)
	return bytes.Equal(with, t.value), err
}

// checkPreconditions compares what the new object says of the old one.
func (c *call) checkPreconditions(o registry.Object, t target) error {
	// A patch that changes the uid fails validation instead.
	if uid := o.GetUID(); c.verb == "update" && uid != "" && uid != t.object.GetUID() {
		return c.uidConflict(string(uid), string(t.object.GetUID()))
	}
	switch rv := o.GetResourceVersion(); rv {
	case "", "0":
		if c.typ.RevisionRequired && c.verb == "update" {
			// kube-apiserver names the resource here, where it names the kind elsewhere.
			resource := schema.GroupKind{Group: c.version.Group, Kind: c.typ.Name}
			return apierrors.NewInvalid(resource, c.name, field.ErrorList{
				field.Invalid(field.NewPath("metadata", "resourceVersion"), 0, "must be specified for an update"),
			})
		}
		o.SetResourceVersion(strconv.FormatInt(t.revision, 10))
	default:
		// What is no number is no conflict: kube-apiserver lets the parser have its word.
		if _, err := strconv.ParseUint(rv, 10, 64); err != nil {
			return err
		}
		if rv != strconv.FormatInt(t.revision, 10) {
			return c.conflict(modified)
		}
	}
	return nil
}

// uidConflict is told in the words of kube-apiserver's store, which nobody has told its prefix on a dry run.
func (c *call) uidConflict(want, have string) error {
	key := c.typ.Prefix + c.key()
	if c.dryRun {
		key = strings.TrimPrefix(key, "/registry")
	}
	return c.conflict(fmt.Sprintf("StorageError: invalid object, Code: 4, Key: %s, ResourceVersion: 0, AdditionalErrorMsg: %s", key, uidPrecondition(want, have)))
}

func uidPrecondition(want, have string) string {
	return fmt.Sprintf("Precondition failed: UID in precondition: %s, UID in object meta: %s", want, have)
}

// prepareUpdate carries over what a client may not change, resets what the subresource does not cover,
// and counts the generation.
func (c *call) prepareUpdate(o, old registry.Object) {
	if o.GetUID() == "" {
		o.SetUID(old.GetUID())
	}
	o.SetCreationTimestamp(old.GetCreationTimestamp())
	o.SetDeletionTimestamp(old.GetDeletionTimestamp())
	o.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	o.SetSelfLink("")
	o.SetGeneration(old.GetGeneration())
	switch view := c.view(); {
	case c.subresource == "status":
		keepStatusOnly(c.typ, o, old)
		c.typ.PrepareStatus(o, old)
	case view != nil:
		view.Prepare(o, old)
	default:
		if c.typ.Status != nil {
			carryStatus(c.typ, o, old)
		}
		c.typ.PrepareUpdate(o, old)
	}
	if c.subresource != "status" && c.typ.Spec != nil && !equality.Semantic.DeepEqual(c.typ.Spec(o), c.typ.Spec(old)) {
		o.SetGeneration(old.GetGeneration() + 1)
	}
}

// keepStatusOnly makes new differ from old in status and metadata alone. All else they share.
func keepStatusOnly(t *registry.Type, new, old registry.Object) {
	kept := shallow(old)
	carryStatus(t, kept, new)
	*metaOf(kept) = *metaOf(new)
	assign(new, kept)
}

func (c *call) validateUpdate(o, old registry.Object) field.ErrorList {
	view := c.view()
	status := c.subresource == "status"
	errs := c.validateMetaUpdate(o, old, !status && view == nil)
	switch {
	case status:
		errs = append(errs, c.typ.ValidateStatus(o, old)...)
	case view != nil:
		errs = append(errs, view.Validate(o, old)...)
	default:
		errs = append(errs, c.typ.Validate(o)...)
		errs = append(errs, c.typ.ValidateUpdate(o, old)...)
		if c.version.ValidateUpdate != nil {
			errs = append(errs, c.version.ValidateUpdate(o, old)...)
		}
	}
	return errs
}

// anyName accepts the name of an object that exists: it was checked when the object was created.
func anyName(string, bool) []string { return nil }

// finished tells whether nothing keeps a deleted object any more.
func (c *call) finished(o registry.Object) bool {
	grace := o.GetDeletionGracePeriodSeconds()
	return o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) == 0 && (grace == nil || *grace == 0) && !c.typ.Held(o)
}

// attributes are what authorization decides on.
func (c *call) attributes() *access.Attributes {
	return &access.Attributes{
		User: c.user, Verb: c.verb, IsResource: true,
		Group: c.version.Group, Version: c.version.Version,
		Resource: c.typ.Name, Subresource: c.subresource, Namespace: c.namespace, Name: c.name,
	}
}
