package apiserver

import (
	"context"
	"net/http"
	"time"
)

// A client that sends its body drop by drop, or stops reading its answer, holds a goroutine, a place among
// the requests in flight, and what it was to get. The request's deadline ends that: it is set on the
// connection (in HTTP/2, on the stream) when it passes, so that a request that ends in time pays nothing but
// the registration. What has no deadline, such as a watch, waits for its client, and keeps nothing for it.

// unguarded is how much of an answer, in bytes, the buffers of a connection take without waiting.
const unguarded = 4 << 10

// guardReads makes reading the request's body fail once its deadline has passed, until stop is called.
func guardReads(ctx context.Context, w http.ResponseWriter) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) // what cannot be read late cannot be slow
	})
}

// guardWrites does the same for writing the answer.
func guardWrites(ctx context.Context, w http.ResponseWriter) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0)) // likewise
	})
}
