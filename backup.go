package proa

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/proa-dev/proa/internal/apiserver"
	"github.com/proa-dev/proa/internal/store"
	"github.com/proa-dev/proa/internal/store/backup"
	"github.com/proa-dev/proa/internal/store/embedded"
)

// BackupPath is where a server gives a backup to members of system:masters.
const BackupPath = apiserver.BackupPath

// Backup is what a backup says of itself.
type Backup struct {
	Revision int64
	Time     time.Time
	Server   string
	Keys     int
	Bytes    int64
}

// VerifyBackup reads a whole backup and finds it in order.
func VerifyBackup(file io.Reader) (Backup, error) { return summary(backup.Verify(file)) }

func summary(r *backup.Reader, err error) (Backup, error) {
	if err != nil {
		return Backup{}, err
	}
	h := r.Header
	return Backup{Revision: h.Revision, Time: h.Time, Server: h.Server, Keys: r.Keys, Bytes: r.Bytes}, nil
}

// RestoreOptions say how a backup is restored.
type RestoreOptions struct {
	// Ahead is how many revisions the lost server may have made after the backup; 0 is a million.
	Ahead int64
	// Progress is told what is being done, and how much of it; nil is nobody.
	Progress func(what string, done, all int64)
}

// eventTTL is how long Events live on after a restore: as long as new ones.
const eventTTL = time.Hour

// Restore writes a backup into the store that c names, which must be empty and not in use by a server.
func Restore(ctx context.Context, c Config, file io.ReadSeeker, o RestoreOptions) (Backup, error) {
	if err := c.Validate(); err != nil {
		return Backup{}, err
	}
	if c.InMemory {
		return Backup{}, errors.New("a backup restored into memory would be lost at once")
	}
	c = c.withDefaults()
	c.Durability = string(embedded.Batch) // closing it makes it durable
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return Backup{}, fmt.Errorf("data directory: %w", err)
	}
	p := &plane{config: c, log: c.Logger}
	if err := p.openStore(ctx); err != nil {
		return Backup{}, err
	}
	found, err := summary(backup.Restore(ctx, p.store, file, backup.Options{Ahead: o.Ahead, Progress: o.Progress, TTL: restoredTTL}))
	return found, errors.Join(err, p.store.Close())
}

func restoredTTL(key string) time.Duration {
	if strings.HasPrefix(key, "/registry/events/") || strings.HasPrefix(key, "/registry/events.k8s.io/") {
		return eventTTL
	}
	return 0
}

// whole refuses a store into which a backup was restored in part.
func whole(ctx context.Context, s store.Store) error {
	_, err := s.Get(ctx, backup.Marker)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil {
		return errors.New("the restore of a backup into this store was not finished: empty the store, and restore again")
	}
	return err
}
