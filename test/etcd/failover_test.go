package etcd

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/store"
	engine "github.com/proa-dev/proa/internal/store/etcd"
)

// network is the way of one server to all members.
type network []*proxy

func startNetwork(t *testing.T, c *cluster) network {
	t.Helper()
	var n network
	for _, m := range c.members {
		n = append(n, startProxy(t, m.client))
	}
	return n
}

func (n network) endpoints() (urls []string) {
	for _, p := range n {
		urls = append(urls, p.url)
	}
	return urls
}

func (n network) setCut(cut bool) {
	for _, p := range n {
		p.setCut(cut)
	}
}

// Two servers' stores over three members: one is cut off, then the other from the leader, then the leader dies, and
// in the end the leader moves while answers are lost.
func TestTwoStoresInAStorm(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	networks := []network{startNetwork(t, c), startNetwork(t, c)}
	var stores []store.Store
	for _, n := range networks {
		stores = append(stores, open(t, engine.Options{Endpoints: n.endpoints(), RequestTimeout: 3 * time.Second}))
	}
	const moment = 500 * time.Millisecond
	runStorm(t, func() {
		networks[0].setCut(true)
		time.Sleep(moment)
		networks[0].setCut(false)
		leader := c.leader()
		networks[1][leader].setCut(true)
		time.Sleep(moment)
		networks[1][leader].setCut(false)
		c.stop(leader)
		time.Sleep(moment)
		c.restart(leader)
		for _, p := range networks[0] {
			p.setMute(true)
		}
		leader = c.leader()
		from, to := c.members[leader].server.Server, c.members[(leader+1)%3].server.Server
		if err := from.MoveLeader(t.Context(), uint64(from.MemberID()), uint64(to.MemberID())); err != nil {
			t.Logf("move: %v", err)
		}
		time.Sleep(moment)
		for _, p := range networks[0] {
			p.setMute(false)
		}
		time.Sleep(moment)
	}, stores...)
}

// The server whose controllers work loses the network to etcd, and is told nothing. The other takes over, and goes on
// when the first is back, which serves again what has happened meanwhile.
func TestControllersFailOver(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	n := startNetwork(t, c)
	_, one := startServer(t, t.TempDir(), n.endpoints())
	holder := func() (string, error) {
		lease, err := one.CoordinationV1().Leases("kube-system").Get(t.Context(), "kube-controller-manager", metav1.GetOptions{})
		if err != nil || lease.Spec.HolderIdentity == nil {
			return "", err
		}
		return *lease.Spec.HolderIdentity, nil
	}
	first := ""
	eventually(t, "the first server leads", func() (bool, error) {
		var err error
		first, err = holder()
		return first != "", err
	})
	_, two := startServer(t, t.TempDir(), c.endpoints())
	n.setCut(true)
	if _, err := two.AppsV1().Deployments("default").Create(t.Context(), deployment("cut"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other server's controllers make two pods run", func() (bool, error) {
		pods, err := running(t.Context(), two, "cut")
		return pods == 2, err
	})
	n.setCut(false)
	eventually(t, "the first server shows the pods", func() (bool, error) {
		pods, err := running(t.Context(), one, "cut")
		return pods == 2, err
	})
	now, err := holder()
	if err != nil || now == first {
		t.Errorf("%s leads, as before, %v", now, err)
	}
	if _, err := one.AppsV1().Deployments("default").Create(t.Context(), deployment("back"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two more pods run", func() (bool, error) {
		pods, err := running(t.Context(), one, "back")
		return pods == 2, err
	})
}
