package remote

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"

	"github.com/proa-dev/proa/internal/client"
)

func mediaType(res *http.Response) string {
	t, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

func decode(r *client.Request, mediaType string, body []byte) (*client.Response, error) {
	switch {
	case r.Verb == "deletecollection":
		return &client.Response{}, nil
	case r.Verb == "list" && mediaType == mediaProtobuf:
		return decodeListProtobuf(body, r.New)
	case r.Verb == "list":
		return decodeListJSON(body, r.New)
	case (r.Verb == "delete" || r.Subresource != "") && statusOf(mediaType, body) != nil:
		return &client.Response{}, nil
	}
	o, err := decodeObject(mediaType, body, r.New)
	if err != nil {
		return nil, err
	}
	return &client.Response{Object: o}, nil
}

func decodeObject(mediaType string, body []byte, empty func() client.Object) (client.Object, error) {
	o := empty()
	if mediaType != mediaProtobuf {
		return o, unmarshalJSON(body, o)
	}
	e, err := openEnvelope(body)
	if err != nil {
		return nil, err
	}
	m, ok := o.(message)
	if !ok {
		return nil, fmt.Errorf("a %T does not know protobuf", o)
	}
	return o, m.Unmarshal(e.raw)
}

func decodeListJSON(body []byte, empty func() client.Object) (*client.Response, error) {
	var list struct {
		Metadata metav1.ListMeta `json:"metadata"`
		Items    []rawJSON       `json:"items"`
	}
	if err := unmarshalJSON(body, &list); err != nil {
		return nil, err
	}
	res := &client.Response{List: list.Metadata, Items: make([]client.Object, len(list.Items))}
	for n, item := range list.Items {
		res.Items[n] = empty()
		if err := unmarshalJSON(item, res.Items[n]); err != nil {
			return nil, fmt.Errorf("item %d: %w", n, err)
		}
	}
	return res, nil
}

type rawJSON []byte

func (r *rawJSON) UnmarshalJSON(data []byte) error {
	*r = bytes.Clone(data)
	return nil
}

// unmarshalJSON minds the case of keys and keeps integers, as all of Kubernetes does.
func unmarshalJSON(data []byte, into any) error {
	return kjson.UnmarshalCaseSensitivePreserveInts(data, into)
}

// failure is the error that a response tells of, and closes it.
func failure(r *client.Request, method string, res *http.Response) error {
	defer res.Body.Close()
	body, err := readAll(res)
	if err != nil {
		body = nil // the code alone says something
	}
	status := statusOf(mediaType(res), body)
	if status == nil || status.Status == metav1.StatusSuccess {
		status = &apierrors.NewGenericServerResponse(res.StatusCode, method, r.Resource.GroupResource(), r.Name,
			string(bytes.TrimSpace(body)), 0, true).ErrStatus
	}
	if wait, ok := retryAfter(res); ok {
		if status.Details == nil {
			status.Details = &metav1.StatusDetails{}
		}
		status.Details.RetryAfterSeconds = int32(wait / time.Second)
	}
	return &apierrors.StatusError{ErrStatus: *status}
}

// statusOf is the Status that a body holds, nil if it holds something else.
func statusOf(mediaType string, body []byte) *metav1.Status {
	status := &metav1.Status{}
	if mediaType == mediaProtobuf {
		e, err := openEnvelope(body)
		if err != nil || e.kind != "Status" || e.apiVersion != "v1" || status.Unmarshal(e.raw) != nil {
			return nil
		}
		return status
	}
	var kind metav1.TypeMeta
	if unmarshalJSON(body, &kind) != nil || kind.Kind != "Status" || kind.APIVersion != "v1" {
		return nil
	}
	if unmarshalJSON(body, status) != nil {
		return nil
	}
	return status
}

// retryAfter is when a server wants a request again that it did not take up.
func retryAfter(res *http.Response) (time.Duration, bool) {
	if res.StatusCode != http.StatusTooManyRequests && res.StatusCode < 500 {
		return 0, false
	}
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0, false
	}
	return time.Duration(seconds) * time.Second, true
}
