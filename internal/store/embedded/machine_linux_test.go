package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestMachineFiles(t *testing.T) {
	fs := machine()
	dir := t.TempDir()
	open := map[string]func(name string) (vfs.File, error){
		"created": func(name string) (vfs.File, error) { return fs.Create(name, vfs.WriteCategoryUnspecified) },
		"opened": func(name string) (vfs.File, error) {
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				return nil, err
			}
			return fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
		},
		"reused": func(name string) (vfs.File, error) {
			if err := os.WriteFile(name+".old", nil, 0o600); err != nil {
				return nil, err
			}
			return fs.ReuseForWrite(name+".old", name, vfs.WriteCategoryUnspecified)
		},
	}
	for name, make := range open {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			f, err := make(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := f.(machineFile); !ok {
				t.Errorf("a file that syncs as all others do: %T", f)
			}
			if _, err := f.Write([]byte("content")); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(f.SyncData(), f.Sync()); err != nil {
				t.Error(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != "content" {
				t.Errorf("read %q, %v", got, err)
			}
			if err := f.SyncData(); !errors.Is(err, syscall.EBADF) {
				t.Errorf("sync of a closed file: %v", err)
			}
		})
	}
}

// TestSyncsAmongOthers has many goroutines sync while others allocate and the collector moves their stacks.
func TestSyncsAmongOthers(t *testing.T) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			f, err := machine().Create(filepath.Join(t.TempDir(), "file"), vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			for n := range 20 {
				_, err := f.Write(make([]byte, 100*(i+1)))
				if err = errors.Join(err, f.SyncData()); err != nil {
					t.Error(err)
					return
				}
				if n%10 == i {
					runtime.GC()
				}
			}
		})
	}
	all.Wait()
}
