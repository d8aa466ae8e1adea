package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion/queryparams"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/proa-dev/proa/internal/client"
)

const (
	mediaJSON     = "application/json"
	mediaProtobuf = "application/vnd.kubernetes.protobuf"
)

var methods = map[string]string{
	"get": http.MethodGet, "list": http.MethodGet, "watch": http.MethodGet, "create": http.MethodPost,
	"update": http.MethodPut, "patch": http.MethodPatch, "delete": http.MethodDelete, "deletecollection": http.MethodDelete,
}

func (t *Transport) build(ctx context.Context, r *client.Request) (*http.Request, error) {
	method, ok := methods[r.Verb]
	if !ok {
		return nil, fmt.Errorf("remote: no verb %q", r.Verb)
	}
	query, err := queryOf(r)
	if err != nil {
		return nil, err
	}
	u := *t.base.JoinPath(pathOf(r)...)
	u.RawQuery = query.Encode()
	contentType, body, err := bodyOf(r)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", r.Verb, r.Resource.Resource, err)
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	out, err := http.NewRequestWithContext(ctx, method, u.String(), reader)
	if err != nil {
		return nil, err
	}
	out.Header.Set("Accept", accept(r))
	if body != nil {
		out.Header.Set("Content-Type", contentType)
	}
	return out, nil
}

func pathOf(r *client.Request) []string {
	path := []string{"apis", r.Resource.Group, r.Resource.Version}
	if r.Resource.Group == "" {
		path = []string{"api", r.Resource.Version}
	}
	if r.Namespace != "" {
		path = append(path, "namespaces", r.Namespace)
	}
	path = append(path, r.Resource.Resource)
	if r.Name != "" && (r.Verb != "create" || r.Subresource != "") {
		path = append(path, r.Name)
	}
	if r.Subresource != "" {
		path = append(path, r.Subresource)
	}
	return path
}

func queryOf(r *client.Request) (url.Values, error) {
	switch r.Verb {
	case "get":
		return queryparams.Convert(&r.Get)
	case "list", "deletecollection":
		return queryparams.Convert(&r.List)
	case "watch":
		o := r.List
		o.Watch = true
		return queryparams.Convert(&o)
	case "create":
		return queryparams.Convert(&r.Create)
	case "update":
		return queryparams.Convert(&r.Update)
	case "patch":
		return queryparams.Convert(&r.PatchO)
	}
	return nil, nil
}

func bodyOf(r *client.Request) (contentType string, body []byte, err error) {
	switch r.Verb {
	case "create", "update":
		return encode(r.Object)
	case "patch":
		return string(r.PatchType), r.Patch, nil
	case "delete", "deletecollection":
		o := r.Delete
		o.APIVersion, o.Kind = "v1", "DeleteOptions"
		body, err = json.Marshal(&o)
		return mediaJSON, body, err
	}
	return "", nil, nil
}

func encode(o client.Object) (contentType string, body []byte, err error) {
	m, ok := o.(interface{ Marshal() ([]byte, error) })
	if !ok {
		body, err = json.Marshal(o)
		return mediaJSON, body, err
	}
	raw, err := m.Marshal()
	if err != nil {
		return "", nil, err
	}
	gvk := client.KindOf(o)
	unknown := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind}, Raw: raw}
	body = make([]byte, len(magic)+unknown.Size())
	copy(body, magic)
	_, err = unknown.MarshalTo(body[len(magic):])
	return mediaProtobuf, body, err
}

// accept asks for protobuf if the answer's type knows it, and for metadata alone if that is its type.
func accept(r *client.Request) string {
	o := r.New()
	as := ""
	if _, ok := o.(*metav1.PartialObjectMetadata); ok {
		as = ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
		if r.Verb == "list" {
			as = ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
		}
	}
	all := mediaJSON + as
	if _, ok := o.(message); ok {
		all = mediaProtobuf + as + "," + all
	}
	if as != "" {
		all += "," + mediaJSON
	}
	return all
}
