package cache

import (
	"errors"
	"log/slog"
	"time"

	"github.com/proa-dev/proa/internal/store"
)

// Options bound what the cache keeps beyond the present state. The zero value is usable.
type Options struct {
	// WindowEvents, WindowBytes and WindowAge bound each table's past, whichever is met first; 0 is
	// the default. A watcher further behind must list again. Age counts when the next event comes: an
	// idle table keeps its past.
	WindowEvents int
	WindowBytes  int64
	WindowAge    time.Duration
	// EncodingBytes bounds what all items together remember of derived encodings; 0 is the default.
	EncodingBytes int64
	// Logger gets what goes wrong; nil is slog's default.
	Logger *slog.Logger
}

// Defaults of Options.
const (
	DefaultWindowEvents  = 100_000
	DefaultWindowBytes   = 64 << 20
	DefaultWindowAge     = 10 * time.Minute
	DefaultEncodingBytes = 64 << 20
)

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	if o.WindowEvents < 0 || o.WindowBytes < 0 || o.WindowAge < 0 || o.EncodingBytes < 0 {
		return errors.New("the cache's limits must not be negative")
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.WindowEvents == 0 {
		o.WindowEvents = DefaultWindowEvents
	}
	if o.WindowBytes == 0 {
		o.WindowBytes = DefaultWindowBytes
	}
	if o.WindowAge == 0 {
		o.WindowAge = DefaultWindowAge
	}
	if o.EncodingBytes == 0 {
		o.EncodingBytes = DefaultEncodingBytes
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Stats is what the cache can tell about itself.
type Stats struct {
	// Revision is what the whole cache has reached.
	Revision store.Revision
	// Reconnects counts streams that broke, Reloads those that could not be resumed.
	Reconnects, Reloads uint64
	// Remembering is the number of items that remember something, EncodingBytes what that takes.
	Remembering   int
	EncodingBytes int64
	Tables        []TableStats
}

// TableStats is one table's part.
type TableStats struct {
	Resource string
	Items    int
	// Bytes is the sum of the items' values.
	Bytes int64
	// Events counts all changes since the start, Damaged the values that could not be described.
	Events, Damaged uint64
	WindowEvents    int
	WindowBytes     int64
	// Oldest is the lowest revision that a watch can begin after.
	Oldest   store.Revision
	Watchers int
	// Expired counts the watchers that fell out of the window.
	Expired uint64
}
