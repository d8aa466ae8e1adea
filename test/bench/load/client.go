// Package load asks servers for work, and accounts for what it cost them.
package load

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/proa-dev/proa/test/bench/server"
)

// Media types.
const (
	JSON     = "application/json"
	Protobuf = "application/vnd.kubernetes.protobuf"
)

// Client is one connection's worth of requests to a server, as its administrator.
type Client struct {
	http *http.Client
	url  string
}

// Dial makes clients with a connection each, over HTTP/2. Bodies are not compressed.
func Dial(s *server.Server, n int) ([]*Client, error) {
	clients := make([]*Client, n)
	for i := range clients {
		config, err := s.ClientTLS()
		if err != nil {
			return nil, err
		}
		t := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableCompression: true}
		clients[i] = &Client{http: &http.Client{Transport: t}, url: s.URL}
	}
	return clients, nil
}

// Close gives connections back.
func Close(clients []*Client) {
	for _, c := range clients {
		c.http.CloseIdleConnections()
	}
}

// Do sends a request and reads the whole answer into buf. It fails on any code but 200 and 201. A body is
// JSON, and a merge patch if the method is PATCH.
func (c *Client) Do(ctx context.Context, method, path, accept string, body []byte, buf *bytes.Buffer) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "bench")
	req.Header.Set("Accept", accept)
	if body != nil {
		req.Header.Set("Content-Type", JSON)
		if method == http.MethodPatch {
			req.Header.Set("Content-Type", "application/merge-patch+json")
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	buf.Reset()
	if _, err := buf.ReadFrom(res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, res.Status, buf.Bytes())
	}
	return nil
}

// Follow reads a watch until see says that it has seen what it waits for. see gets one event after the other,
// as JSON.
func Follow(ctx context.Context, s *server.Server, path string, see func(event []byte) (done bool, err error)) error {
	clients, err := Dial(s, 1)
	if err != nil {
		return err
	}
	defer Close(clients)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	if err != nil {
		return err
	}
	res, err := clients[0].http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, res.Status)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if done, err := see(lines.Bytes()); done || err != nil {
			return err
		}
	}
	return cmp.Or(ctx.Err(), lines.Err(), io.ErrUnexpectedEOF)
}

// Once does a single request on a connection of its own, and returns the answer.
func Once(ctx context.Context, s *server.Server, method, path string, body []byte) ([]byte, error) {
	clients, err := Dial(s, 1)
	if err != nil {
		return nil, err
	}
	defer Close(clients)
	var buf bytes.Buffer
	err = clients[0].Do(ctx, method, path, JSON, body, &buf)
	return buf.Bytes(), err
}
