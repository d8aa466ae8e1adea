package clienttest

import (
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/client"
)

// Events remembers what was reported. The zero value is ready.
type Events struct {
	mu  sync.Mutex
	all []string
}

// Event reports that something happened to an object.
func (e *Events) Event(o client.Object, eventType, reason, message string) {
	e.EventFor(client.ReferenceTo(o), eventType, reason, message)
}

// Eventf is Event with a formatted message.
func (e *Events) Eventf(o client.Object, eventType, reason, format string, args ...any) {
	e.Event(o, eventType, reason, fmt.Sprintf(format, args...))
}

// EventFor is Event for an object that is known by a reference.
func (e *Events) EventFor(about corev1.ObjectReference, eventType, reason, message string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, fmt.Sprintf("%s %s %s: %s", about.Name, eventType, reason, message))
}

// Take is what was reported since the last call, like "web Normal Killing: message".
func (e *Events) Take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.all
	e.all = nil
	return all
}
