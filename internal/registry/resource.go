// Package registry says what resources are: one value of Resource for each, in one file of its group's
// folder, from which everything generic derives: routes, discovery, codecs, defaulting, validation,
// tables, selectors, status isolation, generation, ownership.
//
// Handlers work on Type, the same thing without the type parameter. Custom resources are Types that are
// built at run time from their definition; a handler never asks which of the two it serves.
package registry

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/registry/field"
)

// Object is what is stored and served: a pointer to a k8s.io/api type, or an unstructured object.
type Object interface {
	runtime.Object
	metav1.Object
}

// Resource defines a resource whose hub is the API type T: the fullest version of its kind, which all
// others convert to and from. T is a struct of k8s.io/api with TypeMeta and ObjectMeta.
type Resource[T any] struct {
	// Group of the API, "" for core.
	Group string
	// Kind of the object: "CronJob".
	Kind string
	// Name is the resource's plural in URLs: "cronjobs".
	Name string
	// Singular is the lower-case kind unless said otherwise.
	Singular string
	// Short names that kubectl accepts.
	Short []string
	// Categories the resource is in, such as "all".
	Categories []string
	Namespaced bool
	// StoredAs is the path below /registry/ where objects lie, Name unless said otherwise
	// ("services/specs").
	StoredAs string
	// Versions that are served, the preferred first. One is the hub.
	Versions []Version[T]
	// StoredIn names the version whose encoding is stored; the hub unless said otherwise.
	StoredIn schema.GroupVersion
	// Verbs that the resource has; nil is all of them.
	Verbs []string
	// Computed objects are not stored: the API layer makes them when somebody asks.
	Computed bool

	// Default fills the zero fields of the hub. It runs on every decoded object, request and stored, and
	// must be idempotent.
	Default func(*T)
	// DefaultLabels says that Default may set labels, so that those of a stored value are not all.
	DefaultLabels bool
	// PrepareCreate clears what a creator may not set, beyond status, and fills what the server sets.
	PrepareCreate func(*T)
	// PrepareUpdate does the same on update. Status has been carried over from old already.
	PrepareUpdate func(new, old *T)
	// Validate checks the whole object, on create and on update. Metadata is checked for all kinds
	// alike, with ValidateName for the name.
	Validate func(*T) field.ErrorList
	// ValidateCreate checks what holds for new objects only: rules that older objects may break, and
	// fields that are immutable afterwards. It runs beside Validate.
	ValidateCreate func(*T) field.ErrorList
	// ValidateUpdate checks what may not change. It runs beside Validate.
	ValidateUpdate func(new, old *T) field.ErrorList
	// ValidateName checks metadata.name; nil is a DNS subdomain. It is the shape of apimachinery's
	// validation functions; prefix means that the name is a generateName.
	ValidateName func(name string, prefix bool) []string
	// Warn returns texts for Warning headers; old is nil on create.
	Warn func(new, old *T) []string
	// Begin reserves what the object needs beyond itself, such as addresses; old is nil on create, new is nil
	// on delete. It may fill fields of new, so it runs after the Prepare hooks and before Validate. What it
	// reserves becomes the object's by the claim's Commit, which a dry run leaves out.
	Begin func(ctx context.Context, new, old *T) (Claim, error)

	// Status returns the pointer to the object's status; nil means no status subresource.
	Status func(*T) any
	// StatusOnCreate keeps the status that a creator gives (nodes); otherwise create clears it.
	StatusOnCreate bool
	// PrepareStatus adjusts an object written through the status subresource; only its status, labels
	// and annotations and what else metadata allows differ from old.
	PrepareStatus func(new, old *T)
	// ValidateStatus checks a write through the status subresource. It runs in place of Validate and
	// ValidateUpdate.
	ValidateStatus func(new, old *T) field.ErrorList
	// Spec returns what the generation counts changes of; nil means that the kind has no generation.
	Spec func(*T) any
	// Scale is the scale subresource, nil where there is none.
	Scale *Scale[T]
	// Views are further subresources that show and change a part of the object.
	Views []View[T]
	// Actions are subresources that are posted to or connected with; the API layer carries them out.
	Actions []Action

	// Columns of the table beside Name, in kubectl's order. Name is the first, unless there is one here.
	Columns []Column[T]
	// Fields that field selectors may name, beside metadata.name and metadata.namespace.
	Fields []Field[T]

	// CreateOnUpdate lets PUT create.
	CreateOnUpdate bool
	// RevisionRequired refuses updates without a resourceVersion.
	RevisionRequired bool
	// AnswersDeleted makes DELETE return the object instead of a Status.
	AnswersDeleted bool
	// OrphansByDefault makes DELETE without a policy orphan the dependents.
	OrphansByDefault bool
	// OrphansWarning is what a DELETE without a policy is warned with; empty for none.
	OrphansWarning string
	// UnknownField is how a selector by a field that cannot be selected by is refused, with the field as %q; the common
	// words if empty.
	UnknownField string
	// NeverCollected keeps ownership finalizers off (events).
	NeverCollected bool
	// GracePeriod is how many seconds a deletion takes; nil means that it is immediate. asked is the
	// client's wish, nil if it has none.
	GracePeriod func(o *T, asked *int64) int64
	// Held tells whether something of the object's own, beside its metadata.finalizers, keeps it while it is
	// being deleted (a namespace's spec.finalizers).
	Held func(*T) bool
	// MarkDeleted adjusts an object that is deleted but kept for now.
	MarkDeleted func(*T)
	// TTL is how long an object lives from its last write; nil is for ever.
	TTL func(*T) time.Duration
}

// Scale maps an object to autoscaling/v1 Scale.
type Scale[T any] struct {
	SpecReplicas   func(*T) int32
	StatusReplicas func(*T) int32
	// Selector in its text form.
	Selector    func(*T) string
	SetReplicas func(*T, int32)
	// ReplicasPath is the field that a write through scale owns, such as "spec.replicas".
	ReplicasPath string
}

// View is a subresource that shows a part of the object and writes to that part alone: a PUT to it takes
// the whole object and Prepare resets what the view does not cover.
type View[T any] struct {
	Name string
	// Prepare resets in new all that the view does not cover, from old.
	Prepare func(new, old *T)
	// Validate runs in place of Validate and ValidateUpdate.
	Validate func(new, old *T) field.ErrorList
	// Verbs: get, update, patch unless said otherwise.
	Verbs []string
}

// Action is a subresource that is not a part of the object.
type Action struct {
	Name string
	// Kind of the body, for discovery.
	Kind schema.GroupVersionKind
	// Verbs, such as create or get.
	Verbs []string
	// Stream tells that the action connects the client to a node, pod or service, rather than taking one
	// object and giving one back.
	Stream bool
}

// Column is one column of a table.
type Column[T any] struct {
	Name        string // empty for a cell that has no definition
	Type        string // "string" unless said otherwise; "integer", "boolean", "date"
	Format      string
	Description string
	// Wide columns are shown by kubectl -o wide only.
	Wide  bool
	Value func(*T) any
}

// Field is a field that selectors may name.
type Field[T any] struct {
	Name  string
	Value func(*T) string
	// Reads are the paths of what Value, or the defaults of it or of labels, read beside the field called Name.
	Reads []string
	// Indexed fields are those that many watchers each fix to a value of their own.
	Indexed bool
}
