package streams

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/websocket"
	protocol "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// The headers by which SPDY is agreed on, and what it is agreed on.
const (
	protocolVersion = "X-Stream-Protocol-Version"
	forwarded       = "X-Forwarded-For"
)

// tunnel unpacks the SPDY that a client sends over a websocket.
type tunnel struct {
	target    *url.URL
	transport http.RoundTripper
}

func (t *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	wanted := tunnelled(r)
	if len(wanted) == 0 {
		http.Error(w, "unable to upgrade: no tunneling spdy protocols provided", http.StatusBadRequest)
		return
	}
	agent, from, answer, err := t.dial(r, wanted)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer agent.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols {
		defer answer.Body.Close()
		w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body) // a client that has gone does not want to know
		return
	}
	if err := upgraded(answer.Header); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	if chosen := answer.Header.Get(protocolVersion); chosen != "" {
		upgrader.Subprotocols = []string{protocol.WebsocketsSPDYTunnelingPrefix + chosen}
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the client has its answer
	}
	client := portforward.NewTunnelingConnection("server", conn)
	defer client.Close()
	join(client, agent, from)
}

// tunnelled are the SPDY protocols that the client offers over its websocket.
func tunnelled(r *http.Request) (list []string) {
	for _, offered := range websocket.Subprotocols(r) {
		if name, ok := strings.CutPrefix(offered, protocol.WebsocketsSPDYTunnelingPrefix); ok && strings.HasSuffix(name, protocol.KubernetesSuffix) {
			list = append(list, name)
		}
	}
	return list
}

// dial asks the agent for an SPDY connection. What follows its answer is read from the returned reader.
func (t *tunnel) dial(r *http.Request, protocols []string) (net.Conn, *bufio.Reader, *http.Response, error) {
	conn, err := proxy.DialURL(r.Context(), t.target, t.transport)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("error dialing backend: %w", err)
	}
	req := &http.Request{Method: http.MethodPost, URL: t.target, Host: r.Host, Header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {spdy.HeaderSpdy31}, protocolVersion: protocols,
		"User-Agent": r.Header["User-Agent"], forwarded: r.Header[forwarded],
	}}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		req.Header.Set(forwarded, strings.Join(append(r.Header[forwarded], host), ", "))
	}
	from := bufio.NewReader(conn)
	var answer *http.Response
	if err = req.Write(conn); err == nil {
		answer, err = http.ReadResponse(from, req)
	}
	if err != nil {
		conn.Close()
		return nil, nil, nil, fmt.Errorf("error sending request: %w", err)
	}
	return conn, from, answer, nil
}

// upgraded checks that the agent has agreed to SPDY.
func upgraded(h http.Header) error {
	if !strings.Contains(strings.ToLower(h.Get("Connection")), "upgrade") ||
		!strings.Contains(strings.ToLower(h.Get("Upgrade")), strings.ToLower(spdy.HeaderSpdy31)) {
		return errors.New("unable to upgrade: missing upgrade headers in response")
	}
	return nil
}

// join copies both ways until one side ends.
func join(client, agent io.ReadWriter, fromAgent io.Reader) {
	done := make(chan struct{}, 2)
	pass := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from) // how one side ended is nothing to the other
		done <- struct{}{}
	}
	go pass(agent, client)
	go pass(client, fromAgent)
	<-done
}
