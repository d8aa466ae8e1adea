package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

// childDir, if set, makes the test binary a writer over that directory.
const childDir = "PROA_STORE_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child writes until it is killed, and prints each number after it was acknowledged.
func child(dir string) error {
	e, err := Open(Options{Dir: dir, MemTableBytes: 1 << 20, WatchHistoryBytes: 64 << 10, segmentBytes: 32 << 10})
	if err != nil {
		return err
	}
	l := &ledger{acked: make([]atomic.Int64, killWriters)}
	for w := range killWriters {
		left, _ := pairKeys(w)
		if kv, err := e.Get(context.Background(), left); err == nil {
			var n int64
			fmt.Sscanf(string(kv.Value), "%d/", &n)
			l.acked[w].Store(n)
		}
	}
	rev, err := e.Revision(context.Background())
	if err != nil {
		return err
	}
	for k := range 3 {
		key := fmt.Sprint("still", (int(rev)+k)%stillKeys)
		if _, err := e.Commit(context.Background(), store.Op{Key: key, Value: []byte(key)}); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	fmt.Println("ready")
	var wg sync.WaitGroup
	for w := range killWriters {
		wg.Go(func() {
			for {
				before := l.acked[w].Load()
				ctx, cancel := context.WithCancel(context.Background())
				go func() {
					for l.acked[w].Load() == before {
						time.Sleep(50 * time.Microsecond)
					}
					cancel()
				}()
				l.write(ctx, e, w, 4<<10)
				fmt.Printf("%d %d %d\n", w, l.acked[w].Load(), l.revision.Load())
			}
		})
	}
	wg.Wait()
	return nil
}

const killWriters = 4

// killChains is how many stores are written and killed side by side.
const killChains = 4

// TestKill kills processes that write, 200 times in all, and checks what they leave.
func TestKill(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for chain := range uint64(killChains) {
		t.Run(fmt.Sprint(chain), func(t *testing.T) {
			t.Parallel()
			killChain(t, rand.New(rand.NewPCG(seed, chain)), rounds(t, 200/killChains))
		})
	}
}

// killChain works on one store: what one process leaves the next goes on with.
func killChain(t *testing.T, r *rand.Rand, rounds int) {
	dir := t.TempDir()
	l := &ledger{acked: make([]atomic.Int64, killWriters)}
	moved, still := 0, 0
	for round := 0; round < rounds || moved == 0; round++ { // on a slow machine it takes more
		acked, revision := killOne(t, dir, time.Duration(r.IntN(60))*time.Millisecond)
		e, err := Open(Options{Dir: dir, TailBytes: 1})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for w := range acked {
			acked[w] = max(acked[w], l.acked[w].Load())
		}
		l.check(t, e, acked, revision)
		recount(t, e)
		moved += movesIn(t, e)
		if n := checkStill(t, e); n < still {
			t.Fatalf("round %d: %d keys that stay, of %d", round, n, still)
		} else {
			still = n
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d values moved", moved)
}

// killOne runs a child for a while and returns what it said was acknowledged.
func killOne(t *testing.T, dir string, after time.Duration) (acked []int64, revision int64) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "ready\n" {
		t.Fatalf("the child said %q: %v", line, err)
	}
	time.AfterFunc(after, func() { cmd.Process.Kill() })
	acked = make([]int64, killWriters)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		}
		var w int
		var n, rev int64
		if _, err := fmt.Sscanf(line, "%d %d %d\n", &w, &n, &rev); err != nil {
			t.Fatalf("the child said %q: %v", line, err)
		}
		acked[w], revision = max(acked[w], n), max(revision, rev)
	}
	cmd.Wait()
	return acked, revision
}
