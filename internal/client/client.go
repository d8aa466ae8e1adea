// Package client is how Proa's own components reach the API: typed kinds over one small transport, which
// is either the server in the same process or HTTP to another one. Components cannot tell which.
//
// Objects that come back, from calls, streams and informers, are shared: whoever wants to change one
// makes a DeepCopy first. Objects that are passed in stay the caller's, who does not change them before
// the call returns. Errors are apimachinery's *errors.StatusError, tested with IsNotFound and the like.
package client

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// Object is any API object.
type Object interface {
	runtime.Object
	metav1.Object
}

// Transport carries requests to an API server as one user.
type Transport interface {
	// Do carries out a request that ends by itself: any verb but watch.
	Do(ctx context.Context, r *Request) (*Response, error)
	// Watch opens a stream of changes. It ends with the context or by Stop.
	Watch(ctx context.Context, r *Request) (Stream, error)
	// Discover lists what the server serves, the preferred version of each resource first.
	Discover(ctx context.Context) ([]metav1.APIResourceList, error)
}

// Request is one call. Which fields matter depends on the verb.
type Request struct {
	// Verb is get, list, watch, create, update, patch, delete or deletecollection.
	Verb                         string
	Resource                     schema.GroupVersionResource
	Namespace, Name, Subresource string

	// Object is the body of create and update.
	Object Object
	// Patch is the body of patch.
	Patch     []byte
	PatchType types.PatchType

	Get    metav1.GetOptions
	List   metav1.ListOptions // list, watch, deletecollection
	Create metav1.CreateOptions
	Update metav1.UpdateOptions
	PatchO metav1.PatchOptions
	Delete metav1.DeleteOptions // delete, deletecollection

	// New makes an empty object of the type that the answer, or each of its items, shall have. A
	// *metav1.PartialObjectMetadata asks the server for metadata alone; any resource can be read so.
	New func() Object
}

// Response is the answer to a request.
type Response struct {
	// Object is nil for lists, and for deletions that were answered with a Status.
	Object Object
	Items  []Object
	List   metav1.ListMeta
}

// Event is one change of a stream. A watch.Bookmark carries an object with nothing but a
// resourceVersion; its annotation metav1.InitialEventsAnnotationKey marks the end of initial events.
type Event struct {
	Type   watch.EventType
	Object Object
}

// Stream hands out the events of a watch in order.
type Stream interface {
	// Next waits for events and returns all that are ready. io.EOF means that the server ended the
	// watch in good order; an *errors.StatusError, such as Expired, is the server's reason.
	Next() ([]Event, error)
	Stop()
}
