package clienttest

import (
	"encoding/json"
	"fmt"
	"reflect"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/proa-dev/proa/internal/client"
)

func (s *Server) patch(r *client.Request) (client.Object, error) {
	old, err := s.find(r, r.Name)
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	after, err := patched(before, r, old)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	o := reflect.New(reflect.TypeOf(old).Elem()).Interface().(client.Object)
	if err := json.Unmarshal(after, o); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return s.change(r, old, o)
}

func patched(doc []byte, r *client.Request, typed client.Object) ([]byte, error) {
	switch r.PatchType {
	case types.MergePatchType:
		return jsonpatch.MergePatch(doc, r.Patch)
	case types.StrategicMergePatchType:
		return strategicpatch.StrategicMergePatch(doc, r.Patch, typed)
	case types.JSONPatchType:
		p, err := jsonpatch.DecodePatch(r.Patch)
		if err != nil {
			return nil, err
		}
		return p.Apply(doc)
	}
	return nil, fmt.Errorf("clienttest: no patches of type %q", r.PatchType)
}
