package apiserver

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/proa-dev/proa/internal/access/admission"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
	"github.com/proa-dev/proa/internal/store"
)

// The steps that writes share. Their order is create.go's and update.go's to tell.

// admission is the call as the admission plugins see it.
func (c *call) admission(op admission.Operation, o, old registry.Object) *admission.Request {
	r := &admission.Request{
		Operation:   op,
		User:        c.user,
		Type:        c.typ,
		Resource:    c.version.GroupVersion.WithResource(c.typ.Name),
		Kind:        c.version.GroupVersionKind(),
		Subresource: c.subresource,
		Namespace:   c.namespace,
		Name:        c.name,
		DryRun:      c.dryRun,
		Options:     c.admissionOptions(),
		Warn:        c.warn,
		Annotate:    func(string, string) {},
	}
	if o != nil {
		r.Object = o
		if r.Name == "" {
			r.Name = o.GetName()
		}
	}
	if old != nil {
		r.Old = old
	}
	return r
}

// admit runs both halves of admission on an object that is not stored itself.
func (s *Server) admit(ctx context.Context, r *admission.Request) error {
	if err := s.admission.Mutate(ctx, r); err != nil {
		return err
	}
	return s.admission.Validate(ctx, r)
}

func clearStatus(t *registry.Type, o registry.Object) {
	reflect.ValueOf(t.Status(o)).Elem().SetZero()
}

// carryStatus gives a new object the old one's status, and so keeps it out of writes to the main resource.
func carryStatus(t *registry.Type, new, old registry.Object) {
	reflect.ValueOf(t.Status(new)).Elem().Set(reflect.ValueOf(t.Status(old)).Elem())
}

func (c *call) nameRule() validation.ValidateNameFunc {
	if c.typ.ValidateName != nil {
		return c.typ.ValidateName
	}
	return validation.NameIsDNSSubdomain
}

func (c *call) validateCreate(o registry.Object) field.ErrorList {
	errs := c.validateMeta(o)
	if _, custom := o.(*unstructured.Unstructured); !custom {
		errs = append(errs, checkFinalizers(o)...)
	}
	errs = append(errs, c.typ.Validate(o)...)
	errs = append(errs, c.typ.ValidateCreate(o)...)
	if c.version.ValidateCreate != nil {
		errs = append(errs, c.version.ValidateCreate(o)...)
	}
	return errs
}

// checkFinalizers refuses short names that are not Kubernetes' own.
func checkFinalizers(o registry.Object) field.ErrorList {
	var errs field.ErrorList
	for i, f := range o.GetFinalizers() {
		switch {
		case strings.Contains(f, "/"), f == metav1.FinalizerOrphanDependents, f == metav1.FinalizerDeleteDependents, f == "kubernetes":
		default:
			errs = append(errs, field.Invalid(field.NewPath("metadata", "finalizers").Index(i), f,
				"name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
	return errs
}

// dropDuplicateOwners keeps the first of owner references with the same UID.
func (c *call) dropDuplicateOwners(o registry.Object) {
	owners := o.GetOwnerReferences()
	if len(owners) < 2 {
		return
	}
	seen := sets.New[types.UID]()
	kept := make([]metav1.OwnerReference, 0, len(owners))
	var dropped []string
	for _, ref := range owners {
		if seen.Has(ref.UID) {
			dropped = append(dropped, string(ref.UID))
			continue
		}
		seen.Insert(ref.UID)
		kept = append(kept, ref)
	}
	if len(dropped) == 0 {
		return
	}
	o.SetOwnerReferences(kept)
	c.warn(fmt.Sprintf(".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: %v", strings.Join(dropped, ", ")))
}

// commit stores the object if its key has the revision, and sets the new resourceVersion on it.
func (s *Server) commit(ctx context.Context, c *call, claim registry.Claim, o registry.Object, expect store.Revision) error {
	o.SetResourceVersion("")
	value, err := encoding.Stored(c.typ, o)
	if err != nil {
		return err
	}
	return s.commitValue(ctx, c, claim, o, value, expect)
}

func (s *Server) commitValue(ctx context.Context, c *call, claim registry.Claim, o registry.Object, value []byte, expect store.Revision) error {
	op := store.Op{Key: c.typ.Prefix + c.key(), Value: value, Expect: expect, Hint: newHint(shallow(o))}
	if c.typ.TTL != nil {
		op.TTL = c.typ.TTL(o)
	}
	revision, err := s.put(ctx, claim, op)
	if err != nil {
		return err
	}
	o.SetResourceVersion(strconv.FormatInt(revision, 10))
	return nil
}

// maxLosses bounds how often a write begins anew because others took what was chosen for it.
const maxLosses = 100

// put commits an object's operation, through its claim if there is one.
func (s *Server) put(ctx context.Context, claim registry.Claim, op store.Op) (store.Revision, error) {
	if claim == nil {
		return s.store.Commit(ctx, op)
	}
	return claim.Commit(ctx, op)
}

func end(claim registry.Claim) {
	if claim != nil {
		claim.End()
	}
}

// decodeStored reads a value that the store answered with, its revision filled in.
func (c *call) decodeStored(kv store.KV) (registry.Object, error) {
	o, err := encoding.DecodeStored(c.typ, kv.Value)
	if err != nil {
		return nil, err
	}
	o.SetResourceVersion(strconv.FormatInt(kv.Revision, 10))
	return o, nil
}

func (s *Server) now() time.Time { return s.clock.Now() }
