package apiserver

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/access/authn"
)

// socket opens a watch over a websocket.
func (w *world) socket(path string, change func(*websocket.Config)) (*websocket.Conn, error) {
	w.Helper()
	if w.url == "" {
		w.serve()
	}
	c, err := websocket.NewConfig(strings.Replace(w.url, "http", "ws", 1)+path, w.url)
	if err != nil {
		w.Fatal(err)
	}
	if change != nil {
		change(c)
	}
	conn, err := websocket.DialConfig(c)
	if err == nil {
		w.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

// shownMessage is the next message, which must be one event in text.
func shownMessage(t *testing.T, conn *websocket.Conn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	f, err := conn.NewFrameReader()
	if err != nil {
		t.Fatal(err)
	}
	if f.PayloadType() != websocket.TextFrame {
		t.Errorf("a frame of type %d", f.PayloadType())
	}
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	var e any
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatalf("not one event: %v: %s", err, data)
	}
	return shownEvent(e)
}

func TestWatchByWebsocket(t *testing.T) {
	w := newWorld(t)
	put(w, "a", "1")
	conn, err := w.socket(configMaps+"?watch=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := shownMessage(t, conn); got != "ADDED a k=1" {
		t.Error(got)
	}
	put(w, "b", "2")
	put(w, "a", "3")
	if got := []string{shownMessage(t, conn), shownMessage(t, conn)}; !slices.Equal(got, []string{"ADDED b k=2", "MODIFIED a k=3"}) {
		t.Error(got)
	}
	w.server.Drain()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
}

func TestWatchByWebsocketInProtobuf(t *testing.T) {
	w := newWorld(t)
	put(w, "a", "1")
	conn, err := w.socket(configMaps+"?watch=1", func(c *websocket.Config) {
		c.Header = http.Header{"Accept": {"application/vnd.kubernetes.protobuf;stream=watch"}}
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := conn.NewFrameReader()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err != nil || f.PayloadType() != websocket.BinaryFrame {
		t.Fatalf("frame of type %d, %v", f.PayloadType(), err)
	}
	var e metav1.WatchEvent
	if err := e.Unmarshal(data); err != nil || e.Type != "ADDED" || !strings.HasPrefix(string(e.Object.Raw), "k8s\x00") {
		t.Errorf("%v: %s %q", err, e.Type, e.Object.Raw)
	}
}

// What is wrong with the request is answered before the handshake.
func TestWatchByWebsocketErrors(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{configMaps + "?watch=1&fieldSelector=no", "/api/v1/namespaces/n/nothing?watch=1", configMaps + "?watch=1&resourceVersion=x"} {
		if _, err := w.socket(path, nil); err == nil || !strings.Contains(err.Error(), "bad status") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A browser shows its token as a subprotocol, which the answer does not repeat.
func TestWatchByWebsocketWithToken(t *testing.T) {
	w := newWorld(t, func(s *setting) {
		s.Authenticator = authn.Bearer{Tokens: oneToken("secret")}
	})
	const tokens = "base64url.bearer.authorization.k8s.io."
	encoded := tokens + base64.RawURLEncoding.EncodeToString([]byte("secret"))
	conn, err := w.socket(configMaps+"?watch=1&allowWatchBookmarks=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", func(c *websocket.Config) {
		c.Protocol = []string{encoded, "base64.binary.k8s.io"}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.Config().Protocol; !slices.Equal(got, []string{"base64.binary.k8s.io"}) {
		t.Errorf("the answer has the protocols %v", got)
	}
	if got := shownMessage(t, conn); !strings.HasPrefix(got, "BOOKMARK") {
		t.Error(got)
	}
	for _, protocols := range [][]string{{encoded}, {tokens + "x*", "a"}, {tokens + base64.RawURLEncoding.EncodeToString([]byte("guess")), "a"}, {encoded, encoded, "a"}} {
		if _, err := w.socket(configMaps+"?watch=1", func(c *websocket.Config) { c.Protocol = protocols }); err == nil {
			t.Errorf("%v was let in", protocols)
		}
	}
}

// Clients that close, or break off, leave no watcher behind.
func TestWatchByWebsocketLeavesNothing(t *testing.T) {
	w := newWorld(t)
	put(w, "a", "1")
	for range 20 {
		conn, err := w.socket(configMaps+"?watch=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		shownMessage(t, conn)
		conn.Close()
	}
	until(t, "no watcher is left", func() bool { return w.watchers() == 0 })
}

// oneToken is known; nobody else is.
type oneToken string

func (o oneToken) Verify(_ context.Context, token string, _ []string) (*authn.Verified, error) {
	if token != string(o) {
		return nil, nil
	}
	return &authn.Verified{User: admin}, nil
}
