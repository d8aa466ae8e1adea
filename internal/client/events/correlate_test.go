package events

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	clock "k8s.io/utils/clock/testing"
)

// Random histories of occurrences are sorted by us and by client-go. Which of the messages of a full group
// keep their own series is chance there, so a full group gets new messages only.
func TestCorrelatorAgreesWithClientGo(t *testing.T) {
	for range 15 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		now := clock.NewFakeClock(time.Unix(1_700_000_000, 0))
		theirs, ours := record.NewEventCorrelator(now), newCorrelator()
		names := map[string]string{} // ours by theirs
		type groupKey struct{ object, reason int }
		full := map[groupKey]time.Time{}
		for n := range 600 {
			now.Step(time.Duration(random.IntN(20)) * time.Second)
			if random.IntN(60) == 0 {
				now.Step(time.Duration(random.IntN(900)) * time.Second)
			}
			k := groupKey{random.IntN(3), random.IntN(3)}
			message := fmt.Sprint("message ", random.IntN(15))
			if last, ok := full[k]; ok && now.Now().Sub(last) <= groupWindow {
				message = fmt.Sprint("new ", n)
			}
			about := corev1.ObjectReference{Kind: "Pod", Namespace: "ns", Name: fmt.Sprint("p", k.object), UID: types.UID(fmt.Sprint(k.object))}
			o := occurrence{about: about, kind: "Normal", reason: fmt.Sprint("Reason", k.reason), message: message}

			s, write := ours.add(o, "", now.Now())
			stamp := metav1.NewTime(now.Now())
			result, err := theirs.EventCorrelate(&corev1.Event{
				ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", about.Name, now.Now().UnixNano()), Namespace: "ns"},
				InvolvedObject: about, Type: o.kind, Reason: o.reason, Message: o.message, Count: 1,
				FirstTimestamp: stamp, LastTimestamp: stamp,
			})
			if err != nil {
				t.Fatal(err)
			}
			if s.message != message || !full[k].IsZero() {
				full[k] = now.Now()
			}
			if write == result.Skip {
				t.Fatalf("seed %d, %d: written %v, client-go %v", seed, n, write, !result.Skip)
			}
			if result.Skip {
				continue
			}
			e := result.Event
			if s.count != e.Count || s.message != e.Message || !s.first.Equal(e.FirstTimestamp.Time) {
				t.Fatalf("seed %d, %d: %d times %q since %v, client-go %d times %q since %v",
					seed, n, s.count, s.message, s.first, e.Count, e.Message, e.FirstTimestamp)
			}
			if name, ok := names[e.Name]; ok && name != s.name {
				t.Fatalf("seed %d, %d: in series %s, client-go %s", seed, n, s.name, e.Name)
			}
			names[e.Name] = s.name
		}
	}
}

func TestNames(t *testing.T) {
	now := time.Unix(0, 0x1234)
	if got := nameFor("a.b-c", now); got != "a.b-c.1234" {
		t.Errorf("got %q", got)
	}
	if got := nameFor("system:node", now); len(got) != 36 {
		t.Errorf("%q is no name of an event", got)
	}
}
