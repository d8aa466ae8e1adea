package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/builtin"
	"github.com/proa-dev/proa/internal/registry/core/allocate"
	"github.com/proa-dev/proa/internal/registry/encoding"
	"github.com/proa-dev/proa/internal/store"
	"github.com/proa-dev/proa/internal/store/embedded"
)

// loadObjects is how many objects BenchmarkLoad starts with: half ConfigMaps, three tenths pods, the rest
// leases. Costs are in proportion to their number.
const loadObjects = 100_000

// A start with many objects: CPU and time for each, and what each takes on the heap.
func BenchmarkLoad(b *testing.B) {
	services, err := allocate.New(allocate.Config{ClusterIPRanges: []netip.Prefix{allocate.DefaultClusterIPRange}})
	if err != nil {
		b.Fatal(err)
	}
	types := builtin.Types(builtin.Options{Services: services})
	o := embedded.Options{Dir: b.TempDir(), Durability: embedded.Batch}
	size := fillStore(b, o, types)
	var cpu, wall time.Duration
	var heap uint64
	for range b.N {
		st, err := embedded.Open(o)
		if err != nil {
			b.Fatal(err)
		}
		before, usage, begin := liveHeap(), usedCPU(b), time.Now()
		ctx, cancel := context.WithCancel(context.Background())
		ca := cache.New(st, cache.Options{})
		if _, err := NewStorage(ctx, st, ca, types, slog.New(slog.DiscardHandler)); err != nil {
			b.Fatal(err)
		}
		done := make(chan struct{})
		go func() { ca.Run(ctx); close(done) }()
		if err := ca.Ready(ctx); err != nil {
			b.Fatal(err)
		}
		cpu, wall = cpu+usedCPU(b)-usage, wall+time.Since(begin)
		heap += liveHeap() - before
		runtime.KeepAlive(ca)
		cancel()
		<-done
		if err := st.Close(); err != nil {
			b.Fatal(err)
		}
	}
	per := func(total float64) float64 { return total / float64(b.N) / loadObjects }
	b.ReportMetric(per(float64(cpu.Nanoseconds())), "cpu-ns/object")
	b.ReportMetric(per(float64(wall.Nanoseconds())), "wall-ns/object")
	b.ReportMetric(per(float64(heap)), "B/object")
	b.ReportMetric(float64(size)/loadObjects, "encoded-B/object")
}

// fillStore makes a store of loadObjects objects, none of them in its history, and returns the size of their
// encodings.
func fillStore(b *testing.B, o embedded.Options, types []*registry.Type) (size int) {
	b.Helper()
	st, err := embedded.Open(o)
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	var ops []store.Op
	var revision store.Revision
	for n := range loadObjects {
		t, object := loadObject(types, n)
		value, err := encoding.Stored(t, object)
		if err != nil {
			b.Fatal(err)
		}
		size += len(value)
		ops = append(ops, store.Op{Key: t.Prefix + object.GetNamespace() + "/" + object.GetName(), Value: value})
		if len(ops) == 500 || n == loadObjects-1 {
			if revision, err = st.Commit(ctx, ops...); err != nil {
				b.Fatal(err)
			}
			ops = ops[:0:0]
		}
	}
	if err := st.Compact(ctx, revision); err != nil {
		b.Fatal(err)
	}
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
	return size
}

func loadObject(types []*registry.Type, n int) (*registry.Type, registry.Object) {
	meta := func(o registry.Object, name string) registry.Object {
		o.SetName(fmt.Sprintf("%s-%06d", name, n))
		o.SetNamespace(fmt.Sprintf("team-%d", n%50))
		o.SetUID("3f0e8c9a-7f5e-4d5e-9a55-3e8d7f6c1b2a")
		o.SetLabels(map[string]string{"app": name, "pod-template-hash": "5d59d67564"})
		return o
	}
	switch {
	case n%10 < 5:
		return typeNamed(types, "ConfigMap"), meta(&corev1.ConfigMap{Data: map[string]string{"key": strings.Repeat("x", 900)}}, "settings")
	case n%10 < 8:
		p := &corev1.Pod{Spec: corev1.PodSpec{NodeName: fmt.Sprintf("node-%d", n%1000), SchedulerName: "default-scheduler"}}
		p.Status.Phase = corev1.PodRunning
		p.Annotations = map[string]string{"note": strings.Repeat("n", 120)}
		for _, name := range []string{"web", "sidecar"} {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{
				Name: name, Image: "registry.example.com/" + name + ":v1.2.3", Args: []string{"--port=8080", "--verbose"},
				Env:          []corev1.EnvVar{{Name: "MODE", Value: "production"}, {Name: "ZONE", Value: strings.Repeat("z", 300)}},
				VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/" + name}},
			})
		}
		return typeNamed(types, "Pod"), meta(p, "web")
	default:
		holder := fmt.Sprintf("node-%d", n)
		return typeNamed(types, "Lease"), meta(&coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}, "node")
	}
}

func typeNamed(types []*registry.Type, kind string) *registry.Type {
	for _, t := range types {
		if t.Kind == kind {
			return t
		}
	}
	panic("no type is called " + kind)
}

func liveHeap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func usedCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
