package apiserver

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/store"
)

// cacheCollector reads the cache's own counters when somebody asks.
type cacheCollector struct{ cache *cache.Cache }

var (
	objectsDesc    = prometheus.NewDesc("apiserver_storage_objects", "Stored objects by resource.", []string{"resource"}, nil)
	newObjectsDesc = prometheus.NewDesc("apiserver_resource_objects", "Stored objects by group and resource.", []string{"group", "resource"}, nil)
	bytesDesc      = prometheus.NewDesc("proa_cache_bytes", "Bytes of stored objects by resource.", []string{"resource"}, nil)
	eventsDesc     = prometheus.NewDesc("proa_cache_events_total", "Changes since the start by resource.", []string{"resource"}, nil)
	watchesDesc    = prometheus.NewDesc("proa_cache_watchers", "Watchers by resource.", []string{"resource"}, nil)
	expiredDesc    = prometheus.NewDesc("proa_cache_expired_watchers_total", "Watchers that fell out of the window, by resource.", []string{"resource"}, nil)
	damagedDesc    = prometheus.NewDesc("proa_cache_damaged_values_total", "Stored values that could not be read, by resource.", []string{"resource"}, nil)
)

func (c *cacheCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{objectsDesc, newObjectsDesc, bytesDesc, eventsDesc, watchesDesc, expiredDesc, damagedDesc} {
		ch <- d
	}
}

func (c *cacheCollector) Collect(ch chan<- prometheus.Metric) {
	for _, t := range c.cache.Stats().Tables {
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, t.Resource)
		}
		count := func(d *prometheus.Desc, v uint64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), t.Resource)
		}
		gauge(objectsDesc, float64(t.Items))
		gr := schema.ParseGroupResource(t.Resource)
		ch <- prometheus.MustNewConstMetric(newObjectsDesc, prometheus.GaugeValue, float64(t.Items), gr.Group, gr.Resource)
		gauge(bytesDesc, float64(t.Bytes))
		gauge(watchesDesc, float64(t.Watchers))
		count(eventsDesc, t.Events)
		count(expiredDesc, t.Expired)
		count(damagedDesc, t.Damaged)
	}
}

// storeCollector asks the store for its size when somebody asks for metrics.
type storeCollector struct {
	store store.Store
	log   *slog.Logger
}

var storeSizeDesc = prometheus.NewDesc("apiserver_storage_size_bytes",
	"Bytes that the store takes on disk, or in memory if that is where it is.", []string{"storage_cluster_id"}, nil)

// storeTimeout bounds how long a reader of metrics waits for the store.
const storeTimeout = time.Second

func (storeCollector) Describe(ch chan<- *prometheus.Desc) { ch <- storeSizeDesc }

func (c storeCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	size, err := c.store.Size(ctx)
	if err != nil {
		c.log.Warn("the store does not tell its size", "err", err)
		return
	}
	// The one store there is has the name that kube-apiserver gives its first.
	ch <- prometheus.MustNewConstMetric(storeSizeDesc, prometheus.GaugeValue, float64(size), "etcd-0")
}
