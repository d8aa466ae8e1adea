package etcd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/proa-dev/proa"
)

// serve tells this program to be a server that can be killed: its directory, and etcd's URLs.
const (
	serveDir  = "PROA_TEST_SERVE_DIR"
	serveEtcd = "PROA_TEST_SERVE_ETCD"
)

// smallRange has 61 addresses to give.
const smallRange = "10.0.0.0/26"

func TestMain(m *testing.M) {
	dir := os.Getenv(serveDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := proa.Start(context.Background(), proa.Config{
		DataDir: dir, Etcd: proa.Etcd{Servers: strings.Split(os.Getenv(serveEtcd), ",")}, ServiceClusterIPRange: smallRange, Disable: proa.Parts,
	})
	if err == nil {
		err = s.Wait()
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// process is a server in a process of its own.
type process struct {
	t    *testing.T
	dir  string
	etcd string
	cmd  *exec.Cmd
}

// start begins the process, and returns a client when it answers.
func (p *process) start() *kubernetes.Clientset {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(p.dir, "admin.kubeconfig")
	os.Remove(file)
	p.cmd = exec.Command(self)
	p.cmd.Env = append(os.Environ(), serveDir+"="+p.dir, serveEtcd+"="+p.etcd)
	p.cmd.Stderr = p.t.Output()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(p.kill)
	var client *kubernetes.Clientset
	eventually(p.t, "the server answers", func() (bool, error) {
		config, err := clientcmd.BuildConfigFromFlags("", file)
		if err != nil {
			return false, err
		}
		client = clientOf(p.t, config)
		_, err = client.CoreV1().Services("default").Get(p.t.Context(), "kubernetes", metav1.GetOptions{})
		return err == nil, err
	})
	return client
}

// kill is kill -9.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// Two servers give Services addresses and node ports from ranges that are nearly used up, and one of them is
// killed again and again, and looks through the claims when it starts. Nothing is given twice, and nothing is claimed
// that no Service has, at any moment.
func TestClaimsOutliveKills(t *testing.T) {
	t.Parallel()
	const kills, writers = 3, 3
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := startCluster(t, 1)
	one := &process{t: t, dir: t.TempDir(), etcd: c.endpoints()[0]}
	two := &process{t: t, dir: t.TempDir(), etcd: c.endpoints()[0]}
	steady := one.start()
	doomed := two.start()
	done := make(chan struct{})
	var all sync.WaitGroup
	churn := func(client *kubernetes.Clientset, name string, stop <-chan struct{}) {
		rnd := rand.New(rand.NewPCG(seed, uint64(len(name))))
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			changeServices(client, rnd, fmt.Sprintf("%s-%d", name, n))
		}
	}
	for w := range writers {
		all.Go(func() { churn(steady, fmt.Sprintf("steady-%d", w), done) })
	}
	for k := range kills {
		dead := make(chan struct{})
		var some sync.WaitGroup
		client := doomed
		for w := range writers {
			some.Go(func() { churn(client, fmt.Sprintf("doomed-%d-%d", k, w), dead) })
		}
		time.Sleep(2 * time.Second) // of work, which the kill interrupts
		two.kill()
		close(dead)
		some.Wait()
		doomed = two.start()
	}
	close(done)
	all.Wait()
	claimsAfter(t, c)
}

// changeServices makes one Service, and deletes one of those that are there. Most of it fails: there are more
// who want than can have.
func changeServices(client *kubernetes.Clientset, rnd *rand.Rand, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	services := client.CoreV1().Services("default")
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80, NodePort: int32(30000 + rnd.IntN(60))}},
	}}
	if rnd.IntN(2) == 0 {
		s.Spec.ClusterIP = fmt.Sprintf("10.0.0.%d", 2+rnd.IntN(60))
	}
	services.Create(ctx, s, metav1.CreateOptions{})
	if rnd.IntN(2) == 0 {
		return
	}
	list, err := services.List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) < 10 {
		return
	}
	if victim := list.Items[rnd.IntN(len(list.Items))].Name; victim != "kubernetes" {
		services.Delete(ctx, victim, metav1.DeleteOptions{})
	}
}

// Two servers in this process, over three members whose leader is killed meanwhile, and every kind of claim is
// made at both: by choice, by name, of a health check.
func TestTwoServersShareRanges(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	_, one := startServer(t, t.TempDir(), c.endpoints(), proa.Parts...)
	_, two := startServer(t, t.TempDir(), c.endpoints(), proa.Parts...)
	const each, rounds = 4, 25
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var made atomic.Int64
	var all sync.WaitGroup
	for i, client := range []*kubernetes.Clientset{one, two} {
		for w := range each {
			all.Go(func() {
				for n, mine := 0, 0; mine < rounds && ctx.Err() == nil; n++ {
					name := fmt.Sprintf("s%d-%d-%d", i, w, n)
					s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
						Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal,
						Ports: []corev1.ServicePort{{Port: 80}},
					}}
					_, err := client.CoreV1().Services("default").Create(t.Context(), s, metav1.CreateOptions{})
					if err == nil {
						mine++
						made.Add(1)
					} else if !unlucky(err) {
						t.Errorf("%s: %v", name, err)
					}
					if mine%2 == 0 {
						err = client.CoreV1().Services("default").Delete(t.Context(), name, metav1.DeleteOptions{})
					}
					if err != nil && !unlucky(err) && !apierrors.IsNotFound(err) {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		}
	}
	for made.Load() < each && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	leader := c.leader()
	c.stop(leader)
	time.Sleep(time.Second)
	c.restart(leader)
	all.Wait()
	if w := claimsAfter(t, c); len(w.held) < each*rounds/2 {
		t.Errorf("%d Services are too few to mean anything", len(w.held))
	}
}

// unlucky is the answer to a write while the leader is gone.
func unlucky(err error) bool {
	return apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.ReasonForError(err) == ""
}
