package http2

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
)

// A worker takes one request after the other, there are as many as are needed at a time, and those that are not needed
// end: the bubble waits for them.
func TestWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p workers
		p.review(false)
		client, server := net.Pipe()
		defer client.Close()
		go io.Copy(io.Discard, client)
		release := make(chan bool)
		c := newConn(&Server{}, server, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }), context.Background())
		seen := map[*worker]bool{}
		handle := func(what string, n, all, idle int) {
			t.Helper()
			for range n {
				c.handlers++
				p.handle(c.newStream(0))
			}
			synctest.Wait()
			for range n {
				release <- true
			}
			synctest.Wait()
			for _, w := range p.idle {
				seen[w] = true
			}
			if len(seen) != all || len(p.idle) != idle {
				t.Errorf("%s: %d workers so far, %d wait; want %d and %d", what, len(seen), len(p.idle), all, idle)
			}
		}
		review := func(last bool, idle int) {
			t.Helper()
			if p.review(last); len(p.idle) != idle {
				t.Errorf("%d wait after the janitor's visit, want %d", len(p.idle), idle)
			}
		}
		for range 5 {
			handle("one after the other", 1, 1, 1)
		}
		handle("three at a time", 3, 3, 3)
		review(false, 3)
		handle("one has work", 1, 3, 3)
		review(false, 1)
		handle("two at a time", 2, 4, 2)
		review(true, 0)
		handle("the janitor has gone", 1, 4, 0)
	})
}
