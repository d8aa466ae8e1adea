package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The watch row: some writers change objects as fast as they can be served, and every watcher sees it all.
const (
	watcherCount = 200
	watchWrites  = 500
	watchWriters = 4
	drainTime    = 30 * time.Second
)

var sent = regexp.MustCompile(`"sent":"(\d+)"`)

// watchers counts an operation for each event that reached a watcher. Its CPU includes that of the writes,
// whose own price is the row of its kind. Latencies are from before the write to the watcher's eyes.
func watchers(s *server) (o outcome) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	clients, err := newClients(s, 8)
	if err != nil {
		return outcome{err: err}
	}
	defer closeAll(clients)
	path := "/api/v1/namespaces/" + namespace + "/configmaps"
	var seen atomic.Int64
	var mu sync.Mutex
	var latencies []time.Duration
	var ready sync.WaitGroup
	var failed atomic.Pointer[error]
	for w := range watcherCount {
		ready.Add(1)
		go func() {
			once := sync.OnceFunc(ready.Done)
			defer once()
			url := clients[w%len(clients)].url + path + "?watch=1&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&labelSelector=watched"
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			req.Header.Set("User-Agent", "bench")
			res, err := clients[w%len(clients)].http.Do(req)
			if err != nil {
				failed.CompareAndSwap(nil, &err)
				return
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusOK {
				err := fmt.Errorf("watch: %s", res.Status)
				failed.CompareAndSwap(nil, &err)
				return
			}
			once()
			scan := bufio.NewScanner(res.Body)
			scan.Buffer(nil, 1<<20)
			for scan.Scan() {
				seen.Add(1)
				if m := sent.FindSubmatch(scan.Bytes()); m != nil && w%10 == 0 {
					at, _ := strconv.ParseInt(string(m[1]), 10, 64)
					mu.Lock()
					latencies = append(latencies, time.Since(time.Unix(0, at)))
					mu.Unlock()
				}
			}
		}()
	}
	ready.Wait()
	if e := failed.Load(); e != nil {
		return outcome{err: *e}
	}
	var buf bytes.Buffer
	for i := range watchWriters {
		body := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"watched-%d","labels":{"watched":"yes"}},"data":{"sent":"0"}}`, i)
		if err := clients[0].do(ctx, http.MethodPost, path, jsonType, body, &buf); err != nil {
			return outcome{err: err}
		}
	}
	o = drive(s, watchWriters, watchWrites, func(ctx context.Context, c *client, worker, _ int, buf *bytes.Buffer) error {
		body := fmt.Appendf(nil, `{"data":{"sent":"%d"}}`, time.Now().UnixNano())
		return c.do(ctx, http.MethodPatch, fmt.Sprintf("%s/watched-%d", path, worker), jsonType, body, buf)
	})
	before := o.cpu
	start, _ := s.cpu()
	want := int64(watcherCount * (watchWrites + watchWriters))
	for end := time.Now().Add(drainTime); seen.Load() < want && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	rest, _ := s.cpu()
	o.cpu = before + rest - start
	o.ops = seen.Load()
	o.failures = want - o.ops
	mu.Lock()
	defer mu.Unlock()
	o.p50, o.p99 = percentiles(latencies)
	return o
}
