package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/proa-dev/proa/internal/store"
)

// Commit is one transaction. Its comparisons are the preconditions; if one fails, the same transaction
// reads the keys, so that the conflict says what stood there at that moment.
func (e *Engine) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := e.begin(); err != nil {
		return 0, err
	}
	defer e.calls.Done()
	t, err := e.transaction(ops)
	if err != nil {
		return 0, err
	}
	e.hints.add(t, ops)
	for again := false; ; again = true {
		leases, err := e.grant(ctx, ops, again)
		if err != nil {
			return 0, err
		}
		rev, err := e.try(ctx, t, ops, leases)
		// The lease that was to be shared ended a moment ago.
		if errors.Is(err, rpctypes.ErrLeaseNotFound) && !again {
			continue
		}
		return rev, err
	}
}

// transaction is what a commit's ops are in etcd, but for leases.
type transaction struct {
	keys []string // of the ops
	ifs  []clientv3.Cmp
	read []clientv3.Op // the keys of the ops that can fail
	of   []int         // which ops those are
}

func (e *Engine) transaction(ops []store.Op) (*transaction, error) {
	if err := store.Validate(ops); err != nil {
		return nil, err
	}
	t := &transaction{keys: make([]string, len(ops))}
	for i, op := range ops {
		key, err := e.layout.toEtcd(op.Key)
		if err != nil {
			return nil, err
		}
		t.keys[i] = key
		t.compare(i, op, key)
	}
	return t, nil
}

func (t *transaction) compare(i int, op store.Op, key string) {
	before := len(t.ifs)
	if op.Expect != store.AnyRevision {
		t.ifs = append(t.ifs, clientv3.Compare(clientv3.ModRevision(key), "=", op.Expect))
	}
	if op.Value == nil && !op.Check {
		t.ifs = append(t.ifs, clientv3.Compare(clientv3.ModRevision(key), ">", 0))
	}
	if len(t.ifs) > before {
		t.read = append(t.read, clientv3.OpGet(key))
		t.of = append(t.of, i)
	}
}

// writes are the operations, with the lease of each.
func (t *transaction) writes(ops []store.Op, leases []clientv3.LeaseID) []clientv3.Op {
	writes := make([]clientv3.Op, 0, len(ops))
	for i, op := range ops {
		switch {
		case op.Check:
		case op.Value == nil:
			writes = append(writes, clientv3.OpDelete(t.keys[i]))
		case leases != nil && leases[i] != clientv3.NoLease:
			writes = append(writes, clientv3.OpPut(t.keys[i], string(op.Value), clientv3.WithLease(leases[i])))
		default:
			writes = append(writes, clientv3.OpPut(t.keys[i], string(op.Value)))
		}
	}
	return writes
}

func (e *Engine) try(ctx context.Context, t *transaction, ops []store.Op, leases []clientv3.LeaseID) (store.Revision, error) {
	var answer *clientv3.TxnResponse
	var failed error
	before := e.seen.Load()
	err := e.request(ctx, func(ctx context.Context) error {
		answer, failed = e.client.Txn(ctx).If(t.ifs...).Then(t.writes(ops, leases)...).Else(t.read...).Commit()
		return failed
	})
	switch {
	case err == nil && answer.Succeeded:
		raise(&e.seen, answer.Header.Revision)
		return answer.Header.Revision, nil
	case err == nil:
		return 0, e.conflict(t, ops, answer)
	case errors.Is(failed, rpctypes.ErrNoSpace):
		return e.settle(ctx, ops, before, explain(failed))
	case refused(failed):
		return 0, err
	case ctx.Err() != nil:
		return 0, err
	}
	return 0, fmt.Errorf("%w: %w", store.ErrUncertain, err)
}

// conflict finds the op whose precondition does not hold in what the transaction read.
func (e *Engine) conflict(t *transaction, ops []store.Op, answer *clientv3.TxnResponse) error {
	for n, i := range t.of {
		op := ops[i]
		actual := store.KV{Key: op.Key}
		if kvs := answer.Responses[n].GetResponseRange().Kvs; len(kvs) > 0 {
			actual.Value, actual.Revision = present(kvs[0].Value), kvs[0].ModRevision
		}
		if !op.Holds(actual.Revision) {
			return &store.ConflictError{Key: op.Key, Expect: op.Expect, Actual: actual}
		}
	}
	panic("etcd: a transaction failed although every comparison holds in what it read")
}

// present makes an empty value one that is not nil: on the wire there is no difference.
func present(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}
