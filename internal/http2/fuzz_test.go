package http2

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

// FuzzConnection sends a server what it likes. The server must neither panic nor hang.
func FuzzConnection(f *testing.F) {
	seed := func(frames func(fr *xhttp2.Framer)) {
		var b bytes.Buffer
		b.WriteString(preface)
		fr := xhttp2.NewFramer(&b, nil)
		fr.AllowIllegalWrites = true
		fr.WriteSettings()
		frames(fr)
		f.Add(b.Bytes())
	}
	get := []byte{0x82, 0x87, 0x84}
	seed(func(fr *xhttp2.Framer) {
		fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: get, EndHeaders: true, EndStream: true})
		fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte{0x83, 0x87, 0x84}, EndHeaders: true})
		fr.WriteData(3, false, []byte("hello"))
		fr.WriteRSTStream(3, xhttp2.ErrCodeCancel)
		fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 5, BlockFragment: get[:1]})
		fr.WriteContinuation(5, true, get[1:])
		fr.WriteDataPadded(5, true, []byte("x"), make([]byte, 3))
	})
	seed(func(fr *xhttp2.Framer) {
		fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 0}, xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: 0})
		fr.WritePing(false, [8]byte{1})
		fr.WriteWindowUpdate(0, 100)
		fr.WritePriority(1, xhttp2.PriorityParam{StreamDep: 3})
		fr.WriteGoAway(0, xhttp2.ErrCodeNo, nil)
		fr.WriteRawFrame(0xcc, 1, 2, []byte("?"))
	})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, r.URL.String())
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		client, server := net.Pipe()
		s := &Server{MaxHeaderBytes: 4 << 10, MaxStreams: 4, Logger: slog.New(slog.NewTextHandler(failOnLog{t}, nil))}
		c := newConn(s, server, h, t.Context())
		over := make(chan bool)
		go func() {
			c.close(c.read())
			close(over)
		}()
		go io.Copy(io.Discard, client)
		client.SetDeadline(time.Now().Add(patience))
		client.Write(data)
		client.Close()
		select {
		case <-over:
		case <-time.After(2 * patience):
			t.Fatal("the server hangs")
		}
	})
}

// failOnLog fails a test when a handler's panic is logged.
type failOnLog struct{ t *testing.T }

func (l failOnLog) Write(p []byte) (int, error) {
	l.t.Errorf("logged: %s", p)
	return len(p), nil
}
