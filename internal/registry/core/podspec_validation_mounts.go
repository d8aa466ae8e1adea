package core

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/proa-dev/proa/internal/registry/field"
)

func (c *podSpecCheck) checkMounts(ctr *corev1.Container, path *field.Path) {
	points := sets.New[string]()
	for i := range ctr.VolumeMounts {
		m, at := &ctr.VolumeMounts[i], path.Index(i)
		c.needed(at.Child("name"), m.Name)
		if c.volumes[m.Name] == nil {
			c.add(field.NotFound(at.Child("name"), m.Name))
		}
		c.needed(at.Child("mountPath"), m.MountPath)
		if points.Has(m.MountPath) {
			c.invalid(at.Child("mountPath"), m.MountPath, "must be unique")
		}
		points.Insert(m.MountPath)
		if slices.ContainsFunc(ctr.VolumeDevices, func(d corev1.VolumeDevice) bool { return d.Name == m.Name }) {
			c.invalid(at.Child("name"), m.Name, "must not already exist in volumeDevices")
		}
		if slices.ContainsFunc(ctr.VolumeDevices, func(d corev1.VolumeDevice) bool { return d.DevicePath == m.MountPath }) {
			c.invalid(at.Child("mountPath"), m.MountPath, "must not already exist as a path in volumeDevices")
		}
		c.checkSubPaths(m, at, path)
		c.checkPropagation(m, ctr.SecurityContext, path)
	}
}

// checkSubPaths reports paths at the list where clients have always been told so, without the index.
func (e *podErrors) checkSubPaths(m *corev1.VolumeMount, at, list *field.Path) {
	if m.SubPath != "" {
		e.checkDescending(m.SubPath, list.Child("subPath"))
	}
	if m.SubPathExpr == "" {
		return
	}
	if m.SubPath != "" {
		e.invalid(at.Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive")
	}
	e.checkDescending(m.SubPathExpr, list.Child("subPathExpr"))
}

func (e *podErrors) checkPropagation(m *corev1.VolumeMount, security *corev1.SecurityContext, list *field.Path) {
	if p := m.MountPropagation; p != nil {
		at := list.Child("mountPropagation")
		knownOf(e, at, *p, corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)
		privileged := security != nil && security.Privileged != nil && *security.Privileged
		if *p == corev1.MountPropagationBidirectional && !privileged {
			e.forbid(at, "Bidirectional mount propagation is available only to privileged containers")
		}
	}
	if m.RecursiveReadOnly == nil {
		return
	}
	at := list.Child("recursiveReadOnly")
	switch *m.RecursiveReadOnly {
	case corev1.RecursiveReadOnlyDisabled:
	case corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible:
		if !m.ReadOnly {
			e.forbid(at, "may only be specified when readOnly is true")
		}
		if m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone {
			e.forbid(at, "may only be specified when mountPropagation is None or not specified")
		}
	default:
		knownOf(e, at, *m.RecursiveReadOnly,
			corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible)
	}
}

func (c *podSpecCheck) checkDevices(ctr *corev1.Container, path *field.Path) {
	names, paths := sets.New[string](), sets.New[string]()
	for i, d := range ctr.VolumeDevices {
		at := path.Index(i)
		c.needed(at.Child("name"), d.Name)
		if names.Has(d.Name) {
			c.invalid(at.Child("name"), d.Name, "must be unique")
		}
		switch v := c.volumes[d.Name]; {
		case v == nil:
			c.add(field.NotFound(at.Child("name"), d.Name))
		case v.PersistentVolumeClaim == nil && v.Ephemeral == nil:
			c.invalid(at.Child("name"), d.Name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode")
		}
		c.needed(at.Child("devicePath"), d.DevicePath)
		if paths.Has(d.DevicePath) {
			c.invalid(at.Child("devicePath"), d.DevicePath, "must be unique")
		}
		if hasBackstep(d.DevicePath) {
			c.invalid(at.Child("devicePath"), d.DevicePath, "can not contain backsteps ('..')")
		} else {
			paths.Insert(d.DevicePath)
		}
		if slices.ContainsFunc(ctr.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == d.Name }) {
			c.invalid(at.Child("name"), d.Name, "must not already exist in volumeMounts")
		}
		if slices.ContainsFunc(ctr.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == d.DevicePath }) {
			c.invalid(at.Child("devicePath"), d.DevicePath, "must not already exist as a path in volumeMounts")
		}
		if d.Name != "" {
			names.Insert(d.Name)
		}
	}
}

func hasBackstep(p string) bool { return slices.Contains(strings.Split(p, "/"), "..") }

func (e *podErrors) checkNoBacksteps(p string, at *field.Path) {
	if hasBackstep(p) {
		e.invalid(at, p, "must not contain '..'")
	}
}

// checkDescending covers a path that must stay below where it starts.
func (e *podErrors) checkDescending(p string, at *field.Path) {
	if path.IsAbs(p) {
		e.invalid(at, p, "must be a relative path")
	}
	e.checkNoBacksteps(p, at)
}

// checkFileName covers a path below a volume: names that start with two dots are the kubelet's own there.
func (e *podErrors) checkFileName(p string, at *field.Path) {
	e.checkDescending(p, at)
	if strings.HasPrefix(p, "..") && !strings.HasPrefix(p, "../") {
		e.invalid(at, p, "must not start with '..'")
	}
}
