package embedded

import "github.com/cockroachdb/pebble/v2/vfs"

const (
	// logSuffix ends the names of Pebble's log.
	logSuffix = ".log"
	// logStep is by how much a log's file grows at a time, in writes of logPage bytes. Linux may keep what one write brings
	// as one piece of its cache, all of which it counts as written again with each record in it.
	logStep = 256 << 10
	logPage = 4 << 10
)

// logFile is a file of Pebble's log, one for each memory table, and used again for a later one.
//
// Syncing what lies within a file is one write of the device; syncing what made it longer is another write or two of the
// file system's own log. So a new file grows ahead, by zeros, which are to Pebble's reader what no log was written to.
// A file that is used again has its blocks already.
type logFile struct {
	diskFile
	// end is how far the log goes, size how far the file does.
	end, size int64
}

func (d *disk) newLog(f vfs.File) (vfs.File, error) {
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	l := &logFile{diskFile: diskFile{File: f, disk: d, name: d.names.add()}, size: info.Size()}
	if l.name != nil {
		d.names.settling.Go(func() { _ = l.name.settle() }) // whoever syncs the file has what came of it
	}
	return l, nil
}

func (f *logFile) Write(p []byte) (int, error) {
	n, err := f.diskFile.Write(p)
	f.end += int64(n)
	if err == nil && f.end > f.size {
		err = f.grow()
	}
	return n, err
}

var noLog [logPage]byte

// grow writes zeros behind the log. Without room for them it does without.
func (f *logFile) grow() error {
	f.size = f.end + logStep
	return f.disk.attempt(func() error {
		for at := f.end; at < f.size; {
			page := min(logPage-at%logPage, f.size-at) // to the next boundary
			if _, err := f.File.WriteAt(noLog[:page], at); noRoom(err) {
				return nil
			} else if err != nil {
				return err
			}
			at += page
		}
		return nil
	})
}
