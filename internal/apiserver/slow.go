package apiserver

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// A client that sends its body drop by drop, or stops reading its answer, holds a goroutine, a place among
// the requests in flight, and what it was to get. The request's deadline ends that: it is set on the
// connection (in HTTP/2, on the stream) when it passes, so that a request that ends in time pays nothing but
// the registration. A watch waits for its client and keeps one batch of events for it, and once its own time is over,
// or the server's, the client has a little while left to take what was written.

// unguarded is how much of an answer, in bytes, the buffers of a connection take without waiting.
const unguarded = 4 << 10

// endGrace is how long after a watch's end its client may leave what was written untaken.
const endGrace = 10 * time.Second

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

// guardEnd makes writing fail some time after the context has ended, until stop is called. When stop returns, the
// deadline is set or never will be, so that it cannot meet the next answer on the connection.
func guardEnd(ctx context.Context, grace time.Duration, writeUntil func(time.Time) error) (stop func()) {
	var setting sync.WaitGroup
	setting.Add(1)
	unregister := context.AfterFunc(ctx, func() {
		defer setting.Done()
		_ = writeUntil(time.Now().Add(grace)) // likewise
	})
	return func() {
		if !unregister() {
			setting.Wait()
		}
	}
}
