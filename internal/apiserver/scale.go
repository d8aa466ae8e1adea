package apiserver

import (
	"context"
	"errors"
	"net/http"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/proa-dev/proa/internal/ownership"
	"github.com/proa-dev/proa/internal/registry"
)

// scaleKind is what the scale subresource of any kind shows.
var scaleKind = schema.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "Scale"}

// scaleVersion is the version of Scale objects.
var scaleVersion = &registry.TypeVersion{
	GroupVersion: scaleKind.GroupVersion(), Kind: scaleKind.Kind, IsHub: true,
	New:     func() registry.Object { return &autoscalingv1.Scale{} },
	ToHub:   func(o registry.Object) (registry.Object, error) { return o, nil },
	FromHub: func(o registry.Object) (registry.Object, error) { return o, nil },
}

// scaleColumns are what kubectl shows of a Scale.
var scaleColumns = []registry.TypeColumn{
	{Name: "Name", Type: "string", Description: metaDoc["name"], Value: func(o registry.Object) any { return o.GetName() }},
	{
		Name: "Desired", Type: "integer", Description: autoscalingv1.ScaleSpec{}.SwaggerDoc()["replicas"],
		Value: func(o registry.Object) any { return o.(*autoscalingv1.Scale).Spec.Replicas },
	},
	{
		Name: "Available", Type: "integer", Description: autoscalingv1.ScaleStatus{}.SwaggerDoc()["replicas"],
		Value: func(o registry.Object) any { return o.(*autoscalingv1.Scale).Status.Replicas },
	},
	{
		Name: "Age", Type: "string", Description: metaDoc["creationTimestamp"],
		Value: func(o registry.Object) any { return registry.Since(o.GetCreationTimestamp()) },
	},
}

// scaleOf shows an object as its Scale.
func (c *call) scaleOf(o registry.Object) *autoscalingv1.Scale {
	s := &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{
			Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(),
			ResourceVersion: o.GetResourceVersion(), CreationTimestamp: o.GetCreationTimestamp(),
		},
		Spec: autoscalingv1.ScaleSpec{Replicas: c.typ.Scale.SpecReplicas(o)},
		Status: autoscalingv1.ScaleStatus{
			Replicas: c.typ.Scale.StatusReplicas(o), Selector: c.typ.Scale.Selector(o),
		},
	}
	s.SetGroupVersionKind(scaleKind)
	return s
}

func (s *Server) getScale(ctx context.Context, c *call) (*answer, error) {
	a, err := s.get(ctx, c)
	if err != nil {
		return nil, err
	}
	o, err := c.res.object(a.item)
	if err != nil {
		return nil, err
	}
	return &answer{code: http.StatusOK, other: c.scaleOf(o)}, nil
}

// updateScale takes a Scale and changes the object's replicas.
func (s *Server) updateScale(ctx context.Context, c *call) (*answer, error) {
	var in autoscalingv1.Scale
	if err := c.decodeBody(&in, scaleKind); err != nil {
		return nil, err
	}
	if err := c.checkNamespace(&in); err != nil {
		return nil, err
	}
	if err := c.checkName(&in); err != nil {
		return nil, err
	}
	return s.changeScale(ctx, c, func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error) { return &in, nil })
}

// changeScale changes an object through its Scale.
func (s *Server) changeScale(ctx context.Context, c *call, decide func(live *autoscalingv1.Scale) (*autoscalingv1.Scale, error)) (*answer, error) {
	a, err := s.change(ctx, c, false, func(live registry.Object) (registry.Object, error) {
		shown := c.scaleOf(live)
		if c.verb == "patch" { // a patch sees them, the answer does not
			entries, err := ownership.ToScale(c.typ, live.GetManagedFields(), c.version.GroupVersion)
			if err != nil {
				return nil, err
			}
			shown.ManagedFields = entries
		}
		in, err := decide(shown)
		if err != nil {
			return nil, err
		}
		if c.verb == "patch" && in.UID != live.GetUID() {
			resource := schema.GroupResource{Group: c.version.Group, Resource: c.typ.Name + "/scale"}
			return nil, apierrors.NewConflict(resource, c.name, errors.New(uidPrecondition(string(in.UID), string(live.GetUID()))))
		}
		if in.Spec.Replicas < 0 {
			return nil, apierrors.NewInvalid(scaleKind.GroupKind(), c.name, field.ErrorList{
				field.Invalid(field.NewPath("spec", "replicas"), in.Spec.Replicas, "must be greater than or equal to 0"),
			})
		}
		o := live.DeepCopyObject().(registry.Object)
		o.SetResourceVersion(in.ResourceVersion)
		if in.UID != "" {
			o.SetUID(in.UID)
		}
		c.typ.Scale.SetReplicas(o, in.Spec.Replicas)
		if c.patchType != applyPatch {
			return o, nil
		}
		entries, err := ownership.FromScale(c.typ, live.GetManagedFields(), c.version.GroupVersion, in.ManagedFields)
		o.SetManagedFields(entries)
		return o, err
	})
	if err != nil {
		return nil, err
	}
	return &answer{code: http.StatusOK, other: c.scaleOf(a.object)}, nil
}
