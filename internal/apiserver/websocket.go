package apiserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"golang.org/x/net/websocket"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// socketPatience is how long a client of a websocket may leave an event untaken. Without deadline a write to
// it would be the only one that nothing ends.
const socketPatience = 2 * time.Minute

// isWebSocket tells whether the client wants to turn its connection into a websocket, which it can in
// HTTP/1.1 alone.
func isWebSocket(r *http.Request) bool { return r.ProtoMajor == 1 && wsstream.IsWebSocketRequest(r) }

// watchSocket streams a watch over a websocket: a message an event, of text for JSON, else binary and
// without the length that frames it in a plain stream. The client says nothing; when it closes, the watch ends.
func (s *Server) watchSocket(w http.ResponseWriter, r *http.Request, st *watchStream, open func(context.Context) (*watcher, error)) {
	websocket.Handler(func(conn *websocket.Conn) {
		defer conn.Close()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		go func() {
			defer cancel()
			_, _ = io.Copy(io.Discard, conn) // whatever ends it
		}()
		st.flush = func() error { return nil }
		st.writeUntil = conn.SetWriteDeadline
		st.message = func(event []byte) error {
			if err := conn.SetWriteDeadline(time.Now().Add(socketPatience)); err != nil {
				return err
			}
			if st.ctx != nil && st.ctx.Err() != nil {
				// The time of what guards the end may have been overwritten.
				return errors.Join(st.ctx.Err(), conn.SetWriteDeadline(time.Now().Add(st.grace)))
			}
			if st.format.media == mediaProtobuf {
				return websocket.Message.Send(conn, event)
			}
			return websocket.Message.Send(conn, string(event))
		}
		if err := st.watch(ctx, open); err != nil {
			s.log.Debug("a watch broke off", "path", r.URL.Path, "err", err)
		}
	}).ServeHTTP(w, r)
}
