package core

import (
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

func (c *podSpecCheck) checkVolumes() {
	names := sets.New[string]()
	claims := c.claimsOfEphemeralVolumes()
	for i := range c.spec.Volumes {
		v, at := &c.spec.Volumes[i], c.path.Child("volumes").Index(i)
		before := len(c.list)
		c.checkVolumeSource(v, at)
		if c.needed(at.Child("name"), v.Name) {
			c.invalid(at.Child("name"), v.Name, validation.IsDNS1123Label(v.Name)...)
		}
		if names.Has(v.Name) {
			c.duplicate(at.Child("name"), v.Name)
		}
		if len(c.list) == before {
			names.Insert(v.Name)
			c.volumes[v.Name] = &v.VolumeSource
		}
		if p := v.PersistentVolumeClaim; p != nil && claims.Has(p.ClaimName) {
			c.invalid(at.Child("persistentVolumeClaim", "claimName"), p.ClaimName,
				"must not reference a PVC that gets created for an ephemeral volume")
		}
	}
}

// claimsOfEphemeralVolumes are the names of the claims that will be made for the pod. They are known only
// where the pod has its final name.
func (c *podSpecCheck) claimsOfEphemeralVolumes() sets.Set[string] {
	claims := sets.New[string]()
	if c.meta == nil || c.meta.Name == "" {
		return claims
	}
	for i := range c.spec.Volumes {
		if v := &c.spec.Volumes[i]; v.Ephemeral != nil {
			claims.Insert(c.meta.Name + "-" + v.Name)
		}
	}
	return claims
}

func (e *podErrors) checkHostPath(h *corev1.HostPathVolumeSource, at *field.Path) {
	if !e.needed(at.Child("path"), h.Path) {
		return
	}
	e.checkNoBacksteps(h.Path, at.Child("path"))
	if h.Type != nil {
		knownOf(e, at.Child("type"), *h.Type, corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev,
			corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate, corev1.HostPathFile,
			corev1.HostPathFileOrCreate, corev1.HostPathSocket)
	}
}

func (e *podErrors) checkNFS(n *corev1.NFSVolumeSource, at *field.Path) {
	e.needed(at.Child("server"), n.Server)
	e.needed(at.Child("path"), n.Path)
	if !path.IsAbs(n.Path) {
		e.invalid(at.Child("path"), n.Path, "must be an absolute path")
	}
}

func (e *podErrors) checkMode(mode *int32, path *field.Path) {
	if mode != nil && (*mode < 0 || *mode > 0777) {
		e.invalid(path, *mode, "must be a number between 0 and 0777 (octal), both inclusive")
	}
}

func (e *podErrors) checkItems(items []corev1.KeyToPath, path *field.Path) {
	for i := range items {
		e.checkItem(&items[i], path.Index(i))
	}
}

func (e *podErrors) checkItem(k *corev1.KeyToPath, path *field.Path) {
	e.needed(path.Child("key"), k.Key)
	e.needed(path.Child("path"), k.Path)
	e.checkFileName(k.Path, path.Child("path"))
	e.checkMode(k.Mode, path.Child("mode"))
}

func (e *podErrors) checkDownwardFile(f *corev1.DownwardAPIVolumeFile, path *field.Path) {
	e.needed(path.Child("path"), f.Path)
	e.checkFileName(f.Path, path.Child("path"))
	switch {
	case f.FieldRef != nil:
		e.checkFieldRef(f.FieldRef, fileFieldPaths, path.Child("fieldRef"))
		if f.ResourceFieldRef != nil {
			e.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
		}
	case f.ResourceFieldRef != nil:
		e.checkResourceFieldRef(f.ResourceFieldRef, true, path.Child("resourceFieldRef"))
	default:
		e.required(path, "one of fieldRef and resourceFieldRef is required")
	}
	e.checkMode(f.Mode, path.Child("mode"))
}

func (e *podErrors) checkProjected(p *corev1.ProjectedVolumeSource, path *field.Path) {
	e.checkMode(p.DefaultMode, path.Child("defaultMode"))
	taken := sets.New[string]()
	claim := func(file, owner string) {
		if file == "" {
			return
		}
		if taken.Has(file) {
			e.invalid(path, owner, "conflicting duplicate paths")
		}
		taken.Insert(file)
	}
	for i := range p.Sources {
		e.checkProjection(&p.Sources[i], path.Child("sources").Index(i), path, claim)
	}
}

// checkProjection checks one source of a projected volume. It claims the files that the source makes, each
// of which may have one owner only.
func (e *podErrors) checkProjection(s *corev1.VolumeProjection, path, volume *field.Path, claim func(file, owner string)) {
	sources := 0
	items := func(name string, items []corev1.KeyToPath, path *field.Path) {
		sources++
		e.needed(path.Child("name"), name)
		for i := range items {
			e.checkItem(&items[i], path.Child("items").Index(i))
			claim(items[i].Path, name)
		}
	}
	if s.Secret != nil {
		items(s.Secret.Name, s.Secret.Items, path.Child("secret"))
	}
	if s.ConfigMap != nil {
		items(s.ConfigMap.Name, s.ConfigMap.Items, path.Child("configMap"))
	}
	if s.DownwardAPI != nil {
		sources++
		for i := range s.DownwardAPI.Items {
			f := &s.DownwardAPI.Items[i]
			e.checkDownwardFile(f, path.Child("downwardAPI"))
			claim(f.Path, f.Path)
		}
	}
	if s.ServiceAccountToken != nil {
		sources++
		e.checkTokenProjection(s.ServiceAccountToken, path.Child("serviceAccountToken"), volume)
	}
	if sources > 1 {
		e.forbid(path, "may not specify more than 1 volume type per source")
	}
}

// checkTokenProjection reports the token's path at the volume, where clients have always been told so.
func (e *podErrors) checkTokenProjection(t *corev1.ServiceAccountTokenProjection, path, volume *field.Path) {
	if s := t.ExpirationSeconds; s != nil {
		if *s < 10*60 {
			e.invalid(path.Child("expirationSeconds"), *s, "may not specify a duration less than 10 minutes")
		}
		if *s > 1<<32 {
			e.invalid(path.Child("expirationSeconds"), *s, "may not specify a duration larger than 2^32 seconds")
		}
	}
	if e.needed(volume.Child("path"), t.Path) {
		e.checkFileName(t.Path, volume.Child("path"))
	}
}

// checkInlineCSI reports a wrong name of the secret without the reference's path, as clients know it.
func (e *podErrors) checkInlineCSI(s *corev1.CSIVolumeSource, path *field.Path) {
	e.checkCSIDriver(s.Driver, path.Child("driver"))
	if ref := s.NodePublishSecretRef; ref != nil && e.needed(path.Child("nodePublishSecretRef", "name"), ref.Name) {
		e.invalid(path.Child("name"), ref.Name, apivalidation.NameIsDNSSubdomain(ref.Name, false)...)
	}
}

const maxCSIDriverName = 63

func (e *podErrors) checkCSIDriver(driver string, path *field.Path) {
	if !e.needed(path, driver) {
		return
	}
	if len(driver) > maxCSIDriverName {
		e.add(field.TooLong(path, "", maxCSIDriverName))
	}
	e.invalid(path, driver, validation.IsDNS1123Subdomain(strings.ToLower(driver))...)
}

// checkEphemeralVolume covers a volume that brings a claim of its own, named after the pod and the volume.
func (c *podSpecCheck) checkEphemeralVolume(v *corev1.Volume, path *field.Path) {
	at := path.Child("ephemeral", "volumeClaimTemplate")
	if template := v.Ephemeral.VolumeClaimTemplate; template == nil {
		c.required(at, "")
	} else {
		c.checkTemplateMeta(&template.ObjectMeta, at.Child("metadata"))
		c.checkClaim(&template.Spec, at.Child("spec"))
	}
	if c.meta == nil || c.meta.Name == "" || v.Name == "" {
		return
	}
	claim := c.meta.Name + "-" + v.Name
	for _, msg := range apivalidation.NameIsDNSSubdomain(claim, false) {
		c.invalid(path.Child("name"), v.Name, fmt.Sprintf("PVC name %q: %v", claim, msg))
	}
}

var templateMetaFields = sets.New("Annotations", "Labels")

func (e *podErrors) checkTemplateMeta(m *metav1.ObjectMeta, path *field.Path) {
	e.add(apivalidation.ValidateAnnotations(m.Annotations, path.Child("annotations").Common())...)
	e.add(metavalidation.ValidateLabels(m.Labels, path.Child("labels").Common())...)
	e.forbidOtherFields(*m, templateMetaFields, "cannot be set", path)
}
