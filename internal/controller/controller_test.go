package controller

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/informer"
)

type synced bool

func (s synced) Synced() bool                        { return bool(s) }
func (s synced) WaitSynced(ctx context.Context) bool { return bool(s) }

func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var seen []string
		begin := time.Now()
		times := map[string]int{}
		l := &Loop{
			Name:    "test",
			Workers: 1,
			Needs:   []informer.Syncer{synced(true)},
			Logger:  slog.New(slog.NewTextHandler(&log, nil)),
			Sync: func(_ context.Context, k Key) (time.Duration, error) {
				seen = append(seen, k.Name+"@"+time.Since(begin).String())
				times[k.Name]++
				if times[k.Name] > 1 {
					return 0, nil
				}
				switch k.Name {
				case "panics":
					panic("oh")
				case "fails":
					return 0, errors.New("no luck")
				case "conflicts":
					return 0, apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, "x", errors.New("modified"))
				case "again":
					return time.Minute, nil
				}
				return 0, nil
			},
		}
		for _, name := range []string{"panics", "fails", "conflicts", "again"} {
			l.Add(Key{Name: name})
		}
		l.AddAfter(Key{Name: "later"}, time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		if err := l.Run(ctx); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"panics@0s", "fails@0s", "conflicts@0s", "again@0s", "panics@5ms", "fails@5ms", "conflicts@5ms", "again@1m0s", "later@1h0m0s",
		}
		slices.Sort(seen)
		slices.Sort(want)
		if !slices.Equal(seen, want) {
			t.Errorf("got  %q\nwant %q", seen, want)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "panic=oh") ||
			!strings.Contains(log.String(), "controller=test key=/fails") {
			t.Errorf("logged:\n%s", log.String())
		}
	})
}

func TestLoopWaitsForItsNeeds(t *testing.T) {
	l := &Loop{Name: "test", Needs: []informer.Syncer{synced(false)}, Sync: func(context.Context, Key) (time.Duration, error) {
		t.Error("worked from a copy that is not complete")
		return 0, nil
	}}
	l.Add(Key{Name: "x"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = l.Run(ctx)
}

func TestEnqueue(t *testing.T) {
	controlledBy := func(name, apiVersion string) *corev1.Pod {
		yes := true
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pod", OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "v1", Kind: "ConfigMap", Name: "another"},
			{APIVersion: apiVersion, Kind: "ReplicaSet", Name: name, Controller: &yes},
		}}}
	}
	for name, c := range map[string]struct {
		do   func(l *Loop)
		want []string
	}{
		"own key":      {func(l *Loop) { Enqueue[corev1.Pod](l).Add(controlledBy("rs", "apps/v1"), true) }, []string{"ns/pod"}},
		"controller":   {func(l *Loop) { owners(l).Delete(controlledBy("rs", "apps/v1")) }, []string{"ns/rs"}},
		"any version":  {func(l *Loop) { owners(l).Add(controlledBy("rs", "apps/v1beta2"), false) }, []string{"ns/rs"}},
		"another":      {func(l *Loop) { owners(l).Add(controlledBy("rs", "example.org/v1"), false) }, nil},
		"none":         {func(l *Loop) { owners(l).Add(&corev1.Pod{}, false) }, nil},
		"hand over":    {func(l *Loop) { owners(l).Update(controlledBy("a", "apps/v1"), controlledBy("b", "apps/v1")) }, []string{"ns/a", "ns/b"}},
		"same and new": {func(l *Loop) { owners(l).Update(controlledBy("a", "apps/v1"), controlledBy("a", "apps/v1")) }, []string{"ns/a"}},
	} {
		l := &Loop{Name: name}
		c.do(l)
		l.keys().ShutDown()
		var got []string
		for {
			k, ok := l.keys().Get()
			if !ok {
				break
			}
			got = append(got, k.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func owners(l *Loop) informer.Handler[corev1.Pod] {
	return EnqueueOwner[corev1.Pod](l, client.ReplicaSets)
}
