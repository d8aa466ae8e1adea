package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/registry"
)

// ServiceAccounts are who pods act as.
var ServiceAccounts = registry.Resource[corev1.ServiceAccount]{
	Kind: "ServiceAccount", Name: "serviceaccounts", Short: []string{"sa"},
	Namespaced:    true,
	Versions:      []registry.Version[corev1.ServiceAccount]{registry.Hub[corev1.ServiceAccount]("v1")},
	PrepareCreate: keepSecretNames,
	PrepareUpdate: func(new, _ *corev1.ServiceAccount) { keepSecretNames(new) },
	ValidateName:  apivalidation.ValidateServiceAccountName,
	Warn:          serviceAccountWarnings,
	Actions: []registry.Action{{
		Name:  "token",
		Kind:  schema.GroupVersionKind{Group: "authentication.k8s.io", Version: "v1", Kind: "TokenRequest"},
		Verbs: []string{"create"},
	}},
	Columns:        []registry.Column[corev1.ServiceAccount]{registry.Age[corev1.ServiceAccount]()},
	AnswersDeleted: true,
}

// keepSecretNames drops all but the names from references to secrets: they are of the account's namespace.
func keepSecretNames(a *corev1.ServiceAccount) {
	for i, ref := range a.Secrets {
		a.Secrets[i] = corev1.ObjectReference{Name: ref.Name}
	}
}

const enforceMountableSecrets = "kubernetes.io/enforce-mountable-secrets"

func serviceAccountWarnings(new, old *corev1.ServiceAccount) []string {
	if old != nil {
		if _, had := old.Annotations[enforceMountableSecrets]; had {
			return nil
		}
	}
	if _, has := new.Annotations[enforceMountableSecrets]; !has {
		return nil
	}
	return []string{fmt.Sprintf("metadata.annotations[%s]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets", enforceMountableSecrets)}
}
