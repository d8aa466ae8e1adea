package patch

import (
	"fmt"
	"reflect"
	"sync"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/api/errors"
	kjson "sigs.k8s.io/json"
)

const (
	// maxOperations of one JSON patch.
	maxOperations = 10000
	// maxCopied is by how much the copy operations of one JSON patch may grow a document.
	maxCopied = 3 << 20
)

// limitCopies tells the library, which knows one limit for all.
var limitCopies = sync.OnceFunc(func() { jsonpatch.AccumulatedCopySizeLimit = maxCopied })

// operation is what strictness knows of a JSON patch's operations.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	From  string `json:"from"`
	Value any    `json:"value"`
}

func (r *result) jsonPatch(original registry.Object, patch []byte) error {
	limitCopies()
	if !r.ignores() {
		strict, err := kjson.UnmarshalStrict(patch, &[]operation{})
		if err != nil {
			return errors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
		}
		for _, fault := range strict {
			r.strict = append(r.strict, fmt.Errorf("json patch %w", fault))
		}
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return errors.NewBadRequest(err.Error())
	}
	if len(operations) > maxOperations {
		return errors.NewRequestEntityTooLargeError(fmt.Sprintf(
			"The allowed maximum operations in a JSON patch is %d, got %d", maxOperations, len(operations)))
	}
	document, err := encoding.JSON(original)
	if err != nil {
		return err
	}
	patched, err := operations.Apply(document)
	if err != nil {
		return unprocessable(err)
	}
	return r.decode(patched)
}

func (r *result) mergePatch(original registry.Object, patch []byte) (err error) {
	if object := original.DeepCopyObject().(registry.Object); encoding.Merge(patch, object) {
		reflect.ValueOf(r.into).Elem().Set(reflect.ValueOf(object).Elem())
		return nil
	}
	if !r.ignores() {
		if r.strict, err = kjson.UnmarshalStrict(patch, &map[string]any{}); err != nil {
			return errors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
		}
	}
	document, err := encoding.JSON(original)
	if err != nil {
		return err
	}
	patched, err := jsonpatch.MergePatch(document, patch)
	if err == jsonpatch.ErrBadJSONPatch {
		return errors.NewBadRequest(err.Error())
	}
	if err != nil {
		return err
	}
	return r.decode(patched)
}
