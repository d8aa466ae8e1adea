package endpointslice

import (
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/proa-dev/proa/internal/controller"
)

// written remembers what was written for each Service and not yet seen in the informer. Slices have names that
// the server makes up, so whoever does not know of those it has made makes them twice. The zero value is ready.
type written struct {
	mu     sync.Mutex
	slices map[controller.Key]map[types.UID]mark // guarded by mu
}

type mark struct {
	version string // that was written; empty if it was deleted
	at      time.Time
}

// patience is how long a write is waited for. What was not seen by then was overtaken by another's deletion.
const patience = 30 * time.Second

func (w *written) note(k controller.Key, uid types.UID, version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.slices == nil {
		w.slices = map[controller.Key]map[types.UID]mark{}
	}
	if w.slices[k] == nil {
		w.slices[k] = map[types.UID]mark{}
	}
	w.slices[k][uid] = mark{version: version, at: time.Now()}
}

// allSeen tells whether the slices of a Service are as new as what was written.
func (w *written) allSeen(k controller.Key, present []*discoveryv1.EndpointSlice) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	there := make(map[types.UID]string, len(present))
	for _, s := range present {
		there[s.UID] = s.ResourceVersion
		if s.DeletionTimestamp != nil {
			delete(w.slices[k], s.UID)
		}
	}
	for uid, m := range w.slices[k] {
		if m.seenIn(there[uid]) || time.Since(m.at) > patience {
			delete(w.slices[k], uid)
		}
	}
	if len(w.slices[k]) > 0 {
		return false
	}
	delete(w.slices, k)
	return true
}

// seenIn tells whether the version in the informer, empty if there is none, is no older than the write.
func (m mark) seenIn(version string) bool {
	if m.version == "" || version == "" {
		return m.version == version
	}
	c, err := resourceversion.CompareResourceVersion(version, m.version)
	return err != nil || c >= 0
}

func (w *written) forget(k controller.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.slices, k)
}
