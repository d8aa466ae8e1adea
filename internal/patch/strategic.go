package patch

import (
	"fmt"

	"github.com/proa-dev/proa/internal/registry"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	kjson "sigs.k8s.io/json"
)

func (r *result) strategicPatch(original registry.Object, patch []byte) error {
	content, err := r.decodeStrategic(patch)
	if err != nil {
		return errors.NewBadRequest(err.Error())
	}
	shown := fmt.Sprintf("%+v", content) // the library changes the patch
	document, err := runtime.DefaultUnstructuredConverter.ToUnstructured(original)
	if err != nil {
		return err
	}
	patched, err := strategicpatch.StrategicMergeMapPatch(document, content, r.into)
	if err != nil {
		return strategicError(err)
	}
	err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(patched, r.into, !r.ignores())
	if err == nil {
		return r.judge(nil, shown)
	}
	strict, ok := runtime.AsStrictDecodingError(err)
	if !ok {
		return invalid(shown, err)
	}
	return r.judge(strict.Errors(), shown)
}

func (r *result) decodeStrategic(patch []byte) (content map[string]any, err error) {
	content = map[string]any{}
	if r.ignores() {
		return content, kjson.UnmarshalCaseSensitivePreserveInts(patch, &content)
	}
	r.strict, err = kjson.UnmarshalStrict(patch, &content)
	return content, err
}

// strategicError tells a patch that is no patch from one that does not fit.
func strategicError(err error) error {
	switch err {
	case mergepatch.ErrBadJSONDoc, mergepatch.ErrBadPatchFormatForPrimitiveList, mergepatch.ErrBadPatchFormatForRetainKeys,
		mergepatch.ErrBadPatchFormatForSetElementOrderList, mergepatch.ErrUnsupportedStrategicMergePatchFormat:
		return errors.NewBadRequest(err.Error())
	case mergepatch.ErrNoListOfLists, mergepatch.ErrPatchContentNotMatchRetainKeys:
		return unprocessable(err)
	}
	return err
}
