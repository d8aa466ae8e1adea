package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/store"
)

// statusOf dresses any error as the Status that leaves the server.
func statusOf(err error) *metav1.Status {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		s := status.Status()
		s.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		return &s
	}
	s := dress(err).ErrStatus
	s.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	return &s
}

// dress gives the errors of the lower layers their Kubernetes form.
func dress(err error) *apierrors.StatusError {
	var expired *cache.ExpiredError
	var future *cache.FutureError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &expired):
		return apierrors.NewResourceExpired(expired.Error())
	case errors.As(err, &future):
		return tooLargeRevision(future)
	case errors.As(err, &tooLarge):
		return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", tooLarge.Limit))
	case errors.Is(err, store.ErrNoSpace):
		return serverStatus(http.StatusInsufficientStorage, metav1.StatusReasonInternalError,
			"the server cannot write: "+err.Error())
	case errors.Is(err, cache.ErrStarting), errors.Is(err, store.ErrClosed):
		return retryLater(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, err.Error(), 1)
	case errors.Is(err, store.ErrUncertain):
		return apierrors.NewTimeoutError(err.Error(), 0)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0)
	default:
		return serverStatus(http.StatusInternalServerError, metav1.StatusReasonUnknown, err.Error())
	}
}

// noSuchPath is the 404 of a path below the API that leads nowhere.
func noSuchPath() error {
	return serverResponse(http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
}

// noSuchMethod is the 405 of a path that has not this method.
func noSuchMethod() error {
	return serverResponse(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "the server does not allow this method on the requested resource")
}

// serverResponse is an error about the request itself, before it is known what it is about.
func serverResponse(code int32, reason metav1.StatusReason, message string) error {
	s := serverStatus(code, reason, message)
	s.ErrStatus.Details = &metav1.StatusDetails{}
	return s
}

func tooLargeRevision(e *cache.FutureError) *apierrors.StatusError {
	s := apierrors.NewTimeoutError(e.Error(), 1)
	s.ErrStatus.Details.Causes = []metav1.StatusCause{{
		Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version",
	}}
	return s
}

func serverStatus(code int32, reason metav1.StatusReason, message string) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message,
	}}
}

func retryLater(code int32, reason metav1.StatusReason, message string, seconds int32) *apierrors.StatusError {
	s := serverStatus(code, reason, message)
	s.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: seconds}
	return s
}

// invalidOptions is the 422 of bad query parameters.
func invalidOptions(kind string, errs field.ErrorList) error {
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
}

// badRequest is a 400 with a sentence.
func badRequest(format string, args ...any) error {
	return apierrors.NewBadRequest(fmt.Sprintf(format, args...))
}

func (c *call) notFound() error {
	return apierrors.NewNotFound(c.groupResource(), c.name)
}

// conflict is the 409 of a write that was decided on an object that has changed since.
func (c *call) conflict(reason string) error {
	return apierrors.NewConflict(c.groupResource(), c.name, errors.New(reason))
}

// modified is the reason of a conflict on resourceVersion.
const modified = "the object has been modified; please apply your changes to the latest version and try again"

// groupResource is the resource as requested: a type can be served in several groups.
func (c *call) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: c.version.Group, Resource: c.typ.Name}
}

// groupKind is the kind as validation errors name it: an Event is the core group's in any group.
func (c *call) groupKind() schema.GroupKind {
	return c.typ.Hub.GroupVersionKind().GroupKind()
}
