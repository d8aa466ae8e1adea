package streams

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	protocol "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/tools/remotecommand"
	clientspdy "k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream/spdy"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

const (
	// idle is how long a stream may be silent, as node agents have it.
	idle = 4 * time.Hour
	// lastWord is how long the client has to take the status that ends its streams.
	lastWord = 10 * time.Second
	// pingEvery keeps the connection to the agent alive.
	pingEvery = 5 * time.Second
)

// translator makes an SPDY connection to an agent of a client's websocket.
type translator struct {
	target    *url.URL
	transport http.RoundTripper
	options   url.Values
}

func (t *translator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	conn := wsstream.NewConn(map[string]wsstream.ChannelProtocolConfig{
		protocol.StreamProtocolV5Name: {Binary: true, Channels: t.channels()},
	})
	conn.SetIdleTimeout(idle)
	_, streams, err := conn.Open(w, r)
	if err != nil {
		return // the client has its answer
	}
	defer conn.Close()
	// An empty message tells the client that the connection is there.
	if _, err := t.first(streams).Write(nil); err != nil {
		return
	}
	status, err := json.Marshal(outcome(t.run(ctx, streams)))
	if err != nil {
		return
	}
	conn.SetWriteDeadline(lastWord)
	_, _ = streams[protocol.StreamErr].Write(status) // a client that has gone does not want to know
}

func (t *translator) wants(stream string) bool { return t.options.Has(stream) }

// channels are the streams of the client, by their number.
func (t *translator) channels() []wsstream.ChannelType {
	c := make([]wsstream.ChannelType, 5)
	c[protocol.StreamErr], c[protocol.StreamResize] = wsstream.WriteChannel, wsstream.ReadChannel
	if t.wants("input") {
		c[protocol.StreamStdIn] = wsstream.ReadChannel
	}
	if t.wants("output") {
		c[protocol.StreamStdOut] = wsstream.WriteChannel
	}
	if t.wants("error") {
		c[protocol.StreamStdErr] = wsstream.WriteChannel
	}
	return c
}

// first is the stream on which the client hears first.
func (t *translator) first(streams []io.ReadWriteCloser) io.Writer {
	switch {
	case t.wants("output"):
		return streams[protocol.StreamStdOut]
	case t.wants("error"):
		return streams[protocol.StreamStdErr]
	default:
		return streams[protocol.StreamErr]
	}
}

// run joins the client's streams with the agent's, until they end.
func (t *translator) run(ctx context.Context, streams []io.ReadWriteCloser) error {
	rt, err := spdy.NewRoundTripperWithConfig(spdy.RoundTripperConfig{UpgradeTransport: t.transport, PingPeriod: pingEvery})
	if err != nil {
		return err
	}
	executor, err := remotecommand.NewSPDYExecutorRejectRedirects(rt, clientspdy.NewUpgraderForStreaming(rt), http.MethodPost, t.target)
	if err != nil {
		return err
	}
	var o remotecommand.StreamOptions
	if t.wants("input") {
		o.Stdin = streams[protocol.StreamStdIn]
	}
	if t.wants("output") {
		o.Stdout = streams[protocol.StreamStdOut]
	}
	if t.wants("error") {
		o.Stderr = streams[protocol.StreamStdErr]
	}
	if t.wants("tty") {
		o.Tty, o.TerminalSizeQueue = true, sizes(ctx, streams[protocol.StreamResize])
	}
	return executor.StreamWithContext(ctx, o)
}

// queue is a channel of terminal sizes; it is closed when there will be no more.
type queue chan remotecommand.TerminalSize

func (q queue) Next() *remotecommand.TerminalSize {
	if size, ok := <-q; ok {
		return &size
	}
	return nil
}

// sizes reads the sizes of the client's terminal.
func sizes(ctx context.Context, from io.Reader) queue {
	q := make(queue)
	go func() {
		defer close(q)
		for d := json.NewDecoder(from); ; {
			var size remotecommand.TerminalSize
			if d.Decode(&size) != nil {
				return
			}
			select {
			case q <- size:
			case <-ctx.Done():
				return
			}
		}
	}()
	return q
}

// outcome is how the streams ended, as the client wants to hear it.
func outcome(err error) *metav1.Status {
	var status *apierrors.StatusError
	var code exec.CodeExitError
	switch {
	case err == nil:
		return &metav1.Status{Status: metav1.StatusSuccess}
	case errors.As(err, &status):
		return &status.ErrStatus
	case errors.As(err, &code) && code.Exited():
		return &metav1.Status{
			Status: metav1.StatusFailure, Reason: protocol.NonZeroExitCodeReason,
			Message: "command terminated with non-zero exit code: " + code.Error(),
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{
				Type: protocol.ExitCodeCauseType, Message: strconv.Itoa(code.ExitStatus()),
			}}},
		}
	default:
		return &apierrors.NewInternalError(err).ErrStatus
	}
}
