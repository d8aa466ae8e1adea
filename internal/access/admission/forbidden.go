package admission

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
)

// Forbidden is the answer to a write that a plugin refuses.
func Forbidden(r *Request, err error) *apierrors.StatusError {
	return apierrors.NewForbidden(r.Resource.GroupResource(), objectName(r), err)
}

// objectName is what the object is called, or is going to be called after.
func objectName(r *Request) string {
	if r.Name != "" {
		return r.Name
	}
	if r.Object == nil {
		return "Unknown!"
	}
	o, err := meta.Accessor(r.Object)
	switch {
	case err != nil:
		return "Unknown/errorGettingName"
	case o.GetName() != "":
		return o.GetName()
	case o.GetGenerateName() != "":
		return o.GetGenerateName()
	}
	return "Unknown!"
}
