package etcd

import (
	"fmt"
	"strings"

	"github.com/proa-dev/proa/internal/store"
)

// layout is where the store's keys are in etcd: strip, in front of them, becomes root. Both end with a
// slash, or are empty in the case of strip, so the order of keys stays what it was.
type layout struct{ root, strip string }

func newLayout(prefix, strip string) layout {
	l := layout{root: strings.TrimRight(prefix, "/") + "/"}
	if strip != "" {
		l.strip = strings.TrimRight(strip, "/") + "/"
	}
	return l
}

// all is the range of etcd's keys that are the store's.
func (l layout) all() (start, end string) { return l.root, store.Prefix(l.root).End }

func (l layout) toEtcd(key string) (string, error) {
	rest, ok := strings.CutPrefix(key, l.strip)
	if !ok || rest == "" {
		return "", fmt.Errorf("key %q does not begin with %q", key, l.strip)
	}
	return l.root + rest, nil
}

func (l layout) fromEtcd(key []byte) string { return l.strip + string(key[len(l.root):]) }

// interval is the part of a range where the store has keys; it may be empty, with start not below end.
func (l layout) interval(r store.Range) (start, end string) {
	start, end = l.all()
	last := store.Prefix(l.strip).End // "" if strip is
	if r.Start > l.strip {
		rest, ok := strings.CutPrefix(r.Start, l.strip)
		if !ok {
			return end, end // beyond all keys
		}
		start = l.root + rest
	}
	if r.End == "" || last != "" && r.End >= last {
		return start, end
	}
	rest, ok := strings.CutPrefix(r.End, l.strip)
	if !ok {
		return start, start // it ends before the first key
	}
	return start, l.root + rest
}
