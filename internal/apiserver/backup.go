package apiserver

import (
	"context"
	"errors"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/store/backup"
)

// BackupPath is where the whole store can be read, every Secret with it.
const BackupPath = "/proa/v1/backup"

// backupHandler streams a snapshot. Beside whatever the authorizer says, only members of system:masters get
// it: a rule that allows all paths for reading must not give the keys of the cluster away.
func (s *Server) backupHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !slices.Contains(userOf(r.Context()).Groups, access.MastersGroup):
			s.writeError(w, r, apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("only members of system:masters can take a backup")))
			return
		case r.Method != http.MethodGet:
			s.writeError(w, r, noSuchMethod())
			return
		}
		snap, err := s.store.Snapshot(r.Context())
		if err != nil {
			s.writeError(w, r, err)
			return
		}
		defer snap.Close()
		// It takes as long as it takes: a client that has gone makes the next write fail.
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		defer cancel()
		defer context.AfterFunc(s.draining, cancel)()
		w.Header().Set("Content-Type", "application/vnd.proa.backup")
		if err := backup.Write(ctx, w, snap, s.version); err != nil {
			s.log.Warn("a backup was not finished", "err", err)
			panic(http.ErrAbortHandler) // the client must not take what it got for the whole
		}
	})
}
