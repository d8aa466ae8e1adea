package core

import (
	"crypto/tls"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// Secrets hold confidential data.
var Secrets = registry.Resource[corev1.Secret]{
	Kind: "Secret", Name: "secrets",
	Namespaced:     true,
	Versions:       []registry.Version[corev1.Secret]{registry.Hub[corev1.Secret]("v1")},
	Default:        defaultSecret,
	Validate:       validateSecret,
	ValidateUpdate: validateSecretUpdate,
	Warn:           secretWarnings,
	Columns: []registry.Column[corev1.Secret]{
		{Name: "Type", Description: corev1.Secret{}.SwaggerDoc()["type"], Value: func(s *corev1.Secret) any { return string(s.Type) }},
		{Name: "Data", Description: corev1.Secret{}.SwaggerDoc()["data"], Value: func(s *corev1.Secret) any { return int64(len(s.Data)) }},
		registry.Age[corev1.Secret](),
	},
	Fields: []registry.Field[corev1.Secret]{
		{Name: "type", Value: func(s *corev1.Secret) string { return string(s.Type) }},
	},
}

// defaultSecret also moves stringData, which can only be written, into data: this is the first hook that a
// request passes, and a stored Secret has none.
func defaultSecret(s *corev1.Secret) {
	if s.Type == "" {
		s.Type = corev1.SecretTypeOpaque
	}
	if len(s.StringData) > 0 && s.Data == nil {
		s.Data = make(map[string][]byte, len(s.StringData))
	}
	for key, text := range s.StringData {
		s.Data[key] = []byte(text)
	}
	s.StringData = nil
}

func validateSecret(s *corev1.Secret) field.ErrorList {
	data := field.NewPath("data")
	var errs field.ErrorList
	size := 0
	for _, key := range sortedKeys(s.Data) {
		errs = append(errs, validateDataKey(key, data)...)
		size += len(s.Data[key])
	}
	if size > maxDataSize {
		errs = append(errs, field.TooLong(data, "", maxDataSize))
	}
	return append(errs, validateSecretType(s, data)...)
}

// validateSecretType checks that the Secret holds what those who use its type look for.
func validateSecretType(s *corev1.Secret, data *field.Path) field.ErrorList {
	required := func(key string) *field.Error { return field.Required(data.Key(key), "") }
	has := func(key string) bool { _, ok := s.Data[key]; return ok }
	var errs field.ErrorList
	switch s.Type {
	case corev1.SecretTypeServiceAccountToken:
		if s.Annotations[corev1.ServiceAccountNameKey] == "" {
			errs = append(errs, field.Required(field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey), ""))
		}
	case corev1.SecretTypeDockercfg:
		return validateJSONData(s, corev1.DockerConfigKey, data)
	case corev1.SecretTypeDockerConfigJson:
		return validateJSONData(s, corev1.DockerConfigJsonKey, data)
	case corev1.SecretTypeBasicAuth:
		if !has(corev1.BasicAuthUsernameKey) && !has(corev1.BasicAuthPasswordKey) {
			errs = append(errs, required(corev1.BasicAuthUsernameKey), required(corev1.BasicAuthPasswordKey))
		}
	case corev1.SecretTypeSSHAuth:
		if len(s.Data[corev1.SSHAuthPrivateKey]) == 0 {
			errs = append(errs, required(corev1.SSHAuthPrivateKey))
		}
	case corev1.SecretTypeTLS:
		for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
			if !has(key) {
				errs = append(errs, required(key))
			}
		}
	}
	return errs
}

func validateJSONData(s *corev1.Secret, key string, data *field.Path) field.ErrorList {
	text, ok := s.Data[key]
	if !ok {
		return field.ErrorList{field.Required(data.Key(key), "")}
	}
	if err := json.Unmarshal(text, &map[string]any{}); err != nil {
		return field.ErrorList{field.Invalid(data.Key(key), "<secret contents redacted>", err.Error())}
	}
	return nil
}

func validateSecretUpdate(new, old *corev1.Secret) field.ErrorList {
	errs := apivalidation.ValidateImmutableField(new.Type, old.Type, field.NewPath("type").Common())
	if old.Immutable == nil || !*old.Immutable {
		return errs
	}
	const why = "field is immutable when `immutable` is set"
	if new.Immutable == nil || !*new.Immutable {
		errs = append(errs, field.Forbidden(field.NewPath("immutable"), why))
	}
	if !equality.Semantic.DeepEqual(new.Data, old.Data) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), why))
	}
	return errs
}

// secretWarnings tells of a key that does not belong to its certificate.
func secretWarnings(s, _ *corev1.Secret) []string {
	if s.Type != corev1.SecretTypeTLS {
		return nil
	}
	if _, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return []string{err.Error()}
	}
	return nil
}
