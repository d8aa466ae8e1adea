package core

import "github.com/proa-dev/proa/internal/registry/field"

// podErrors gathers what is wrong with a pod. A pod's rules are so many that each should cost one line.
type podErrors struct{ list field.ErrorList }

func (e *podErrors) add(errs ...*field.Error) { e.list = append(e.list, errs...) }

func (e *podErrors) required(path *field.Path, detail string) { e.add(field.Required(path, detail)) }

func (e *podErrors) forbid(path *field.Path, detail string) { e.add(field.Forbidden(path, detail)) }

func (e *podErrors) duplicate(path *field.Path, value any) { e.add(field.Duplicate(path, value)) }

// invalid adds one error a detail: none if there are none, as the functions of package validation return them.
func (e *podErrors) invalid(path *field.Path, value any, details ...string) {
	for _, d := range details {
		e.add(field.Invalid(path, value, d))
	}
}

// needed adds an error where a string is empty, and tells whether it is not.
func (e *podErrors) needed(path *field.Path, value string) bool {
	if value == "" {
		e.required(path, "")
	}
	return value != ""
}

// oneOf checks a value that must be set and of a known few, which the message names in this order.
func oneOf[V ~string](e *podErrors, path *field.Path, value V, known ...V) {
	if value == "" {
		e.required(path, "")
		return
	}
	knownOf(e, path, value, known...)
}

// knownOf checks a value that is of a known few.
func knownOf[V ~string](e *podErrors, path *field.Path, value V, known ...V) {
	for _, k := range known {
		if value == k {
			return
		}
	}
	e.add(field.NotSupported(path, value, known))
}
