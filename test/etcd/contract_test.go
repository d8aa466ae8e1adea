package etcd

import (
	"testing"

	"github.com/proa-dev/proa/internal/store"
	engine "github.com/proa-dev/proa/internal/store/etcd"
	"github.com/proa-dev/proa/internal/store/storetest"
)

// Every test has an etcd of its own: the suite counts revisions, and etcd's are shared.
func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, engine.Options{Endpoints: startCluster(t, 1).endpoints()})
	})
}

func TestContractReopened(t *testing.T) {
	storetest.RunReopen(t, func(t *testing.T) func(*testing.T) store.Store {
		endpoints := startCluster(t, 1).endpoints()
		return func(t *testing.T) store.Store { return open(t, engine.Options{Endpoints: endpoints}) }
	})
}

func TestContractOverThreeMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("one member is enough for -short")
	}
	storetest.Run(t, func(t *testing.T) store.Store {
		c := newCluster(t, 3)
		for _, m := range c.members {
			m.config.ElectionMs = 5_000 // a pause deposes no leader, which the suite does not know of
		}
		c.begin()
		return open(t, engine.Options{Endpoints: c.endpoints()})
	})
}
