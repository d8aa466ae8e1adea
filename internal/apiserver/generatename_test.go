package apiserver

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/proa-dev/proa/internal/access/admission"
	"github.com/proa-dev/proa/internal/store"
)

// clashing is a store in which the next names are taken.
type clashing struct {
	store.Store
	left *atomic.Int32
}

func (s clashing) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if len(ops) == 1 && ops[0].Expect == store.MustNotExist && s.left.Add(-1) >= 0 {
		return 0, &store.ConflictError{Key: ops[0].Key, Actual: store.KV{Key: ops[0].Key, Value: ops[0].Value, Revision: 1}}
	}
	return s.Store.Commit(ctx, ops...)
}

func TestGenerateNameTriesAgain(t *testing.T) {
	var left atomic.Int32
	named := ""
	w := newWorld(t, func(s *setting) {
		s.wrap = func(st store.Store) store.Store { return clashing{st, &left} }
	}, withHook(func(_ context.Context, r *admission.Request) error {
		named += r.Name
		return nil
	}))
	for _, c := range []struct {
		taken int32
		code  int
	}{{0, http.StatusCreated}, {1, http.StatusCreated}, {7, http.StatusCreated}, {8, http.StatusConflict}} {
		left.Store(c.taken)
		r := w.do("POST", configMaps, `{"metadata":{"generateName":"`+strings.Repeat("a", 70)+`-"}}`)
		if r.code != c.code {
			t.Errorf("%d names taken: %d %s", c.taken, r.code, r.body)
		}
		name, _ := r.at(t, ".metadata.name").(string)
		if c.code == http.StatusCreated && len(name) != maxGenerateNamePrefix+generatedSuffix {
			t.Errorf("the name is %q", name)
		}
		if c.code == http.StatusConflict && (r.at(t, ".reason") != "AlreadyExists" || r.header.Get("Retry-After") != "1") {
			t.Errorf("%v %s", r.header, r.body)
		}
	}
	if named != "" {
		t.Errorf("mutating admission saw the name %q, which is still to be made", named)
	}
}
