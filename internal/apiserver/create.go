package apiserver

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/proa-dev/proa/internal/access/admission"
	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/store"
)

// A generated name is the prefix, cut to this, and five characters; if it is taken another one is tried.
const (
	maxGenerateNamePrefix = 58
	generatedSuffix       = 5
	generateAttempts      = 8
)

func (s *Server) create(ctx context.Context, c *call) (*answer, error) {
	for attempt := 1; ; attempt++ {
		o, err := c.decode()
		if err != nil {
			return nil, err
		}
		generated := o.GetName() == "" && o.GetGenerateName() != ""
		a, err := s.createObject(ctx, c, o)
		if !generated || !apierrors.IsAlreadyExists(err) {
			return a, err
		}
		if attempt == generateAttempts {
			return nil, apierrors.NewGenerateNameConflict(c.groupResource(), c.name, 1)
		}
		c.name = ""              // that of this attempt
		c.warn = func(string) {} // all was said in this attempt
	}
}

// createObject writes a new object that has been decoded and defaulted. It takes the object.
func (s *Server) createObject(ctx context.Context, c *call, o registry.Object) (*answer, error) {
	if err := c.checkNamespace(o); err != nil {
		return nil, err
	}
	wipe(o)
	if o.GetResourceVersion() != "" {
		return nil, errors.New("resourceVersion should not be set on objects to be created")
	}
	return s.createNamed(ctx, c, o)
}

// createNamed begins anew when others take what was chosen for the object.
func (s *Server) createNamed(ctx context.Context, c *call, o registry.Object) (*answer, error) {
	if !c.typ.Claims {
		return s.tryCreate(ctx, c, o)
	}
	name := c.name
	for losses := 0; ; losses++ {
		a, err := s.tryCreate(ctx, c, o.DeepCopyObject().(registry.Object))
		if !errors.Is(err, registry.ErrLost) || losses == maxLosses {
			return a, err
		}
		c.name = name
		c.warn = func(string) {} // all was said in this attempt
	}
}

func (s *Server) tryCreate(ctx context.Context, c *call, o registry.Object) (*answer, error) {
	if c.body.object == nil {
		c.dropDuplicateOwners(o)
	}
	if c.patchType != applyPatch {
		s.own(c, nil, o)
	}
	adm := c.admission(admission.Create, o, nil)
	if err := s.admission.Mutate(ctx, adm); err != nil {
		return nil, err
	}
	s.prepareCreate(c, o)
	claim, err := c.typ.Begin(ctx, o, nil)
	if err != nil {
		return nil, err
	}
	defer end(claim)
	if errs := c.validateCreate(o); len(errs) > 0 {
		return nil, apierrors.NewInvalid(c.groupKind(), o.GetName(), errs)
	}
	for _, w := range c.typ.Warn(o, nil) {
		c.warn(w)
	}
	adm.Name = cmp.Or(adm.Name, o.GetName())
	if err := s.admission.Validate(ctx, adm); err != nil {
		return nil, err
	}
	c.name = o.GetName()
	if c.dryRun {
		err = s.checkAbsent(ctx, c)
	} else {
		err = s.commit(ctx, c, claim, o, store.MustNotExist)
	}
	var conflict *store.ConflictError
	if errors.As(err, &conflict) {
		return nil, s.alreadyExists(c, conflict)
	}
	if err != nil {
		return nil, err
	}
	return &answer{code: http.StatusCreated, object: o}, nil
}

// wipe takes out what the server alone sets, before anybody is taken for its owner.
func wipe(o registry.Object) {
	o.SetUID("")
	o.SetCreationTimestamp(metav1.Time{})
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	o.SetSelfLink("")
}

// prepareCreate sets what the server alone sets.
func (s *Server) prepareCreate(c *call, o registry.Object) {
	o.SetUID(uuid.NewUUID())
	o.SetCreationTimestamp(metav1.NewTime(s.now().Truncate(1e9)))
	if c.typ.Spec != nil {
		o.SetGeneration(1)
	}
	if c.typ.Status != nil && !c.typ.StatusOnCreate {
		clearStatus(c.typ, o)
	}
	if o.GetName() == "" && o.GetGenerateName() != "" {
		prefix := o.GetGenerateName()
		o.SetName(prefix[:min(len(prefix), maxGenerateNamePrefix)] + utilrand.String(generatedSuffix))
	}
	c.typ.PrepareCreate(o)
}

// checkAbsent is what is left of the commit on a dry run.
func (s *Server) checkAbsent(ctx context.Context, c *call) error {
	item, err := c.res.table.Get(ctx, c.key(), cache.At{Consistency: cache.Consistent})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return &store.ConflictError{Key: c.typ.Prefix + c.key(), Actual: store.KV{Value: item.Value, Revision: item.Revision}}
}

func (s *Server) alreadyExists(c *call, conflict *store.ConflictError) error {
	err := apierrors.NewAlreadyExists(c.groupResource(), c.name)
	if there, derr := c.decodeStored(conflict.Actual); derr == nil && there.GetDeletionTimestamp() != nil {
		err.ErrStatus.Message = "object is being deleted: " + err.ErrStatus.Message
	}
	return err
}
