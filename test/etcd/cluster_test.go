package etcd

import (
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	engine "github.com/proa-dev/proa/internal/store/etcd"
	"github.com/proa-dev/proa/test/ports"
)

// cluster is etcd members in this process.
type cluster struct {
	t       testing.TB
	members []*member
}

type member struct {
	config *embed.Config
	server *embed.Etcd // nil while it is stopped
	client string      // its URL
}

func startCluster(t testing.TB, size int) *cluster {
	t.Helper()
	c := newCluster(t, size)
	c.begin()
	return c
}

func newCluster(t testing.TB, size int) *cluster {
	t.Helper()
	c := &cluster{t: t}
	peers := ""
	for i := range size {
		m := &member{config: embed.NewConfig(), client: freeURL(t)}
		peer := freeURL(t)
		name := fmt.Sprintf("m%d", i)
		m.config.Name, m.config.Dir = name, filepath.Join(t.TempDir(), name)
		m.config.ListenClientUrls, m.config.AdvertiseClientUrls = []url.URL{parse(t, m.client)}, []url.URL{parse(t, m.client)}
		m.config.ListenPeerUrls, m.config.AdvertisePeerUrls = []url.URL{parse(t, peer)}, []url.URL{parse(t, peer)}
		m.config.UnsafeNoFsync = true // the tests kill members, not machines
		m.config.LogLevel, m.config.LogOutputs = "fatal", []string{filepath.Join(m.config.Dir + ".log")}
		if size == 1 {
			m.config.TickMs, m.config.ElectionMs = 10, 100 // it has nobody to wait for
		}
		peers += fmt.Sprintf(",%s=%s", name, peer)
		c.members = append(c.members, m)
	}
	for _, m := range c.members {
		m.config.InitialCluster = peers[1:]
	}
	return c
}

func (c *cluster) begin() {
	c.t.Helper()
	for _, m := range c.members {
		m.begin(c.t)
	}
	for i := range c.members {
		c.await(i)
	}
	c.t.Cleanup(func() {
		for i := range c.members {
			c.stop(i)
		}
	})
}

func (m *member) begin(t testing.TB) {
	t.Helper()
	server, err := embed.StartEtcd(m.config)
	if err != nil {
		t.Fatal(err)
	}
	m.server = server
}

// await waits until a member serves.
func (c *cluster) await(i int) {
	c.t.Helper()
	select {
	case <-c.members[i].server.Server.ReadyNotify():
	case <-time.After(patience):
		c.t.Fatalf("etcd member %d is not ready", i)
	}
}

// stop ends a member at once, as if it was killed: nobody is told.
func (c *cluster) stop(i int) {
	if m := c.members[i]; m.server != nil {
		m.server.Server.HardStop()
		m.server.Close()
		m.server = nil
	}
}

func (c *cluster) restart(i int) {
	c.t.Helper()
	c.members[i].begin(c.t)
	c.await(i)
}

// leader is the index of the member that leads.
func (c *cluster) leader() int {
	c.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for i, m := range c.members {
			if m.server != nil && m.server.Server.Leader() == m.server.Server.MemberID() {
				return i
			}
		}
	}
	c.t.Fatal("etcd has no leader")
	return 0
}

func (c *cluster) endpoints() (urls []string) {
	for _, m := range c.members {
		urls = append(urls, m.client)
	}
	return urls
}

// open opens a store that the test's end closes.
func open(t testing.TB, o engine.Options) *engine.Engine {
	t.Helper()
	if o.CompactInterval == 0 {
		o.CompactInterval = -1
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	e, err := engine.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func freeURL(t testing.TB) string {
	t.Helper()
	port, err := ports.Free()
	if err != nil {
		t.Fatal(err)
	}
	return "http://127.0.0.1:" + port
}

func parse(t testing.TB, text string) url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return *u
}
