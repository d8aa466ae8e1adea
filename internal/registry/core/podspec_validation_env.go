package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

func (e *podErrors) checkEnv(vars []corev1.EnvVar, path *field.Path) {
	for i := range vars {
		v, at := &vars[i], path.Index(i)
		if e.needed(at.Child("name"), v.Name) {
			e.invalid(at.Child("name"), v.Name, validation.IsRelaxedEnvVarName(v.Name)...)
		}
		if v.ValueFrom != nil {
			e.checkEnvSource(v.ValueFrom, v.Value != "", at.Child("valueFrom"))
		}
	}
}

func (e *podErrors) checkEnvSource(s *corev1.EnvVarSource, hasValue bool, path *field.Path) {
	sources := 0
	if s.FieldRef != nil {
		sources++
		e.checkFieldRef(s.FieldRef, envFieldPaths, path.Child("fieldRef"))
	}
	if s.ResourceFieldRef != nil {
		sources++
		e.checkResourceFieldRef(s.ResourceFieldRef, false, path.Child("resourceFieldRef"))
	}
	if s.ConfigMapKeyRef != nil {
		sources++
		e.checkKeyRef(s.ConfigMapKeyRef.Name, s.ConfigMapKeyRef.Key, path.Child("configMapKeyRef"))
	}
	if s.SecretKeyRef != nil {
		sources++
		e.checkKeyRef(s.SecretKeyRef.Name, s.SecretKeyRef.Key, path.Child("secretKeyRef"))
	}
	if s.FileKeyRef != nil {
		sources++
		e.checkFileKeyRef(s.FileKeyRef, path.Child("fileKeyRef"))
	}
	switch {
	case sources == 0:
		e.invalid(path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`")
	case hasValue:
		e.invalid(path, "", "may not be specified when `value` is not empty")
	case sources > 1:
		e.invalid(path, "", "may not have more than one field specified at a time")
	}
}

// checkKeyRef covers a key of a ConfigMap or a Secret.
func (e *podErrors) checkKeyRef(name, key string, path *field.Path) {
	e.invalid(path.Child("name"), name, apivalidation.NameIsDNSSubdomain(name, false)...)
	if e.needed(path.Child("key"), key) {
		e.invalid(path.Child("key"), key, validation.IsConfigMapKey(key)...)
	}
}

func (e *podErrors) checkFileKeyRef(f *corev1.FileKeySelector, path *field.Path) {
	if e.needed(path.Child("key"), f.Key) {
		e.invalid(path.Child("key"), f.Key, validation.IsRelaxedEnvVarName(f.Key)...)
	}
	if e.needed(path.Child("volumeName"), f.VolumeName) {
		e.invalid(path.Child("volumeName"), f.VolumeName, validation.IsDNS1123Label(f.VolumeName)...)
	}
	if e.needed(path.Child("path"), f.Path) {
		e.checkNoBacksteps(f.Path, path.Child("path"))
	}
}

// checkFileKeyVolumes makes sure that variables from files have their file in an empty directory, which only
// containers of the pod write to.
func (c *podSpecCheck) checkFileKeyVolumes() {
	for ctr := range podContainers(c.spec) {
		for i := range ctr.Env {
			from := ctr.Env[i].ValueFrom
			if from == nil || from.FileKeyRef == nil {
				continue
			}
			name := from.FileKeyRef.VolumeName
			at := ctr.path(c.path).Child("env").Index(i).Child("valueFrom", "fileKeyRef", "volumeName")
			j := slices.IndexFunc(c.spec.Volumes, func(v corev1.Volume) bool { return v.Name == name })
			switch {
			case j < 0:
				c.add(field.NotFound(at, name))
			case c.spec.Volumes[j].EmptyDir == nil:
				c.invalid(at, name, "referenced volume must be of type emptyDir")
			}
		}
	}
}

func (e *podErrors) checkEnvFrom(sources []corev1.EnvFromSource, path *field.Path) {
	for i, s := range sources {
		at := path.Index(i)
		if s.Prefix != "" {
			e.invalid(at.Child("prefix"), s.Prefix, validation.IsRelaxedEnvVarName(s.Prefix)...)
		}
		if s.ConfigMapRef != nil {
			e.checkRefName(s.ConfigMapRef.Name, at.Child("configMapRef"))
		}
		if s.SecretRef != nil {
			e.checkRefName(s.SecretRef.Name, at.Child("secretRef"))
		}
		switch {
		case s.ConfigMapRef == nil && s.SecretRef == nil:
			e.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
		case s.ConfigMapRef != nil && s.SecretRef != nil:
			e.invalid(path, "", "may not have more than one field specified at a time")
		}
	}
}

func (e *podErrors) checkRefName(name string, path *field.Path) {
	if e.needed(path.Child("name"), name) {
		e.invalid(path.Child("name"), name, apivalidation.NameIsDNSSubdomain(name, true)...)
	}
}

// What the downward API shows of a pod: in variables, in files, and where a selector may name it at all.
var (
	envFieldPaths = []string{"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
		"spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}
	fileFieldPaths = []string{"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"}
	podFieldPaths  = append([]string{"metadata.annotations", "metadata.labels", "spec.restartPolicy",
		"spec.schedulerName", "status.phase"}, envFieldPaths...)
)

func (e *podErrors) checkFieldRef(f *corev1.ObjectFieldSelector, allowed []string, path *field.Path) {
	if !e.needed(path.Child("apiVersion"), f.APIVersion) || !e.needed(path.Child("fieldPath"), f.FieldPath) {
		return
	}
	convertError := func(detail string) {
		e.invalid(path.Child("fieldPath"), f.FieldPath, "error converting fieldPath: "+detail)
	}
	if f.APIVersion != "v1" {
		convertError("unsupported pod version: " + f.APIVersion)
		return
	}
	name, key, hasKey := splitFieldPath(f.FieldPath)
	switch {
	case hasKey && name == "metadata.annotations":
		e.invalid(path, strings.ToLower(key), validation.IsQualifiedName(strings.ToLower(key))...)
	case hasKey && name == "metadata.labels":
		e.invalid(path, key, validation.IsQualifiedName(key)...)
	case hasKey:
		convertError("field label does not support subscript: " + f.FieldPath)
	case name == "spec.host": // the node's name in clients as old as v1 itself
		if !slices.Contains(allowed, "spec.nodeName") {
			e.add(field.NotSupported(path.Child("fieldPath"), "spec.nodeName", allowed))
		}
	case !slices.Contains(podFieldPaths, name):
		convertError("field label not supported: " + name)
	case !slices.Contains(allowed, name):
		e.add(field.NotSupported(path.Child("fieldPath"), name, allowed))
	}
}

// splitFieldPath takes metadata.labels['key'] apart; a path without a key stays whole.
func splitFieldPath(path string) (name, key string, hasKey bool) {
	rest, ok := strings.CutSuffix(path, "']")
	if !ok {
		return path, "", false
	}
	name, key, ok = strings.Cut(rest, "['")
	if !ok || name == "" {
		return path, "", false
	}
	return name, key, true
}

// The resources of a container that the downward API shows, sorted as messages list them.
var resourceFieldPaths = []string{"limits.cpu", "limits.ephemeral-storage", "limits.memory",
	"requests.cpu", "requests.ephemeral-storage", "requests.memory"}

// checkResourceFieldRef covers a container's resource in a variable or, where it must name the container, in
// a file.
func (e *podErrors) checkResourceFieldRef(f *corev1.ResourceFieldSelector, inFile bool, path *field.Path) {
	hugePages := strings.HasPrefix(f.Resource, "requests.hugepages-") || strings.HasPrefix(f.Resource, "limits.hugepages-")
	switch {
	case inFile && f.ContainerName == "":
		e.required(path.Child("containerName"), "")
	case f.Resource == "":
		e.required(path.Child("resource"), "")
	case !hugePages && !slices.Contains(resourceFieldPaths, f.Resource):
		e.add(field.NotSupported(path.Child("resource"), f.Resource, resourceFieldPaths))
	}
	e.checkDivisor(f, path)
}

var byteDivisors = []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}

func (e *podErrors) checkDivisor(f *corev1.ResourceFieldSelector, path *field.Path) {
	if f.Divisor.Cmp(resource.Quantity{}) == 0 {
		return
	}
	_, name, _ := strings.Cut(f.Resource, ".")
	var what string
	switch {
	case name == "cpu":
		if d := f.Divisor.String(); d != "1m" && d != "1" {
			e.invalid(path.Child("divisor"), f.Resource, "only divisor's values 1m and 1 are supported with the cpu resource")
		}
		return
	case name == "memory":
		what = "memory"
	case name == "ephemeral-storage":
		what = "local ephemeral storage"
	case strings.HasPrefix(name, corev1.ResourceHugePagesPrefix):
		what = "hugepages"
	default:
		return
	}
	if !slices.Contains(byteDivisors, f.Divisor.String()) {
		e.invalid(path.Child("divisor"), f.Resource,
			fmt.Sprintf("only divisor's values %s are supported with the %s resource", strings.Join(byteDivisors, ", "), what))
	}
}
