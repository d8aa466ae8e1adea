package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/proa-dev/proa/test/bench/server"
)

// streams is one HTTP/2 connection with many watches on it, read by one goroutine.
//
// It speaks the same protocol as Go's client, and nothing that a server could tell apart, but has no goroutine,
// pipe and buffer for each stream: what the load generator spends on an event is taken from the server that it
// shares the machine with, and with Go's client that was more than a server's own price.
type streams struct {
	conn   *tls.Conn
	framer *http2.Framer
	// received gets the bytes of a stream as they come: whole events or parts of them.
	received func(stream int, data []byte)
	// unanswered counts the streams whose answer is still to come; consumed is how much of the connection's
	// window is used up, in bytes. Both belong to the reader.
	unanswered int
	consumed   uint32
	// opened gets nil when all streams are answered, or what came in between.
	opened chan error
}

// window is as much as HTTP/2 allows: flow control is not what is measured.
const window = math.MaxInt32

// openStreams sends a GET for each of paths, in order, and returns when all are answered with 200.
func openStreams(ctx context.Context, s *server.Server, paths []string, received func(stream int, data []byte)) (*streams, error) {
	config, err := s.ClientTLS()
	if err != nil {
		return nil, err
	}
	config.NextProtos = []string{"h2"}
	address := strings.TrimPrefix(s.URL, "https://")
	raw, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &streams{conn: raw.(*tls.Conn), received: received, unanswered: len(paths), opened: make(chan error, 1)}
	c.framer = http2.NewFramer(c.conn, c.conn)
	c.framer.SetReuseFrames()
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := c.greet(address, paths); err != nil {
		c.close()
		return nil, err
	}
	go c.read()
	if err := <-c.opened; err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// greet sends the connection's preface and all requests.
func (c *streams) greet(authority string, paths []string) error {
	if _, err := c.conn.Write([]byte(http2.ClientPreface)); err != nil {
		return err
	}
	err := errors.Join(
		c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}, http2.Setting{ID: http2.SettingEnablePush, Val: 0}),
		c.framer.WriteWindowUpdate(0, window-65535), // beside what it has from the start
	)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i, path := range paths {
		block.Reset()
		for _, f := range [][2]string{
			{":authority", authority}, {":method", http.MethodGet}, {":path", path}, {":scheme", "https"},
			{"user-agent", "bench"}, {"accept", JSON},
		} {
			encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		err = errors.Join(err, c.framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true,
		}))
	}
	return err
}

// read hands out what comes until the connection ends. What ends it early shows in events that are missed.
func (c *streams) read() {
	for {
		frame, err := c.framer.ReadFrame()
		if err == nil {
			err = c.take(frame)
		}
		if err != nil {
			select {
			case c.opened <- err:
			default:
			}
			return
		}
	}
}

func (c *streams) take(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.DataFrame:
		c.received(int(f.StreamID-1)/2, f.Data())
		return c.refill(f.Length)
	case *http2.MetaHeadersFrame:
		if status := f.PseudoValue("status"); status != "200" {
			return fmt.Errorf("a watch was answered with %s", status)
		}
		if c.unanswered--; c.unanswered == 0 {
			c.opened <- nil
		}
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return c.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.framer.WritePing(true, f.Data)
		}
	case *http2.RSTStreamFrame:
		return fmt.Errorf("a watch was reset: %v", f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Errorf("the server ends the connection: %v %s", f.ErrCode, f.DebugData())
	}
	return nil
}

// refill gives back the connection's window when half of it is used. A stream's is never used up in one run.
func (c *streams) refill(n uint32) error {
	if c.consumed += n; c.consumed < window/2 {
		return nil
	}
	n, c.consumed = c.consumed, 0
	return c.framer.WriteWindowUpdate(0, n)
}

func (c *streams) close() { c.conn.Close() }
