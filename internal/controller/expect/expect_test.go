package expect

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/proa-dev/proa/internal/controller"
)

func TestExpectations(t *testing.T) {
	k := controller.Key{Namespace: "ns", Name: "rs"}
	for name, c := range map[string]struct {
		do   func(e *Expectations)
		want bool
	}{
		"nothing expected": {func(e *Expectations) {}, true},
		"creations":        {func(e *Expectations) { e.ExpectCreations(k, 2); e.CreationObserved(k) }, false},
		"creations seen":   {func(e *Expectations) { e.ExpectCreations(k, 2); e.CreationObserved(k); e.CreationObserved(k) }, true},
		"deletions":        {func(e *Expectations) { e.ExpectDeletions(k, "a", "b"); e.DeletionObserved(k, "a") }, false},
		"deletion seen more": {func(e *Expectations) {
			e.ExpectDeletions(k, "a", "b")
			e.DeletionObserved(k, "a")
			e.DeletionObserved(k, "a")
		}, false},
		"another's deletion": {func(e *Expectations) { e.ExpectDeletions(k, "a"); e.DeletionObserved(k, "c") }, false},
		"deletions seen": {func(e *Expectations) {
			e.ExpectDeletions(k, "a", "b")
			e.DeletionObserved(k, "b")
			e.DeletionObserved(k, "a")
		}, true},
		"both":             {func(e *Expectations) { e.ExpectCreations(k, 1); e.ExpectDeletions(k, "a"); e.CreationObserved(k) }, false},
		"seen too early":   {func(e *Expectations) { e.CreationObserved(k); e.ExpectCreations(k, 1) }, false},
		"nearly timed out": {func(e *Expectations) { e.ExpectCreations(k, 1); time.Sleep(Timeout) }, false},
		"timed out":        {func(e *Expectations) { e.ExpectCreations(k, 1); time.Sleep(Timeout + 1) }, true},
		"after a timeout": {func(e *Expectations) {
			e.ExpectCreations(k, 5)
			time.Sleep(Timeout + 1)
			e.ExpectCreations(k, 1)
			e.CreationObserved(k)
		}, true},
		"forgotten": {func(e *Expectations) { e.ExpectCreations(k, 1); e.Forget(k) }, true},
		"another":   {func(e *Expectations) { e.ExpectCreations(controller.Key{Name: "other"}, 1) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var e Expectations
				c.do(&e)
				if got := e.Satisfied(k); got != c.want {
					t.Errorf("satisfied %v, want %v", got, c.want)
				}
			})
		})
	}
}
