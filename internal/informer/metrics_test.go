package informer

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &Metrics{}
		q, twin := NewQueue[int](QueueOptions{Name: "q", Metrics: m}), NewQueue[int](QueueOptions{Name: "q", Metrics: m})
		q.Add(1)
		q.Add(2)
		twin.Add(3)
		time.Sleep(time.Millisecond)
		_, _ = q.Get()
		time.Sleep(2 * time.Second)
		s := newServer()
		s.put(Key{Name: "x"})
		start(t, s, Options{Metrics: m})
		synctest.Wait()

		registry := prometheus.NewRegistry()
		registry.MustRegister(Collector(m))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, f := range families {
			for _, metric := range f.Metric {
				lines = append(lines, strings.ReplaceAll(f.GetName()+" "+metric.String(), "  ", " "))
			}
		}
		all := strings.Join(lines, "\n")
		for _, want := range []string{
			`informer_events_total label:{name:"resource" value:"configmaps"} counter:{value:2}`,
			`informer_watches_total label:{name:"resource" value:"configmaps"} counter:{value:1}`,
			`workqueue_adds_total label:{name:"name" value:"q"} counter:{value:3}`,
			`workqueue_depth label:{name:"name" value:"q"} gauge:{value:2}`,
			`workqueue_longest_running_processor_seconds label:{name:"name" value:"q"} gauge:{value:2}`,
			`bucket:{cumulative_count:0 upper_bound:0.0001} bucket:{cumulative_count:1 upper_bound:0.001} bucket:{cumulative_count:1 upper_bound:0.01}`,
		} {
			if !strings.Contains(all, want) {
				t.Errorf("no %s in\n%s", want, all)
			}
		}
	})
}
