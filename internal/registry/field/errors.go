package field

import "k8s.io/apimachinery/pkg/util/validation/field"

// Error is what is wrong in one place, and ErrorList in several.
type (
	Error     = field.Error
	ErrorList = field.ErrorList
)

const (
	// ErrorTypeNotFound is the type of NotFound's errors.
	ErrorTypeNotFound = field.ErrorTypeNotFound
)

// OmitValueType is of a value that an error does not show.
type OmitValueType = field.OmitValueType

// Invalid is for a value that breaks a rule.
func Invalid(at *Path, value any, detail string) *Error {
	return field.Invalid(at.Common(), value, detail)
}

// Required is for a value that is missing.
func Required(at *Path, detail string) *Error { return field.Required(at.Common(), detail) }

// Forbidden is for a value that may not be there.
func Forbidden(at *Path, detail string) *Error { return field.Forbidden(at.Common(), detail) }

// Duplicate is for a value that another one equals.
func Duplicate(at *Path, value any) *Error { return field.Duplicate(at.Common(), value) }

// NotFound is for a value that refers to nothing.
func NotFound(at *Path, value any) *Error { return field.NotFound(at.Common(), value) }

// NotSupported is for a value that is none of the known.
func NotSupported[T ~string](at *Path, value any, known []T) *Error {
	return field.NotSupported(at.Common(), value, known)
}

// TooLong is for a value of more bytes than it may have.
func TooLong(at *Path, value any, most int) *Error { return field.TooLong(at.Common(), value, most) }

// TooMany is for a list of more elements than it may have.
func TooMany(at *Path, number, most int) *Error { return field.TooMany(at.Common(), number, most) }

// InternalError is for what cannot be checked.
func InternalError(at *Path, err error) *Error { return field.InternalError(at.Common(), err) }
