package owned

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
)

// Claim settles which objects of type T an owner of type O controls. It is made for one Sync.
type Claim[T, O any] struct {
	Client client.Transport
	Kind   client.Kind[T]
	Owner  *O
	Owners client.Kind[O]
	// Match tells whether the owner wants the object.
	Match func(o *T) bool
	// Finalizers are put on what is adopted, and taken from what is released.
	Finalizers []string

	mayAdopt error
	asked    bool
}

// Of returns those of the objects that the owner controls, after it has adopted the orphans that match and
// released its own that do not. It goes on after an error, and returns all.
func (c *Claim[T, O]) Of(ctx context.Context, objects []*T) ([]*T, error) {
	var mine []*T
	var errs []error
	for _, o := range objects {
		ok, err := c.settle(ctx, o)
		if err != nil {
			errs = append(errs, err)
		} else if ok {
			mine = append(mine, o)
		}
	}
	return mine, errors.Join(errs...)
}

// settle tells whether the owner controls an object now. An owner that is being deleted changes nothing.
func (c *Claim[T, O]) settle(ctx context.Context, typed *T) (bool, error) {
	o, owner := object(typed), object(c.Owner)
	ref := metav1.GetControllerOfNoCopy(o)
	switch {
	case ref != nil && ref.UID != owner.GetUID():
		return false, nil
	case ref != nil && c.Match(typed):
		return true, nil
	case owner.GetDeletionTimestamp() != nil:
		return false, nil
	case ref != nil:
		return false, c.release(ctx, o)
	case o.GetDeletionTimestamp() != nil, o.GetNamespace() != owner.GetNamespace(), !c.Match(typed):
		return false, nil
	}
	err := c.adopt(ctx, o)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

func (c *Claim[T, O]) adopt(ctx context.Context, o client.Object) error {
	if err := c.checkOwner(ctx); err != nil {
		return fmt.Errorf("can't adopt %s %s/%s (%s): %w", c.Kind.Kind, o.GetNamespace(), o.GetName(), o.GetUID(), err)
	}
	metadata := map[string]any{
		"uid":             o.GetUID(),
		"ownerReferences": []metav1.OwnerReference{RefTo(c.Owner, c.Owners)},
	}
	if len(c.Finalizers) > 0 {
		metadata["finalizers"] = c.Finalizers
	}
	return c.patch(ctx, o, metadata)
}

// checkOwner reads the owner past the informer, once: by its own copy a loop may not know yet that the owner
// is going, and must not adopt what the garbage collector has just orphaned.
func (c *Claim[T, O]) checkOwner(ctx context.Context) error {
	if c.asked {
		return c.mayAdopt
	}
	c.asked = true
	owner := object(c.Owner)
	fresh, err := c.Owners.Get(ctx, c.Client, owner.GetNamespace(), owner.GetName())
	switch {
	case err != nil:
		c.mayAdopt = fmt.Errorf("can't recheck DeletionTimestamp: %w", err)
	case object(fresh).GetUID() != owner.GetUID():
		c.mayAdopt = fmt.Errorf("can't recheck DeletionTimestamp: original %s %s/%s is gone: got uid %s, wanted %s",
			c.Owners.Kind, owner.GetNamespace(), owner.GetName(), object(fresh).GetUID(), owner.GetUID())
	case object(fresh).GetDeletionTimestamp() != nil:
		c.mayAdopt = fmt.Errorf("%s/%s has just been deleted at %s",
			owner.GetNamespace(), owner.GetName(), object(fresh).GetDeletionTimestamp())
	}
	return c.mayAdopt
}

func (c *Claim[T, O]) release(ctx context.Context, o client.Object) error {
	metadata := map[string]any{
		"uid":             o.GetUID(),
		"ownerReferences": []map[string]any{{"$patch": "delete", "uid": object(c.Owner).GetUID()}},
	}
	if len(c.Finalizers) > 0 {
		metadata["$deleteFromPrimitiveList/finalizers"] = c.Finalizers
	}
	err := c.patch(ctx, o, metadata)
	if apierrors.IsNotFound(err) || apierrors.IsInvalid(err) { // it is gone, or another by that name, or free
		return nil
	}
	return err
}

func (c *Claim[T, O]) patch(ctx context.Context, o client.Object, metadata map[string]any) error {
	data, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	_, err = c.Kind.Patch(ctx, c.Client, o.GetNamespace(), o.GetName(), types.StrategicMergePatchType, data, "")
	return err
}

// RefTo is the reference by which an owner controls an object.
func RefTo[O any](owner *O, k client.Kind[O]) metav1.OwnerReference {
	o := object(owner)
	return metav1.OwnerReference{
		APIVersion: k.Resource.GroupVersion().String(), Kind: k.Kind, Name: o.GetName(), UID: o.GetUID(),
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}
}
