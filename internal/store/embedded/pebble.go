package embedded

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// pebbleOptions are Pebble's settings, each for a reason of ours.
func (e *Engine) pebbleOptions(memory *memory) *pebble.Options {
	o := &pebble.Options{
		FS:   e.disk,
		Lock: e.lock,
		// Named, so that a new Pebble does not change the format under an old directory unasked.
		FormatMajorVersion: pebble.FormatValueSeparation,
		// What it has not in its tables when the process ends is in our log.
		DisableWAL: true,
		Cache:      memory.cache,
		// Memtables begin at 256 KiB and double up to this with load, so an idle store has a small one.
		MemTableSize: uint64(e.opts.MemTableBytes),
		// Room for a burst while one memtable is flushed.
		MemTableStopWritesThreshold: memTables,
		// Commits look up one key each through Bloom filters, and all other reads are in the cache above:
		// many L0 tables cost little here, a stall of writes would cost much. Memtables are small, and with fewer
		// tables to a compaction more would be rewritten.
		L0CompactionThreshold: 16,
		L0StopWritesThreshold: 100,
		// A store of the usual size fits in a few hundred tables.
		MaxOpenFiles: 500,
		// The manifest is read at every start; beginning a new one is cheap.
		MaxManifestFileSize: 8 << 20,
		// One compaction beside the flush: the machine is there for the API server.
		CompactionConcurrencyRange: func() (lower, upper int) { return 1, 1 },
		Logger:                     pebbleLogger{e.opts.Logger, e.disk, e.failure},
		EventListener:              e.listener(memory),
	}
	// The default scheduler looks for work ten times a second for ever. With a constant number of
	// compactions there is nothing to find but at the end of another one, which this one acts on too.
	o.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	// Reads do not start compactions: they are rare, and an idle store must be idle.
	o.Experimental.ReadSamplingMultiplier = -1
	// One shard: little goes through Pebble concurrently, and each shard has a goroutine and a table.
	o.Experimental.FileCacheShards = 1
	for i := range o.Levels {
		// Creates look for keys that are not there; with a filter they find out without reading.
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		// Some fifty keys: large enough that where the blocks of a million keys are stays in the cache, small enough that an
		// update does not unpack too much to find one, nor a read take long to find that a block is damaged.
		o.Levels[i].BlockSize = 4 << 10
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.FastestCompression }
	}
	return o
}

// listener tells the log what an operator should know.
func (e *Engine) listener(memory *memory) *pebble.EventListener {
	log := e.opts.Logger
	return &pebble.EventListener{
		FlushBegin:      func(pebble.FlushInfo) { memory.rotated() },
		BackgroundError: func(err error) { log.Error("background work of the store failed", "err", err) },
		// Damage is reported by the read that meets it; it does not end the process, Pebble's default.
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			log.Error("a file of the store is damaged", "file", info.Path, "err", info.Details)
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			log.Warn("writes to the store wait for flushes or compactions", "reason", info.Reason)
		},
	}
}

// pebbleLogger passes Pebble's words on. Pebble calls Fatalf where it would end the process. While the
// store is being opened that is a failed write, and opening fails. Afterwards it learns of no failed
// writes (see disk.go), so that only a defect is left.
type pebbleLogger struct {
	log     *slog.Logger
	disk    *disk
	failure *failure
}

func (l pebbleLogger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

func (l pebbleLogger) Errorf(format string, args ...any) { l.log.Error(fmt.Sprintf(format, args...)) }

func (l pebbleLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if l.disk.armed.Load() {
		panic(err)
	}
	l.failure.set(err)
}
