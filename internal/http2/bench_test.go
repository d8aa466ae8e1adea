package http2

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// cpu is the user and system time that this process has used, client and server together.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAnswers is the price of a request beside the standard library's server, the same client on both
// sides of the comparison: 16 connections, each with one request at a time.
func BenchmarkAnswers(b *testing.B) {
	answer := []byte(strings.Repeat("x", 3000))
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "3000")
		w.Write(answer)
	})
	body := strings.Repeat("y", 1200)
	for _, method := range []string{"GET", "POST"} {
		for name, serve := range sides(b, h) {
			b.Run(method+"/"+name, func(b *testing.B) {
				hs := serve()
				clients := make(chan *http.Client, 16)
				for range cap(clients) {
					clients <- newClient(b, hs)
				}
				b.ReportAllocs()
				b.SetParallelism(8)
				before := cpu(b)
				b.RunParallel(func(pb *testing.PB) {
					c := <-clients
					defer func() { clients <- c }()
					for pb.Next() {
						r := newRequest(b, "GET", hs.URL, nil)
						if method == "POST" {
							r = newRequest(b, "POST", hs.URL, strings.NewReader(body))
						}
						if _, _, err := do(b, c, r); err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
			})
		}
	}
}

// BenchmarkWatches is the price of an event that goes to each of 200 watches on 8 connections.
func BenchmarkWatches(b *testing.B) {
	const watches = 200
	for name, serve := range sides(b, nil) {
		b.Run(name, func(b *testing.B) {
			events := make([]chan []byte, watches)
			for i := range events {
				events[i] = make(chan []byte, 100)
			}
			var next, seen atomic.Int64
			hs := serve()
			hs.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.(http.Flusher).Flush()
				for e := range events[next.Add(1)-1] {
					w.Write(e)
					w.(http.Flusher).Flush()
				}
			})
			var clients []*http.Client
			for range 8 {
				clients = append(clients, newClient(b, hs))
			}
			for i := range watches {
				res, err := clients[i%8].Do(newRequest(b, "GET", hs.URL, nil))
				if err != nil {
					b.Fatal(err)
				}
				go func() {
					defer res.Body.Close()
					buf := make([]byte, 32<<10)
					for {
						n, err := res.Body.Read(buf)
						seen.Add(int64(n))
						if err != nil {
							return
						}
					}
				}()
			}
			event := []byte(strings.Repeat("e", 999) + "\n")
			before := cpu(b)
			for b.Loop() {
				for _, c := range events {
					c <- event
				}
			}
			for seen.Load() < int64(b.N)*watches*int64(len(event)) {
				time.Sleep(time.Millisecond)
			}
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N*watches)/1000, "cpu-µs/event")
			for _, c := range events {
				close(c)
			}
		})
	}
}

func sides(b *testing.B, h http.Handler) func(yield func(string, func() *httptest.Server) bool) {
	return func(yield func(string, func() *httptest.Server) bool) {
		_ = yield("net-http", func() *httptest.Server { return serveTheirs(b, h) }) &&
			yield("proa", func() *httptest.Server { return serveOurs(b, h, &Server{}) })
	}
}
