package embedded

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/proa-dev/proa/internal/store"
	"github.com/proa-dev/proa/internal/store/storetest"
)

// openTest opens a store that the test's end closes.
func openTest(t testing.TB, opts Options) *Engine {
	t.Helper()
	e, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

func TestContract(t *testing.T) {
	for name, opts := range map[string]func(t *testing.T) Options{
		"sync":   func(t *testing.T) Options { return Options{Dir: t.TempDir()} },
		"batch":  func(t *testing.T) Options { return Options{Dir: t.TempDir(), Durability: Batch} },
		"memory": func(*testing.T) Options { return Options{Durability: Memory} },
		// No tail: every stream reads from disk.
		"from disk": func(t *testing.T) Options { return Options{Dir: t.TempDir(), FS: vfs.NewMem(), TailBytes: 1} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) store.Store { return openTest(t, opts(t)) })
		})
	}
}

func TestContractReopened(t *testing.T) {
	for _, durability := range []Durability{Sync, Batch} {
		t.Run(string(durability), func(t *testing.T) {
			t.Parallel()
			storetest.RunReopen(t, func(t *testing.T) func(*testing.T) store.Store {
				opts := Options{Dir: t.TempDir(), Durability: durability}
				return func(t *testing.T) store.Store { return openTest(t, opts) }
			})
		})
	}
}
