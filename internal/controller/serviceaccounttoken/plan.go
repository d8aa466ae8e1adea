package serviceaccounttoken

import (
	"bytes"

	corev1 "k8s.io/api/core/v1"
)

// holds tells whether a Secret is meant to hold a token of an account.
func holds(s *corev1.Secret, a *corev1.ServiceAccount) bool {
	uid := s.Annotations[corev1.ServiceAccountUIDKey]
	return s.Type == corev1.SecretTypeServiceAccountToken && s.Namespace == a.Namespace &&
		s.Annotations[corev1.ServiceAccountNameKey] == a.Name && (uid == "" || uid == string(a.UID))
}

// lack is what a Secret needs to be complete.
type lack struct{ ca, namespace, token bool }

func lackOf(s *corev1.Secret, rootCA []byte) lack {
	return lack{
		ca:        len(rootCA) > 0 && !bytes.Equal(s.Data[corev1.ServiceAccountRootCAKey], rootCA),
		namespace: len(s.Data[corev1.ServiceAccountNamespaceKey]) == 0,
		token:     len(s.Data[corev1.ServiceAccountTokenKey]) == 0,
	}
}

// without is a copy of an account that does not mention a Secret; nil if it never did.
func without(a *corev1.ServiceAccount, secret string) *corev1.ServiceAccount {
	var rest []corev1.ObjectReference
	for _, ref := range a.Secrets {
		if ref.Name != secret {
			rest = append(rest, ref)
		}
	}
	if len(rest) == len(a.Secrets) {
		return nil
	}
	a = a.DeepCopy()
	a.Secrets = rest
	return a
}
