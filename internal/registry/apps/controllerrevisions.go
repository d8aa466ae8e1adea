package apps

import (
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// ControllerRevisions are the histories of StatefulSets and DaemonSets: one immutable snapshot each.
var ControllerRevisions = registry.Resource[appsv1.ControllerRevision]{
	Group: "apps", Kind: "ControllerRevision", Name: "controllerrevisions",
	Namespaced:     true,
	Versions:       []registry.Version[appsv1.ControllerRevision]{registry.Hub[appsv1.ControllerRevision]("v1")},
	Validate:       validateControllerRevision,
	ValidateCreate: validateControllerRevisionCreate,
	ValidateUpdate: validateControllerRevisionUpdate,
	Columns: []registry.Column[appsv1.ControllerRevision]{
		{Name: "Controller", Description: "Controller of the object", Value: controllerName},
		{
			Name: "Revision", Description: appsv1.ControllerRevision{}.SwaggerDoc()["revision"],
			Value: func(r *appsv1.ControllerRevision) any { return r.Revision },
		},
		registry.Age[appsv1.ControllerRevision](),
	},
}

// controllerName is the owner in the form that kubectl takes: "statefulset.apps/web".
func controllerName(r *appsv1.ControllerRevision) any {
	ref := metav1.GetControllerOfNoCopy(r)
	if ref == nil {
		return "<none>"
	}
	kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind()
	return strings.ToLower(kind.String()) + "/" + ref.Name
}

func validateControllerRevision(r *appsv1.ControllerRevision) field.ErrorList {
	return apivalidation.ValidateNonnegativeField(r.Revision, field.NewPath("revision").Common())
}

func validateControllerRevisionCreate(r *appsv1.ControllerRevision) field.ErrorList {
	path := field.NewPath("data")
	if r.Data.Raw == nil {
		return field.ErrorList{field.Required(path, "data is mandatory")}
	}
	var data any
	if err := json.Unmarshal(r.Data.Raw, &data); err != nil {
		return field.ErrorList{field.Invalid(path, "<value omitted>", fmt.Sprintf("error parsing data: %v", err))}
	}
	switch data.(type) {
	case map[string]any:
		return nil
	case nil:
		return field.ErrorList{field.Required(path, "data is mandatory")}
	}
	return field.ErrorList{field.Required(path, "data must be a valid JSON object")}
}

func validateControllerRevisionUpdate(new, old *appsv1.ControllerRevision) field.ErrorList {
	return apivalidation.ValidateImmutableField(new.Data, old.Data, field.NewPath("data").Common())
}
