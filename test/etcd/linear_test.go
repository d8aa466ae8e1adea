package etcd

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/proa-dev/proa/internal/store"
)

// attempt is what a writer of a storm asked, and result what it was told.
type attempt struct {
	read   bool
	key    string
	value  string // of a commit
	expect store.Revision
}

// result is what was read, or what a conflict found; of a commit that succeeded it has the revision alone.
type result struct {
	conflict bool
	value    string
	revision store.Revision
}

// register is a key in the model: what was written last, and when.
type register struct {
	value    string
	revision store.Revision
}

func (r register) step(a attempt, told result) (bool, register) {
	same := r.value == told.value && r.revision == told.revision
	switch {
	case a.read:
		return same, r
	case told.conflict:
		return same && r.revision != a.expect, r
	}
	return r.revision == a.expect && told.revision > r.revision, register{a.value, told.revision}
}

var keysAlone = porcupine.Model{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			byKey[op.Input.(attempt).key] = append(byKey[op.Input.(attempt).key], op)
		}
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return register{} },
	Step: func(state, input, output any) (bool, any) {
		return state.(register).step(input.(attempt), output.(result))
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// record keeps what a writer was told.
func (m *storm) record(writer int, a attempt, told result, called time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.history = append(m.history, porcupine.Operation{
		ClientId: writer, Input: a, Output: told, Call: int64(called), Return: int64(time.Since(m.begin)),
	})
}

// pend keeps a commit of which the writer was not told whether it happened.
func (m *storm) pend(writer int, a attempt, called time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unknown = append(m.unknown, porcupine.Operation{ClientId: writer, Input: a, Call: int64(called), Return: math.MaxInt64})
}

// checkLinear looks for one order of all that the writers were told in which each answer is right. Events tell which
// of the unknown commits happened.
func (m *storm) checkLinear(events []store.Event) {
	revisions := map[string]store.Revision{}
	for _, e := range events {
		revisions[string(e.Value)] = e.Revision
	}
	history, happened := m.history, 0
	for i, op := range m.unknown {
		if revision := revisions[op.Input.(attempt).value]; revision > 0 {
			// To the checker a client does one thing at a time.
			op.ClientId, op.Output = stormWriters+i, result{revision: revision}
			history = append(history, op)
			happened++
		}
	}
	m.t.Logf("%d answers; %d unknown, of which %d happened", len(m.history), len(m.unknown), happened)
	switch porcupine.CheckOperationsTimeout(keysAlone, history, patience) {
	case porcupine.Illegal:
		m.t.Error("the history is not linearizable")
	case porcupine.Unknown:
		m.t.Log("the check did not finish in time")
	}
}

// The model knows a stale read, a commit upon what was not there, and a conflict where there was none.
func TestTheModelRefuses(t *testing.T) {
	t.Parallel()
	write := func(expect, at store.Revision) (attempt, result) {
		return attempt{key: "k", value: fmt.Sprint(at), expect: expect}, result{revision: at}
	}
	for name, last := range map[string]func() (attempt, result){
		"a stale read":              func() (attempt, result) { return attempt{read: true, key: "k"}, result{value: "5", revision: 5} },
		"a commit upon the past":    func() (attempt, result) { return write(5, 9) },
		"a revision that goes back": func() (attempt, result) { return write(7, 6) },
		"a conflict without cause": func() (attempt, result) {
			return attempt{key: "k", value: "9", expect: 7}, result{conflict: true, value: "7", revision: 7}
		},
	} {
		var history []porcupine.Operation
		for i, op := range []func() (attempt, result){
			func() (attempt, result) { return write(0, 5) }, func() (attempt, result) { return write(5, 7) }, last,
		} {
			a, told := op()
			history = append(history, porcupine.Operation{Input: a, Output: told, Call: int64(2 * i), Return: int64(2*i + 1)})
		}
		if porcupine.CheckOperations(keysAlone, history) || !porcupine.CheckOperations(keysAlone, history[:2]) {
			t.Errorf("%s is not told from what is right", name)
		}
	}
}
