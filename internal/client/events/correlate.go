package events

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/utils/lru"
)

// The numbers are those of Kubernetes' own components.
const (
	remembered   = 4096 // of each: series, groups, buckets
	groupFrom    = 10   // different messages in a group, from which on they are one event
	groupWindow  = 600 * time.Second
	bucketBurst  = 25 // events about an object, then
	bucketRefill = 300 * time.Second
	combined     = "(combined from similar events): "
)

// occurrence is what a component reports.
type occurrence struct {
	about                 corev1.ObjectReference // without resourceVersion
	kind, reason, message string
}

// series is one Event object: an occurrence and its repetitions. The recorder's lock guards it, but for
// created, which is its writer's.
type series struct {
	occurrence
	name            string
	resourceVersion string // of the object when the first happened
	first, last     time.Time
	count           int32

	created, queued bool
}

// correlator sorts occurrences into series. Events that are the same are one series; of those that differ in
// their message only, the tenth and all that follow within ten minutes are one too; and an object about
// which there is too much to say is silenced.
type correlator struct {
	series  *lru.Cache // by occurrence, without a message for groups
	groups  *lru.Cache // by occurrence without field path and message
	buckets *lru.Cache // by occurrence without field path, reason and message: the time.Time when it is full again
}

type group struct {
	messages map[string]struct{} // of the series that came before the group
	last     time.Time
}

func newCorrelator() correlator {
	return correlator{series: lru.New(remembered), groups: lru.New(remembered), buckets: lru.New(remembered)}
}

// add counts an occurrence in its series, and tells whether that shall be written.
func (c *correlator) add(o occurrence, resourceVersion string, now time.Time) (s *series, write bool) {
	key := o
	if c.grouped(o, now) {
		o.message = combined + o.message
		key.message, key.about.FieldPath = "", ""
	}
	if found, ok := c.series.Get(key); ok {
		s = found.(*series)
		s.message = o.message
	} else {
		s = &series{occurrence: o, name: nameFor(o.about.Name, now), resourceVersion: resourceVersion, first: now}
		c.series.Add(key, s)
	}
	s.count++
	s.last = now
	return s, c.allowed(o, now)
}

func (c *correlator) grouped(o occurrence, now time.Time) bool {
	key := o
	key.message, key.about.FieldPath = "", ""
	g := &group{}
	if found, ok := c.groups.Get(key); ok {
		g = found.(*group)
	}
	if g.messages == nil || now.Sub(g.last) > groupWindow {
		g.messages = map[string]struct{}{}
	}
	g.last = now
	c.groups.Add(key, g)
	if _, known := g.messages[o.message]; known {
		return false
	}
	if len(g.messages) == groupFrom-1 {
		return true
	}
	g.messages[o.message] = struct{}{}
	return false
}

func (c *correlator) allowed(o occurrence, now time.Time) bool {
	key := o
	key.reason, key.message, key.about.FieldPath = "", "", ""
	full := now
	if found, ok := c.buckets.Get(key); ok {
		full = later(now, found.(time.Time))
	}
	if full.Sub(now) > (bucketBurst-1)*bucketRefill {
		return false
	}
	c.buckets.Add(key, full.Add(bucketRefill))
	return true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// nameFor is the name of an event about an object with a name that may not do for an event.
func nameFor(name string, now time.Time) string {
	n := fmt.Sprintf("%s.%x", name, now.UnixNano())
	if len(validation.NameIsDNSSubdomain(n, false)) > 0 {
		return uuid.NewString()
	}
	return n
}
