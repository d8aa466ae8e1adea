package apiserver

import (
	"context"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/ownership"
	"github.com/proa-dev/proa/internal/patch"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
)

func (s *Server) patch(ctx context.Context, c *call) (*answer, error) {
	if c.patchType == applyPatch {
		return s.apply(ctx, c)
	}
	return s.change(ctx, c, false, func(live registry.Object) (registry.Object, error) {
		o, err := c.patched(live)
		if err != nil {
			return nil, err
		}
		return o, c.checkPatched(o)
	})
}

// patched applies the call's patch to the object as its version shows it, and returns the hub.
func (c *call) patched(live registry.Object) (registry.Object, error) {
	original, err := inVersion(c.version, live)
	if err != nil {
		return nil, err
	}
	if original == live {
		original = shallow(live)
	}
	original.GetObjectKind().SetGroupVersionKind(c.version.GroupVersionKind())
	into := c.version.New()
	if err := c.patchInto(original, into, c.version.GroupVersionKind()); err != nil {
		return nil, err
	}
	return encoding.ToHub(c.typ, c.version, into)
}

// patchInto makes an object of the same kind. What a strategic merge patch says of that counts for nothing.
func (c *call) patchInto(original, into registry.Object, kind schema.GroupVersionKind) error {
	warnings, err := patch.Object(c.patchType, original, into, c.body.data, c.validation)
	for _, w := range warnings {
		c.warn(w)
	}
	if got := into.GetObjectKind().GroupVersionKind(); err == nil && got != kind && c.patchType != types.StrategicMergePatchType {
		return badRequest("the patch must not change apiVersion and kind: it makes a %s of a %s", got, kind)
	}
	into.GetObjectKind().SetGroupVersionKind(kind)
	return err
}

// checkPatched sees that the patch left the object's identity alone.
func (c *call) checkPatched(o registry.Object) error {
	if err := c.checkNamespace(o); err != nil {
		return err
	}
	if err := c.checkName(o); err != nil {
		return err
	}
	c.dropDuplicateOwners(o)
	return nil
}

// apply is server-side apply: it creates what is not there.
func (s *Server) apply(ctx context.Context, c *call) (*answer, error) {
	return s.change(ctx, c, c.subresource == "", func(live registry.Object) (registry.Object, error) {
		o, warnings, err := c.res.owner.Apply(live, c.body.data, s.applyOptions(c))
		if err != nil {
			return nil, err
		}
		for _, w := range warnings {
			c.warn(w)
		}
		c.typ.Default(o)
		return o, c.checkPatched(o)
	})
}

func (s *Server) applyOptions(c *call) ownership.Apply {
	force := c.patch.Force
	return ownership.Apply{Write: s.ownWrite(c), Force: force != nil && *force, Validation: c.validation}
}

func (s *Server) patchScale(ctx context.Context, c *call) (*answer, error) {
	return s.changeScale(ctx, c, func(live *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		if c.patchType == applyPatch {
			return s.applyScale(c, live)
		}
		into := &autoscalingv1.Scale{}
		if err := c.patchInto(live, into, scaleKind); err != nil {
			return nil, err
		}
		if err := c.checkName(into); err != nil {
			return nil, err
		}
		return into, c.checkNamespace(into)
	})
}

// applyScale applies to the Scale, whose one tracked field, replicas, belongs to whoever owns the object's.
func (s *Server) applyScale(c *call, live *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
	options := s.applyOptions(c)
	options.Version = scaleVersion
	o, warnings, err := s.scaleOwner.Apply(live, c.body.data, options)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		c.warn(w)
	}
	return o.(*autoscalingv1.Scale), nil
}
