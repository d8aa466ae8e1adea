// Package http2 serves HTTP/2 (RFC 9113) to the handler of an http.Server, which goes on listening, doing
// handshakes and speaking HTTP/1.1.
//
// An API server's traffic is small answers, and watches that sleep side by side on few connections. The server
// of the standard library moves every frame through the goroutine of its connection, which costs more than all
// that Proa does for a GET. Here a connection has one goroutine, which reads. Everything else happens where the
// handler runs:
//
//   - A request is handed to a goroutine of its own once its body is there, if the body is small; a larger one
//     is read by the handler as it comes (read.go, body.go).
//   - Sockets are used by plain system calls, of which the scheduler does not know (direct.go).
//   - A handler appends the frames of its answer to the connection's output itself, under the connection's
//     mutex. Whoever finds nobody writing becomes the writer, and writes until the output is empty: what other
//     handlers append meanwhile goes out with the next write. Answers that go on cause a write once in a
//     millisecond at most, so a hundred watches that have news at once cost one or two (write.go).
//
// Invariants:
//
//   - conn.mu guards all that is shared; nobody holds it while reading, writing or running a handler.
//   - Header blocks are compressed in the order in which they are appended, under conn.mu: the peer's decoder
//     depends on it.
//   - Only the holder of conn.writing touches the network's writing side.
//   - The reader never waits for the writing side. A client that does not take its answers can therefore
//     always be heard, and its window updates and resets arrive.
//   - What a connection may hold is bounded: streams, handlers that still run for streams that are gone,
//     header bytes, received bytes that no handler has taken (the windows), output, and answers to pings and
//     settings that the peer does not take.
package http2
