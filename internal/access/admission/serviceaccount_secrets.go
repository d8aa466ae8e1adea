package admission

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// mountableOnly is the annotation of accounts whose pods may use no secrets but those that the account
// lists.
const mountableOnly = "kubernetes.io/enforce-mountable-secrets"

func limitsSecrets(account *corev1.ServiceAccount) bool {
	on, err := strconv.ParseBool(account.Annotations[mountableOnly])
	return err == nil && on
}

func checkSecrets(account *corev1.ServiceAccount, pod *corev1.Pod) error {
	for _, v := range pod.Spec.Volumes {
		if v.Secret != nil && !lists(account, v.Secret.SecretName) {
			return fmt.Errorf("volume with secret.secretName=%q is not allowed because service account %s does not reference that secret",
				v.Secret.SecretName, account.Name)
		}
	}
	for _, c := range pod.Spec.InitContainers {
		if err := checkContainerSecrets(account, "init container", c.Name, c.Env, c.EnvFrom); err != nil {
			return err
		}
	}
	for _, c := range pod.Spec.Containers {
		if err := checkContainerSecrets(account, "container", c.Name, c.Env, c.EnvFrom); err != nil {
			return err
		}
	}
	for i, s := range pod.Spec.ImagePullSecrets {
		if !slices.Contains(account.ImagePullSecrets, s) {
			return fmt.Errorf("imagePullSecrets[%d].name=%q is not allowed because service account %s does not reference that imagePullSecret",
				i, s.Name, account.Name)
		}
	}
	return nil
}

func checkEphemeralSecrets(account *corev1.ServiceAccount, pod *corev1.Pod) error {
	for _, c := range pod.Spec.EphemeralContainers {
		if err := checkContainerSecrets(account, "ephemeral container", c.Name, c.Env, c.EnvFrom); err != nil {
			return err
		}
	}
	return nil
}

func checkContainerSecrets(account *corev1.ServiceAccount, kind, name string, env []corev1.EnvVar, from []corev1.EnvFromSource) error {
	for _, e := range env {
		if e.ValueFrom == nil || e.ValueFrom.SecretKeyRef == nil || lists(account, e.ValueFrom.SecretKeyRef.Name) {
			continue
		}
		return fmt.Errorf("%s %s with envVar %s referencing secret.secretName=%q is not allowed because service account %s does not reference that secret",
			kind, name, e.Name, e.ValueFrom.SecretKeyRef.Name, account.Name)
	}
	for _, f := range from {
		if f.SecretRef == nil || lists(account, f.SecretRef.Name) {
			continue
		}
		return fmt.Errorf("%s %s with envFrom referencing secret.secretName=%q is not allowed because service account %s does not reference that secret",
			kind, name, f.SecretRef.Name, account.Name)
	}
	return nil
}

func lists(account *corev1.ServiceAccount, secret string) bool {
	return slices.ContainsFunc(account.Secrets, func(s corev1.ObjectReference) bool { return s.Name == secret })
}
