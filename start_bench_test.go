package proa

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/footprint"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/builtin"
	"github.com/proa-dev/proa/internal/registry/core/allocate"
	"github.com/proa-dev/proa/internal/registry/encoding"
	"github.com/proa-dev/proa/internal/store"
	"github.com/proa-dev/proa/internal/store/embedded"
)

const (
	// startDir, if set, makes the test binary a whole control plane over that data directory.
	startDir = "PROA_START_DIR"
	// startProfile, if set, is where that control plane leaves a profile of its CPU until it is ready.
	startProfile = "PROA_START_PROFILE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(startDir); dir != "" {
		if err := serveUntilTold(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serveUntilTold is `proa server` until standard input ends, but for what that lets go of when it has been idle for a
// while. It prints its address when it is ready.
func serveUntilTold(dir string) error {
	if file := os.Getenv(startProfile); file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go new(footprint.Keeper).Run(ctx)
	s, err := Start(ctx, Config{DataDir: dir, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return err
	}
	pprof.StopCPUProfile()
	fmt.Println(s.URL())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return s.Stop()
}

// BenchmarkStart is a start of a whole control plane, a process of its own, over many objects: half of them
// ConfigMaps of 1 KB, three tenths Secrets, the rest Leases. s/ready is from exec to /readyz, cpu-s/ready what the
// process had used then (the pages of
// its memory are system time); anon-B/object is its anonymous memory at rest, beside the objects' encoded size, in proportion.
func BenchmarkStart(b *testing.B) {
	for _, objects := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("objects=%d", objects), func(b *testing.B) {
			dir := b.TempDir()
			encoded := fillDirectory(b, dir, objects)
			var sum started
			for range b.N {
				sum.add(startOver(b, dir))
			}
			per := func(total float64) float64 { return total / float64(b.N) }
			b.ReportMetric(per(sum.ready), "s/ready")
			b.ReportMetric(per(sum.cpu), "cpu-s/ready")
			b.ReportMetric(per(sum.system), "of-it-system-s/ready")
			b.ReportMetric(per(sum.anonymous)/1e6, "anon-MB")
			b.ReportMetric(per(sum.anonymous)/float64(objects), "anon-B/object")
			b.ReportMetric(float64(encoded)/float64(objects), "encoded-B/object")
			b.ReportMetric(0, "ns/op")
		})
	}
}

type started struct{ ready, cpu, system, anonymous float64 }

func (s *started) add(o started) {
	s.ready, s.cpu, s.system, s.anonymous = s.ready+o.ready, s.cpu+o.cpu, s.system+o.system, s.anonymous+o.anonymous
}

func startOver(b *testing.B, dir string) (s started) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), startDir+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := insecure.Get(strings.TrimSpace(url) + "/readyz")
	if err != nil || res.StatusCode != http.StatusOK {
		b.Fatal("not ready: ", res, err)
	}
	s.ready = time.Since(begin).Seconds()
	user, system := processCPU(b, cmd.Process.Pid)
	s.cpu, s.system = user+system, system
	s.anonymous = memoryAtRest(b, cmd.Process.Pid)
	in.Close()
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return s
}

// processCPU is the user and the system time of a process, in seconds.
func processCPU(b *testing.B, pid int) (user, system float64) {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip(err) // not Linux
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	return user / 100, system / 100
}

// memoryAtRest is the anonymous memory of a process once it uses next to no CPU and gives no more back.
func memoryAtRest(b *testing.B, pid int) float64 {
	b.Helper()
	const interval, patience = 10 * time.Second, 60
	memory, cpu := 0.0, 0.0
	for range patience {
		time.Sleep(interval)
		before, used := memory, cpu
		user, system := processCPU(b, pid)
		memory, cpu = anonymous(b, pid), user+system
		if cpu-used < interval.Seconds()/20 && memory > 0.99*before && memory < 1.01*before {
			return memory
		}
	}
	b.Error("the process does not come to rest")
	return memory
}

func anonymous(b *testing.B, pid int) (bytes float64) {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	fmt.Sscan(rest, &bytes)
	return bytes * 1024
}

// fillDirectory makes the store of a data directory, and returns the size of the objects' encodings.
func fillDirectory(b *testing.B, dir string, objects int) (size int) {
	b.Helper()
	services, err := allocate.New(allocate.Config{ClusterIPRanges: []netip.Prefix{allocate.DefaultClusterIPRange}})
	if err != nil {
		b.Fatal(err)
	}
	kinds := map[string]*registry.Type{}
	for _, t := range builtin.Types(builtin.Options{Services: services}) {
		kinds[t.Kind] = t
	}
	st, err := embedded.Open(embedded.Options{Dir: filepath.Join(dir, "store"), Durability: embedded.Batch})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	var revision store.Revision
	var ops []store.Op
	for n := range objects {
		kind, o := startObject(n)
		t := kinds[kind]
		value, err := encoding.Stored(t, o)
		if err != nil {
			b.Fatal(err)
		}
		size += len(value)
		ops = append(ops, store.Op{Key: t.Prefix + o.GetNamespace() + "/" + o.GetName(), Value: value})
		if len(ops) == 500 || n == objects-1 {
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

// startObject is an object that nobody acts upon.
func startObject(n int) (kind string, o registry.Object) {
	name := "settings"
	switch {
	case n%10 < 5:
		kind, o = "ConfigMap", &corev1.ConfigMap{Data: map[string]string{"key": strings.Repeat("x", 900)}}
	case n%10 < 8:
		kind, name = "Secret", "credentials"
		o = &corev1.Secret{Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"password": []byte(strings.Repeat("s", 400))}}
	default:
		kind, name = "Lease", "node"
		holder := fmt.Sprintf("node-%d", n)
		o = &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}
	}
	o.SetName(fmt.Sprintf("%s-%07d", name, n))
	o.SetNamespace(fmt.Sprintf("team-%d", n%50))
	o.SetUID(types.UID(fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n)))
	o.SetLabels(map[string]string{"app": name, "pod-template-hash": "5d59d67564"})
	o.SetAnnotations(map[string]string{"example.com/revision": fmt.Sprint(n)})
	return kind, o
}
