package core

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/component-helpers/node/util/sysctl"

	"github.com/proa-dev/proa/internal/registry/field"
)

// checkPodSecurity covers the security context that the pod's containers share.
func (c *podSpecCheck) checkPodSecurity() {
	sc, path := c.spec.SecurityContext, c.path.Child("securityContext")
	if sc == nil {
		sc = &corev1.PodSecurityContext{}
	}
	if sc.FSGroup != nil {
		c.invalid(path.Child("fsGroup"), *sc.FSGroup, validation.IsValidGroupID(*sc.FSGroup)...)
	}
	c.checkRunAs(sc.RunAsUser, sc.RunAsGroup, path)
	for i, g := range sc.SupplementalGroups {
		c.invalid(path.Child("supplementalGroups").Index(i), g, validation.IsValidGroupID(g)...)
	}
	if shared := c.spec.ShareProcessNamespace; shared != nil && *shared && c.spec.HostPID {
		c.invalid(path.Child("shareProcessNamespace"), *shared, "ShareProcessNamespace and HostPID cannot both be enabled")
	}
	c.checkSysctls(sc.Sysctls, path.Child("sysctls"))
	if sc.FSGroupChangePolicy != nil {
		knownOf(&c.podErrors, path.Child("fsGroupChangePolicy"), *sc.FSGroupChangePolicy,
			corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)
	}
	c.checkSeccomp(sc.SeccompProfile, path.Child("seccompProfile"))
	c.checkWindowsOptions(sc.WindowsOptions, path.Child("windowsOptions"))
	c.add(validateAppArmor(sc.AppArmorProfile, path.Child("appArmorProfile"))...)
	if sc.SupplementalGroupsPolicy != nil {
		knownOf(&c.podErrors, path.Child("supplementalGroupsPolicy"), *sc.SupplementalGroupsPolicy,
			corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)
	}
	if sc.SELinuxChangePolicy != nil {
		knownOf(&c.podErrors, path.Child("seLinuxChangePolicy"), *sc.SELinuxChangePolicy, corev1.SELinuxChangePolicyRecursive)
	}
}

// checkContainerSecurity covers what one container has for itself.
func (c *podSpecCheck) checkContainerSecurity(sc *corev1.SecurityContext, path *field.Path) {
	if sc == nil {
		return
	}
	c.checkRunAs(sc.RunAsUser, sc.RunAsGroup, path)
	if p := sc.ProcMount; p != nil {
		knownOf(&c.podErrors, path.Child("procMount"), *p, corev1.DefaultProcMount, corev1.UnmaskedProcMount)
		if c.hostUsers && *p == corev1.UnmaskedProcMount {
			c.invalid(path.Child("procMount"), *p, "`hostUsers` must be false to use `Unmasked`")
		}
	}
	c.checkSeccomp(sc.SeccompProfile, path.Child("seccompProfile"))
	c.checkEscalation(sc, path)
	c.checkWindowsOptions(sc.WindowsOptions, path.Child("windowsOptions"))
	c.add(validateAppArmor(sc.AppArmorProfile, path.Child("appArmorProfile"))...)
}

func (e *podErrors) checkRunAs(user, group *int64, path *field.Path) {
	if user != nil {
		e.invalid(path.Child("runAsUser"), *user, validation.IsValidUserID(*user)...)
	}
	if group != nil {
		e.invalid(path.Child("runAsGroup"), *group, validation.IsValidGroupID(*group)...)
	}
}

// checkEscalation refuses to forbid a container what it has already.
func (e *podErrors) checkEscalation(sc *corev1.SecurityContext, path *field.Path) {
	if sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation {
		return
	}
	if sc.Privileged != nil && *sc.Privileged {
		e.invalid(path, sc, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
	}
	if sc.Capabilities == nil {
		return
	}
	for _, capability := range sc.Capabilities.Add {
		if capability == "CAP_SYS_ADMIN" {
			e.invalid(path, sc, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN")
		}
	}
}

func (e *podErrors) checkSeccomp(p *corev1.SeccompProfile, path *field.Path) {
	if p == nil {
		return
	}
	if p.Type == "" {
		e.required(path.Child("type"), "type is required when seccompProfile is set")
	} else {
		knownOf(e, path.Child("type"), p.Type,
			corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)
	}
	at := path.Child("localhostProfile")
	switch {
	case p.Type != corev1.SeccompProfileTypeLocalhost && p.LocalhostProfile != nil:
		e.invalid(at, p, "can only be set when seccomp type is Localhost")
	case p.Type != corev1.SeccompProfileTypeLocalhost:
	case p.LocalhostProfile == nil:
		e.required(at, "must be set when seccomp type is Localhost")
	default:
		e.checkDescending(*p.LocalhostProfile, at)
	}
}

// maxAppArmorProfile is the longest name of a profile on the node: that of a path.
const maxAppArmorProfile = 4095

func validateAppArmor(p *corev1.AppArmorProfile, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	var e podErrors
	at := path.Child("localhostProfile")
	switch p.Type {
	case corev1.AppArmorProfileTypeLocalhost:
		switch {
		case p.LocalhostProfile == nil || *p.LocalhostProfile == "":
			e.required(at, "must be set when AppArmor type is Localhost")
		case strings.TrimSpace(*p.LocalhostProfile) != *p.LocalhostProfile:
			e.invalid(at, *p.LocalhostProfile, "must not be padded with whitespace")
		}
		if p.LocalhostProfile != nil && len(*p.LocalhostProfile) > maxAppArmorProfile {
			e.add(field.TooLong(at, "", maxAppArmorProfile))
		}
	case corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined:
		if p.LocalhostProfile != nil {
			e.invalid(at, *p.LocalhostProfile, "can only be set when AppArmor type is Localhost")
		}
	case "":
		e.required(path.Child("type"), "type is required when appArmorProfile is set")
	default:
		knownOf(&e, path.Child("type"), p.Type,
			corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)
	}
	return e.list
}

const maxSysctlName = 253

var sysctlName = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)

func (c *podSpecCheck) checkSysctls(sysctls []corev1.Sysctl, path *field.Path) {
	seen := sets.New[string]()
	for i, s := range sysctls {
		at := path.Index(i).Child("name")
		switch {
		case s.Name == "":
			c.required(at, "")
		case len(s.Name) > maxSysctlName || !sysctlName.MatchString(s.Name):
			c.invalid(at, s.Name, fmt.Sprintf("must have at most %d characters and match regex %s", maxSysctlName, sysctlName))
		case seen.Has(s.Name):
			c.duplicate(at, s.Name)
		}
		seen.Insert(s.Name)
		switch ns, _, _ := sysctl.GetNamespace(s.Name); {
		case c.spec.HostNetwork && ns == sysctl.NetNamespace:
			c.invalid(at, s.Name, "may not be specified when 'hostNetwork' is true")
		case c.spec.HostIPC && ns == sysctl.IPCNamespace:
			c.invalid(at, s.Name, "may not be specified when 'hostIPC' is true")
		}
	}
}

// checkHostUsers covers pods with a user namespace of their own: it goes with no other namespace of the host,
// nor with raw devices, which cannot be remapped.
func (c *podSpecCheck) checkHostUsers() {
	if c.hostUsers {
		return
	}
	const reason = "when `hostUsers` is false"
	if c.spec.HostNetwork {
		c.forbid(c.path.Child("hostNetwork"), reason)
	}
	if c.spec.HostPID {
		c.forbid(c.path.Child("HostPID"), reason)
	}
	if c.spec.HostIPC {
		c.forbid(c.path.Child("HostIPC"), reason)
	}
	for ctr := range podContainers(c.spec) {
		if len(ctr.VolumeDevices) > 0 {
			c.forbid(ctr.path(c.path).Child("volumeDevices"), reason)
		}
	}
}
