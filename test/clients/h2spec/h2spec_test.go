// Package h2spec sends what a client of HTTP/2 may send, and what it may not: the conformance suite h2spec.
package h2spec

import (
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/summerwind/h2spec"
	"github.com/summerwind/h2spec/config"

	"github.com/proa-dev/proa/test/clients/cluster"
)

func TestHTTP2IsWhatItSays(t *testing.T) {
	c := cluster.Start(t)
	u, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	ok, err := h2spec.Run(&config.Config{
		Host: u.Hostname(), Port: port, Path: "/version", TLS: true, Insecure: true, Strict: true,
		// The suite waits this long where no answer is the right one, and a busy machine is slow.
		Timeout: 5 * time.Second, MaxHeaderLen: 4000,
	})
	if err != nil || !ok {
		t.Errorf("h2spec failed, as it says above: %v", err)
	}
}
