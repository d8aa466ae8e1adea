package clienttest

import (
	"fmt"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/proa-dev/proa/internal/client"
)

func (s *Server) list(r *client.Request) (*client.Response, error) {
	want, err := newSelection(r)
	if err != nil {
		return nil, err
	}
	res := &client.Response{List: metav1.ListMeta{ResourceVersion: strconv.FormatInt(s.revision, 10)}}
	for _, o := range s.sorted(r.Resource.GroupResource()) {
		if want.matches(o) {
			res.Items = append(res.Items, want.view(o))
		}
	}
	return res, nil
}

// selection is which objects a list or a watch is about, and how they are shown.
type selection struct {
	namespace string
	labels    labels.Selector
	fields    fields.Selector
	metadata  bool
}

func newSelection(r *client.Request) (*selection, error) {
	l, err := labels.Parse(r.List.LabelSelector)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	f, err := fields.ParseSelector(r.List.FieldSelector)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return &selection{namespace: r.Namespace, labels: l, fields: f, metadata: wantsMetadata(r)}, nil
}

func (s *selection) matches(o client.Object) bool {
	return o != nil && (s.namespace == "" || s.namespace == o.GetNamespace()) &&
		s.labels.Matches(labels.Set(o.GetLabels())) && (s.fields.Empty() || s.fields.Matches(fieldsOf{o}))
}

func (s *selection) view(o client.Object) client.Object {
	if s.metadata {
		return metadataOf(o)
	}
	return o
}

func wantsMetadata(r *client.Request) bool {
	if r.New == nil {
		return false
	}
	_, ok := r.New().(*metav1.PartialObjectMetadata)
	return ok
}

// metadataOf reads the metadata by its accessors.
func metadataOf(o client.Object) *metav1.PartialObjectMetadata {
	gvk := client.KindOf(o)
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(gvk)
	m.SetName(o.GetName())
	m.SetNamespace(o.GetNamespace())
	m.SetGenerateName(o.GetGenerateName())
	m.SetUID(o.GetUID())
	m.SetResourceVersion(o.GetResourceVersion())
	m.SetGeneration(o.GetGeneration())
	m.SetCreationTimestamp(o.GetCreationTimestamp())
	m.SetDeletionTimestamp(o.GetDeletionTimestamp())
	m.SetDeletionGracePeriodSeconds(o.GetDeletionGracePeriodSeconds())
	m.SetLabels(o.GetLabels())
	m.SetAnnotations(o.GetAnnotations())
	m.SetFinalizers(o.GetFinalizers())
	m.SetOwnerReferences(o.GetOwnerReferences())
	return m
}

// fieldsOf is an object whose every field can be selected.
type fieldsOf struct{ client.Object }

func (f fieldsOf) Has(string) bool { return true }

func (f fieldsOf) Get(path string) string {
	var at any
	at, err := runtime.DefaultUnstructuredConverter.ToUnstructured(f.Object)
	if err != nil {
		panic(err)
	}
	for part := range strings.SplitSeq(path, ".") {
		m, ok := at.(map[string]any)
		if !ok {
			return ""
		}
		at = m[part]
	}
	if at == nil {
		return ""
	}
	return fmt.Sprint(at)
}

// answer shows an object as the request wants it.
func answer(r *client.Request) func(client.Object, error) (*client.Response, error) {
	return func(o client.Object, err error) (*client.Response, error) {
		if err != nil {
			return nil, err
		}
		if wantsMetadata(r) {
			o = metadataOf(o)
		}
		return &client.Response{Object: o}, nil
	}
}
