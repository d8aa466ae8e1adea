package streams

import (
	"net/http"
	"strings"
	"testing"
)

func FuzzTunnelled(f *testing.F) {
	for _, s := range []string{"", "SPDY/3.1+portforward.k8s.io", "v5.channel.k8s.io, SPDY/3.1+portforward.k8s.io", "SPDY/3.1+", ",,", "SPDY/3.1+x.k8s.io,SPDY/3.1+y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		for _, name := range tunnelled(&http.Request{Header: http.Header{"Sec-Websocket-Protocol": {header}}}) {
			if !strings.Contains(header, "SPDY/3.1+"+name) || !strings.HasSuffix(name, ".k8s.io") {
				t.Errorf("%q offers %q", header, name)
			}
		}
	})
}
