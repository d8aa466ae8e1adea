// Package container is what a node agent asks of whatever runs its containers. The shape is that of the
// Container Runtime Interface: a pod has a sandbox, which holds its addresses, and containers in it, each of
// which may be started several times, one attempt after the other.
//
// The agent is level-based, and so is this interface. Start and Stop only begin something and return at
// once; what has become of it is seen by Pod, and a runtime says that there is something to see by calling
// the Changed function that it was made with. Streams into containers (logs, exec, attach, port forwarding)
// are no business of the agent's loop: whoever serves them asks the runtime for an interface of their own.
package container

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Runtime runs the containers of one node's pods. Calls for different pods may come at the same time, those
// for one pod do not.
type Runtime interface {
	// Version is what the node says of the runtime.
	Version() Version
	// Pod is what there is of a pod, the zero value if there is nothing. What a runtime did before the agent
	// was restarted is there still.
	Pod(ctx context.Context, p *corev1.Pod) (Pod, error)
	// CreateSandbox gives a pod that has none a sandbox with addresses. It is not called again if it
	// returned without error.
	CreateSandbox(ctx context.Context, p *corev1.Pod) error
	// Start begins a container of a pod that has a sandbox: the attempt is 0 for the first time, and one
	// more than that of the container's last attempt, which has ended, for each further time. An error
	// means that nothing was begun; what fails later (an image that cannot be pulled) is the Reason and
	// Message of a container that is Starting.
	Start(ctx context.Context, p *corev1.Pod, name string, attempt int32) error
	// Stop begins to end a container: it is asked to, and forced to when the grace is over. Of several
	// calls the one that ends earliest counts. A container that does not run is left alone.
	Stop(ctx context.Context, p *corev1.Pod, name string, grace time.Duration) error
	// Remove drops what is left of a pod, and gives its addresses back. What still runs is ended at once.
	Remove(ctx context.Context, uid types.UID) error
}

// Changed is told that the containers of a pod have changed, by themselves or after Start or Stop. It
// returns at once.
type Changed func(pod types.NamespacedName)

// Version names a runtime, as "containerd" "2.1.0".
type Version struct{ Name, Version string }

// Pod is the state of a pod at one time.
type Pod struct {
	Sandbox    *Sandbox // nil if there is none
	Containers []Status // the latest attempt of each container that was ever started, of all sorts
}

// Sandbox is what the containers of a pod share.
type Sandbox struct {
	ID string
	// IPs are the pod's addresses, of each family at most one; none for a pod on the host's network.
	IPs []string
}

// Container finds the latest attempt of a container, nil if it was never started.
func (p *Pod) Container(name string) *Status {
	for i := range p.Containers {
		if p.Containers[i].Name == name {
			return &p.Containers[i]
		}
	}
	return nil
}

// State says where a container is in its life.
type State int

// A container goes through these in order.
const (
	Starting State = iota
	Running
	Exited
)

// Status is the latest attempt to run a container.
type Status struct {
	Name    string
	ID      string // as the API shows it: type://id
	Image   string
	ImageID string
	Attempt int32

	State           State
	Reason, Message string    // why it is still Starting, if there is more to say than that
	StartedAt       time.Time // zero while Starting
	StopBy          time.Time // when it will be forced to end; zero if it was not told to stop
	Exit            *Exit     // of this attempt, once Exited
	Last            *Exit     // of the attempt before, if that is known
}

// Active tells whether something runs or is about to.
func (s *Status) Active() bool { return s != nil && s.State != Exited }

// Exit is how an attempt ended.
type Exit struct {
	ID                    string
	Code                  int32
	Reason, Message       string
	StartedAt, FinishedAt time.Time
}
