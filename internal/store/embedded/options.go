// Package embedded is the default store engine: one directory on this machine, kept by Pebble.
//
// Start with keys.go for what is on disk, commit.go for how a write becomes durable and visible, view.go
// for what readers see, and stream.go for how events reach their readers.
package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Durability says what a successful Commit promises.
type Durability string

const (
	// Sync: the commit is on the device. It survives a power failure.
	Sync Durability = "sync"
	// Batch: the commit will be on the device within SyncInterval. A crash can lose the last of them,
	// never one from the middle.
	Batch Durability = "batch"
	// Memory: the commit is in this process. Unless Dir or FS is set, nothing is on disk at all.
	Memory Durability = "memory"
)

// Options say where the store is and how much it keeps. Only Dir is required, and not even that for
// Memory.
type Options struct {
	// Dir is the store's directory. It is made if its parent exists, and belongs to the store alone.
	Dir string
	// FS is the file system under Dir; nil is the machine's own, or a new one in memory for Memory
	// without Dir.
	FS vfs.FS
	// Durability of commits; empty is Sync.
	Durability Durability
	// SyncInterval is the longest that a commit stays off the device with Batch; 0 is 100 ms.
	SyncInterval time.Duration
	// WatchHistory is for how long past commits can be had from Events; 0 is 10 minutes.
	WatchHistory time.Duration
	// WatchHistoryBytes bounds the history's size; 0 is 128 MiB, or 16 MiB if it is in memory. History
	// may exceed it by an eighth before it is cut back.
	WatchHistoryBytes int64
	// TailBytes bounds the latest part of the history that is also kept in memory, for streams that
	// keep up; 0 is 4 MiB.
	TailBytes int64
	// MemTableBytes is how much Pebble gathers in memory, under load, before it writes a table; 0 is
	// 2 MiB. Up to eight times as much can be in memory in a burst, and three times at rest. A larger one means
	// dearer look-ups, for what the processor's cache holds is searched faster; a smaller one more tables to search.
	MemTableBytes int64
	// CacheBytes is the size of Pebble's block cache; 0 is 16 MiB. It fills with use. Reads of the product come from the
	// cache above the store, so it serves the look-ups of commits only. What the memory tables do not take is
	// the cache's too.
	CacheBytes int64
	// MinFreeBytes is how much room on the device commits leave for compactions and for recovery: with
	// less they fail with ErrNoSpace. 0 is 64 MiB, or a twentieth of a small device.
	MinFreeBytes int64
	// Logger is told what an operator should know; nil is nobody.
	Logger *slog.Logger

	// segmentBytes is the length at which a segment of the log is not gone on with; 0 is by the history's size. Tests
	// make it small.
	segmentBytes int64
}

// Validate says in a sentence what makes no sense.
func (o Options) Validate() error {
	switch o.Durability {
	case "", Sync, Batch, Memory:
	default:
		return fmt.Errorf("durability %q is not one of sync, batch, memory", o.Durability)
	}
	if o.Dir == "" && o.Durability != Memory {
		return errors.New("the store needs a directory")
	}
	if o.SyncInterval < 0 || o.WatchHistory < 0 {
		return errors.New("the store's intervals cannot be negative")
	}
	if o.WatchHistoryBytes < 0 || o.TailBytes < 0 || o.MemTableBytes < 0 || o.CacheBytes < 0 || o.MinFreeBytes < 0 {
		return errors.New("the store's sizes cannot be negative")
	}
	if o.MemTableBytes != 0 && o.MemTableBytes < 1<<20 || o.MemTableBytes > 1<<30 {
		return errors.New("the store's memory table is from 1 MiB to 1 GiB")
	}
	return nil
}

func (o Options) withDefaults() Options {
	setDefault(&o.Durability, Sync)
	inMemory := o.Durability == Memory && o.Dir == "" && o.FS == nil
	if inMemory {
		o.FS = vfs.NewMem()
	}
	setDefault(&o.Dir, "/store")
	if o.FS == nil {
		o.FS = machine()
	}
	if inMemory {
		setDefault(&o.WatchHistoryBytes, 16<<20)
	}
	setDefault(&o.SyncInterval, 100*time.Millisecond)
	setDefault(&o.WatchHistory, 10*time.Minute)
	setDefault(&o.WatchHistoryBytes, 128<<20)
	setDefault(&o.TailBytes, 4<<20)
	setDefault(&o.MemTableBytes, 2<<20)
	setDefault(&o.CacheBytes, 16<<20)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
