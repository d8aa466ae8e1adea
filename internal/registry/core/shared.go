package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/proa-dev/proa/internal/registry/field"
)

// ValidateContainerResourceName checks the name of what a container can ask for.
func ValidateContainerResourceName(n corev1.ResourceName, path *field.Path) field.ErrorList {
	var errs podErrors
	containerResourceName(&errs, n, path)
	return errs.list
}

// OldNodeLabel tells what to use in place of a label of nodes, "" if it is in good standing.
func OldNodeLabel(key string) string { return oldNodeLabels[key] }
