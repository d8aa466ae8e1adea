package leader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"github.com/proa-dev/proa/internal/client"
)

// server keeps one lease.
type server struct {
	mu       sync.Mutex
	lease    *coordinationv1.Lease
	revision int
	writes   int
}

var resource = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

func (s *server) get() (*coordinationv1.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil {
		return nil, apierrors.NewNotFound(resource, "l")
	}
	return s.lease.DeepCopy(), nil
}

func (s *server) put(l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.lease == nil && l.ResourceVersion != "":
		return nil, apierrors.NewNotFound(resource, "l")
	case s.lease != nil && l.ResourceVersion == "":
		return nil, apierrors.NewAlreadyExists(resource, "l")
	case s.lease != nil && s.lease.ResourceVersion != l.ResourceVersion:
		return nil, apierrors.NewConflict(resource, "l", errors.New("modified"))
	}
	s.revision++
	s.writes++
	s.lease = l.DeepCopy()
	s.lease.ResourceVersion = fmt.Sprint(s.revision)
	return s.lease.DeepCopy(), nil
}

// link is a candidate's way to the server.
type link struct {
	client.Transport
	server *server
	cut    atomic.Bool
}

func (l *link) Do(ctx context.Context, r *client.Request) (*client.Response, error) {
	if l.cut.Load() {
		time.Sleep(time.Second)
		return nil, errors.New("no route")
	}
	var lease *coordinationv1.Lease
	var err error
	switch r.Verb {
	case "get":
		lease, err = l.server.get()
	default:
		lease, err = l.server.put(r.Object.(*coordinationv1.Lease))
	}
	if err != nil {
		return nil, err
	}
	return &client.Response{Object: lease}, nil
}

// leases is the server as client-go sees it.
type leases struct {
	coordination.LeaseInterface
	server *server
}

func (l leases) Leases(string) coordination.LeaseInterface { return l }

func (l leases) Get(context.Context, string, metav1.GetOptions) (*coordinationv1.Lease, error) {
	return l.server.get()
}

func (l leases) Create(_ context.Context, o *coordinationv1.Lease, _ metav1.CreateOptions) (*coordinationv1.Lease, error) {
	return l.server.put(o)
}

func (l leases) Update(_ context.Context, o *coordinationv1.Lease, _ metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	return l.server.put(o)
}

// throne tells when two lead at once.
type throne struct {
	t      *testing.T
	mu     sync.Mutex
	holder string
	reigns []string
}

func (th *throne) lead(ctx context.Context, who string) {
	th.mu.Lock()
	if th.holder != "" {
		th.t.Errorf("%s leads while %s does", who, th.holder)
	}
	th.holder = who
	th.reigns = append(th.reigns, who)
	th.mu.Unlock()
	<-ctx.Done()
	th.mu.Lock()
	th.holder = ""
	th.mu.Unlock()
}

func options(identity string) Options {
	return Options{Namespace: "kube-system", Name: "l", Identity: identity, Logger: slog.New(slog.DiscardHandler)}
}

func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, th := &server{}, &throne{t: t}
		a, b := &link{server: s}, &link{server: s}
		ended := make(chan error, 1)
		go func() {
			ended <- Run(t.Context(), a, options("a"), func(ctx context.Context) { th.lead(ctx, "a") })
		}()
		synctest.Wait()
		go func() { _ = Run(t.Context(), b, options("b"), func(ctx context.Context) { th.lead(ctx, "b") }) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if th.holder != "a" || s.writes != 30 && s.writes != 31 {
			t.Fatalf("%q leads, after %d writes in a minute", th.holder, s.writes)
		}
		a.cut.Store(true)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if th.holder != "b" || *s.lease.Spec.HolderIdentity != "b" || *s.lease.Spec.LeaseTransitions != 1 || *s.lease.Spec.LeaseDurationSeconds != 15 {
			t.Errorf("%q leads, the lease says %+v", th.holder, s.lease.Spec)
		}
		if err := <-ended; !errors.Is(err, ErrLost) {
			t.Errorf("the one that lost it ended with %v", err)
		}
	})
}

func TestRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, th := &server{}, &throne{t: t}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- Run(ctx, &link{server: s}, options("a"), func(ctx context.Context) { th.lead(ctx, "a") })
		}()
		synctest.Wait()
		go func() {
			_ = Run(t.Context(), &link{server: s}, options("b"), func(ctx context.Context) { th.lead(ctx, "b") })
		}()
		time.Sleep(10 * time.Second)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if th.holder != "b" {
			t.Errorf("%q leads 5 s after the lease was released", th.holder)
		}
	})
}

func TestLeadThatReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		err := Run(t.Context(), &link{server: s}, options("a"), func(context.Context) { time.Sleep(time.Second) })
		if err != nil || *s.lease.Spec.HolderIdentity != "" {
			t.Errorf("ended with %v, and the lease is %q's", err, *s.lease.Spec.HolderIdentity)
		}
	})
}

func TestUsurped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		begin := time.Now()
		time.AfterFunc(5*time.Second, func() {
			l, _ := s.get()
			who, now := "usurper", metav1.NowMicro()
			l.Spec.HolderIdentity, l.Spec.RenewTime = &who, &now
			_, _ = s.put(l)
		})
		err := Run(t.Context(), &link{server: s}, options("a"), func(ctx context.Context) { <-ctx.Done() })
		if !errors.Is(err, ErrLost) || time.Since(begin) > 7*time.Second {
			t.Errorf("ended with %v after %v", err, time.Since(begin))
		}
	})
}

// Two of ours and two of client-go's compete while links break and candidates restart: never do two lead.
func TestAmongClientGo(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	synctest.Test(t, func(t *testing.T) {
		s, th := &server{}, &throne{t: t}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		links := []*link{{server: s}, {server: s}}
		for n, l := range links {
			who := fmt.Sprint("ours-", n)
			all.Go(func() {
				for ctx.Err() == nil {
					_ = Run(ctx, l, options(who), func(ctx context.Context) { th.lead(ctx, who) })
				}
			})
		}
		time.Sleep(5 * time.Second) // one of ours leads
		for n := range 2 {
			who := fmt.Sprint("theirs-", n)
			term := time.Duration(20+random.IntN(60)) * time.Second
			all.Go(func() {
				for life := 0; ctx.Err() == nil; life++ {
					who := fmt.Sprintf("%s-%d", who, life) // as a new process has
					ctx, cancel := context.WithTimeout(klog.NewContext(ctx, logr.Discard()), term)
					leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
						Lock: &resourcelock.LeaseLock{
							LeaseMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "l"}, Client: leases{server: s},
							LockConfig: resourcelock.ResourceLockConfig{Identity: who},
						},
						LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second,
						Callbacks: leaderelection.LeaderCallbacks{
							OnStartedLeading: func(ctx context.Context) { th.lead(ctx, who) },
							OnStoppedLeading: func() {},
						},
					})
					cancel()
					time.Sleep(time.Second)
				}
			})
		}
		for range 60 {
			time.Sleep(time.Duration(random.IntN(30)) * time.Second)
			l := links[random.IntN(2)]
			l.cut.Store(!l.cut.Load())
		}
		for _, l := range links {
			l.cut.Store(true)
		}
		time.Sleep(time.Minute) // one of theirs leads
		cancel()
		all.Wait()
		synctest.Wait()
		kinds := map[string]int{}
		for _, who := range th.reigns {
			kinds[who[:4]]++
		}
		if kinds["ours"] == 0 || kinds["thei"] == 0 {
			t.Errorf("not all came to power: %v", th.reigns)
		}
	})
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"defaults":  {options("a"), ""},
		"no name":   {Options{Namespace: "n", Identity: "a"}, "leader election needs a namespace, a name and an identity"},
		"too late":  {Options{Namespace: "n", Name: "l", Identity: "a", RenewDeadline: time.Minute}, "the lease duration, 15s, must be longer than the renew deadline, 1m0s"},
		"too often": {Options{Namespace: "n", Name: "l", Identity: "a", RetryPeriod: 9 * time.Second}, "the renew deadline, 10s, must be longer than 1.2 times the retry period, 9s"},
	} {
		got := ""
		if err := c.o.Validate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
