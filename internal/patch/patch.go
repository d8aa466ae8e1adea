// Package patch changes objects by JSON patch (RFC 6902), JSON merge patch (RFC 7396) and strategic merge
// patch. Server-side apply is in package ownership.
//
// A patch is applied to the object in the version of the request, as JSON shows it, and the result is
// decoded as a request body is: unknown and duplicate fields, of the patch and of its result, are refused
// with fieldValidation Strict and warned of with Warn.
package patch

import (
	"fmt"
	"net/http"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Object applies a patch to original, which has its apiVersion and kind, and decodes the result into the
// empty object into, of the same Go type; original is not changed. Errors are Status errors with the code
// that the client gets.
func Object(kind types.PatchType, original, into registry.Object, patch []byte, validation string) (warnings []string, err error) {
	r := result{validation: validation, into: into}
	switch kind {
	case types.JSONPatchType:
		err = r.jsonPatch(original, patch)
	case types.MergePatchType:
		err = r.mergePatch(original, patch)
	case types.StrategicMergePatchType:
		err = r.strategicPatch(original, patch)
	default:
		return nil, errors.NewGenericServerResponse(http.StatusUnsupportedMediaType, "", schema.GroupResource{}, "",
			fmt.Sprintf("%s is no patch", kind), 0, false)
	}
	return r.warnings, err
}

// result of a patch on its way into the object.
type result struct {
	validation string
	into       registry.Object
	// strict faults of the patch itself.
	strict   []error
	warnings []string
}

// ignores tells that faults are of no interest.
func (r *result) ignores() bool {
	return r.validation != metav1.FieldValidationStrict && r.validation != metav1.FieldValidationWarn
}

// decode the patched document.
func (r *result) decode(document []byte) error {
	strict, err := encoding.DecodeJSON(document, r.into)
	if err != nil {
		return invalid(string(document), err)
	}
	return r.judge(strict, string(document))
}

// judge the faults of the patch and of its result; shown is what the client is told to be invalid.
func (r *result) judge(strict []error, shown string) error {
	faults := append(r.strict, strict...)
	if len(faults) == 0 || r.ignores() {
		return nil
	}
	if r.validation == metav1.FieldValidationStrict {
		return invalid(shown, runtime.NewStrictDecodingError(faults))
	}
	for _, f := range faults {
		r.warnings = append(r.warnings, f.Error())
	}
	return nil
}

func invalid(shown string, err error) error {
	return errors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{
		field.Invalid(field.NewPath("patch"), shown, err.Error()),
	})
}

// unprocessable is a patch that is well-formed and cannot be applied.
func unprocessable(err error) error {
	return errors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
}
