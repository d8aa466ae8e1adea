// Package streams joins clients that open a pod's streams over websockets with node agents that speak SPDY.
//
// What a client asks for in SPDY, or in one of the older websocket protocols, every agent understands, and
// goes through as it is. Two newer protocols not every agent understands, and they end here:
//
//   - v5.channel.k8s.io, of exec and attach: websocket messages whose first byte names a stream. Each stream
//     becomes one of an SPDY connection to the agent (exec.go).
//   - SPDY/3.1+portforward.k8s.io, of portforward: SPDY itself, cut into websocket messages. It is unpacked,
//     and the bytes are passed on (portforward.go).
package streams

import (
	"net/http"
	"net/url"

	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// Handler serves a subresource, one of exec, attach and portforward, that an agent serves at target. options
// are the agent's own. pass hands requests on as they are, which is all there is to do if the agent speaks
// all websocket protocols.
func Handler(subresource string, pass http.Handler, target *url.URL, transport http.RoundTripper, options url.Values, speaksWebsockets bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case speaksWebsockets:
			pass.ServeHTTP(w, r)
		case subresource == "portforward" && wsstream.IsWebSocketRequestWithTunnelingProtocol(r):
			t := tunnel{target: target, transport: transport}
			t.ServeHTTP(w, r)
		case subresource != "portforward" && wsstream.IsWebSocketRequestWithStreamCloseProtocol(r):
			t := translator{target: target, transport: transport, options: options}
			t.ServeHTTP(w, r)
		default:
			pass.ServeHTTP(w, r)
		}
	})
}
