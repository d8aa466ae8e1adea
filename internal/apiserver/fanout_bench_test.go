package apiserver

import (
	"bytes"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// BenchmarkWatchFanoutHTTP2 is one change of a ConfigMap, written and seen by 200 watches on eight connections, over TLS,
// at the rate at which four writers get them through. The CPU is the server's and the clients', and that of the writes.
func BenchmarkWatchFanoutHTTP2(b *testing.B) {
	const watches, connections, writers = 200, 8, 4
	w := newWorld(b)
	w.serveHTTP2(b)
	from := ""
	for n := range writers {
		from = w.must("POST", configMaps, fmt.Sprintf(`{"metadata":{"name":"w%d"},"data":{"k":"0"}}`, n)).revision(b)
	}
	var seen atomic.Int64
	idle := liveMemory()
	for range connections {
		f := w.dialFrames(b, 1<<30)
		f.must(f.WriteWindowUpdate(0, 1<<30))
		for range watches / connections {
			f.get(configMaps + "?watch=1&resourceVersion=" + from)
		}
		go func() {
			for {
				fr, err := f.ReadFrame()
				if err != nil {
					return
				}
				if data, ok := fr.(*http2.DataFrame); ok {
					seen.Add(int64(bytes.Count(data.Data(), newline)))
				}
			}
		}()
	}
	b.ReportMetric(float64(liveMemory()-idle)/watches, "B/idle-watch")
	b.ReportAllocs()
	before := usedCPU(b)
	var next atomic.Int64
	b.SetParallelism(writers)
	var sent atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		name := fmt.Sprintf("%s/w%d", configMaps, next.Add(1)%writers)
		for pb.Next() {
			w.must("PATCH", name, fmt.Sprintf(`{"data":{"k":"%d"}}`, sent.Add(1)), "Content-Type: application/merge-patch+json")
		}
	})
	for seen.Load() < int64(b.N)*watches {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(usedCPU(b)-before)/float64(b.N*watches)/1000, "cpu-µs/event")
}

// liveMemory is what the heap and the stacks hold.
func liveMemory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
