package cache

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func adopted(ms *memos, key string) *Item {
	i := &Item{Key: key}
	ms.adopt(i)
	return i
}

func encoding(n int, made *atomic.Int64) func() ([]byte, error) {
	return func() ([]byte, error) {
		made.Add(1)
		return make([]byte, n), nil
	}
}

func TestEncodingIsMadeOnce(t *testing.T) {
	i := adopted(newMemos(1<<20), "a")
	var made atomic.Int64
	var wait sync.WaitGroup
	for n := range 64 {
		wait.Go(func() {
			_, err := i.Encoding(fmt.Sprint(n%2), func() ([]byte, error) {
				time.Sleep(time.Millisecond)
				return encoding(10, &made)()
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if made.Load() != 2 {
		t.Errorf("2 forms were made %d times", made.Load())
	}
}

func TestEncodingMayAskForAnotherFormAndTheObject(t *testing.T) {
	i := adopted(newMemos(1<<20), "a")
	b, err := i.Encoding("outer", func() ([]byte, error) {
		object, err := i.Object(func() (any, error) { return &struct{ s string }{"o"}, nil })
		if err != nil || object == nil {
			t.Error(object, err)
		}
		return i.Encoding("inner", func() ([]byte, error) { return []byte("x"), nil })
	})
	if string(b) != "x" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestErrorIsNotRemembered(t *testing.T) {
	i := adopted(newMemos(1<<20), "a")
	broken := errors.New("broken")
	if _, err := i.Encoding("f", func() ([]byte, error) { return nil, broken }); err != broken {
		t.Errorf("got %v", err)
	}
	if _, err := i.Object(func() (any, error) { return nil, broken }); err != broken {
		t.Errorf("got %v", err)
	}
	if b, err := i.Encoding("f", func() ([]byte, error) { return []byte("x"), nil }); string(b) != "x" || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestBudgetKeepsTheHotAndDropsTheCold(t *testing.T) {
	ms := newMemos(20 * (1000 + memoOverhead))
	hot := adopted(ms, "hot")
	var hotMade, coldMade atomic.Int64
	for n := range 1000 {
		hot.Encoding("f", encoding(1000, &hotMade))
		i := adopted(ms, fmt.Sprint(n))
		i.Encoding("f", encoding(1000, &coldMade))
		if entries, bytes := ms.stats(); bytes > ms.limit || entries > 20 {
			t.Fatalf("%d bytes in %d entries exceed the budget", bytes, entries)
		}
	}
	if hotMade.Load() != 1 {
		t.Errorf("the hot item was encoded %d times", hotMade.Load())
	}
}

func TestBudgetCountsToTheByte(t *testing.T) {
	ms := newMemos(1 << 20)
	var made atomic.Int64
	var items []*Item
	for n := range 100 {
		i := adopted(ms, fmt.Sprint(n))
		i.Encoding("a", encoding(10, &made))
		i.Encoding("b", encoding(20, &made))
		items = append(items, i)
	}
	if entries, bytes := ms.stats(); entries != 100 || bytes != 100*(30+memoOverhead) {
		t.Fatalf("%d entries, %d bytes", entries, bytes)
	}
	for _, i := range items {
		ms.retire(i)
	}
	if entries, bytes := ms.stats(); entries != 0 || bytes != 0 {
		t.Fatalf("%d entries, %d bytes are left", entries, bytes)
	}
	made.Store(0)
	items[0].Encoding("a", encoding(10, &made))
	items[0].Encoding("a", encoding(10, &made))
	if entries, _ := ms.stats(); entries != 0 || made.Load() != 2 {
		t.Errorf("a retired item remembers")
	}
}

func TestBudgetUnderConcurrency(t *testing.T) {
	ms := newMemos(50 * memoOverhead)
	var items []*Item
	for n := range 200 {
		items = append(items, adopted(ms, fmt.Sprint(n)))
	}
	var wait sync.WaitGroup
	var made atomic.Int64
	for g := range 8 {
		wait.Go(func() {
			for n := range 5000 {
				i := items[(n*7+g*13)%len(items)]
				i.Encoding("f", encoding(100, &made))
				i.Object(func() (any, error) { return &struct{ n int }{n}, nil })
				if n%1000 == 999 {
					ms.retire(items[g])
				}
			}
		})
	}
	wait.Wait()
	for _, i := range items {
		ms.retire(i)
	}
	if entries, bytes := ms.stats(); entries != 0 || bytes != 0 {
		t.Errorf("%d entries, %d bytes are left over", entries, bytes)
	}
}

func TestCoolDropsWhatNobodyUsedSince(t *testing.T) {
	ms := newMemos(1 << 20)
	var made [2]atomic.Int64
	hot, cold := adopted(ms, "hot"), adopted(ms, "cold")
	hot.Encoding("f", encoding(10, &made[0]))
	cold.Encoding("f", encoding(10, &made[1]))
	if freed, more := ms.cool(); freed != 0 || !more { // too young to be cold
		t.Fatalf("freed %d, more: %v", freed, more)
	}
	if entries, _ := ms.stats(); entries != 2 {
		t.Fatalf("%d entries are left of what is new", entries)
	}
	hot.Encoding("f", encoding(10, &made[0]))
	if freed, more := ms.cool(); freed != 10+memoOverhead || !more {
		t.Fatalf("freed %d, more: %v", freed, more)
	}
	if entries, bytes := ms.stats(); entries != 1 || bytes != 10+memoOverhead {
		t.Fatalf("%d entries and %d bytes are left", entries, bytes)
	}
	hot.Encoding("f", encoding(10, &made[0]))
	cold.Encoding("f", encoding(10, &made[1]))
	if made[0].Load() != 1 || made[1].Load() != 2 {
		t.Errorf("made %d times when hot, %d when cold", made[0].Load(), made[1].Load())
	}
	ms.cool()
	if freed, more := ms.cool(); freed != 2*(10+memoOverhead) || more {
		t.Fatalf("freed %d, more: %v", freed, more)
	}
	if entries, bytes := ms.stats(); entries != 0 || bytes != 0 {
		t.Errorf("%d entries and %d bytes are left", entries, bytes)
	}
}

func TestRememberedEncodingTakesWhatItNeeds(t *testing.T) {
	i := adopted(newMemos(1<<20), "a")
	b, _ := i.Encoding("f", func() ([]byte, error) { return make([]byte, 100, 4096), nil })
	if len(b) != 100 || cap(b) > 128 {
		t.Errorf("%d bytes take %d", len(b), cap(b))
	}
}

type big struct {
	name string
	rest [100]int
}

func TestObjectIsSharedWhileHeldAndOnlyThen(t *testing.T) {
	i := adopted(newMemos(1<<20), "a")
	decoded := 0
	decode := func() (any, error) {
		decoded++
		return &big{name: fmt.Sprint(decoded)}, nil
	}
	first, _ := i.Object(decode)
	runtime.GC()
	second, _ := i.Object(decode)
	if first != second || decoded != 1 || second.(*big).name != "1" {
		t.Fatalf("not shared: decoded %d times", decoded)
	}
	runtime.KeepAlive(first)
	first, second = nil, nil
	runtime.GC()
	runtime.GC()
	if third, _ := i.Object(decode); third.(*big).name != "2" {
		t.Error("the object was kept alive")
	}
}

func TestSharedHintIsTheObject(t *testing.T) {
	hint := &big{name: "writer's"}
	i := &Item{Key: "a"}
	i.Share(hint)
	newMemos(1 << 20).adopt(i)
	object, err := i.Object(func() (any, error) { return nil, errors.New("decoded") })
	if err != nil || object != any(hint) {
		t.Errorf("got %v, %v", object, err)
	}
	runtime.KeepAlive(hint)
}

func TestWhatIsNoPointerIsNotShared(t *testing.T) {
	i := adopted(newMemos(1<<20), "a")
	for range 2 {
		if object, err := i.Object(func() (any, error) { return "text", nil }); object != "text" || err != nil {
			t.Errorf("got %v, %v", object, err)
		}
	}
}
