package core

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

// checkOS covers a pod that says on what it runs: it may not have what the other system calls its own.
func (c *podSpecCheck) checkOS() {
	if c.spec.OS == nil {
		return
	}
	switch path := c.path.Child("os"); c.spec.OS.Name {
	case corev1.Linux:
		c.forbidOnLinux()
	case corev1.Windows:
		c.forbidOnWindows()
	case "":
		c.required(path.Child("name"), "")
	default:
		knownOf(&c.podErrors, path, c.spec.OS.Name, corev1.Linux, corev1.Windows)
	}
}

func (c *podSpecCheck) forbidOnLinux() {
	const reason = "windows options cannot be set for a linux pod"
	if sc := c.spec.SecurityContext; sc != nil && sc.WindowsOptions != nil {
		c.forbid(c.path.Child("securityContext", "windowsOptions"), reason)
	}
	for ctr := range podContainers(c.spec) {
		if sc := ctr.SecurityContext; sc != nil && sc.WindowsOptions != nil {
			c.forbid(ctr.path(c.path).Child("securityContext", "windowsOptions"), reason)
		}
	}
}

// settable is a field and whether it is set.
type settable struct {
	name string
	set  bool
}

func (e *podErrors) forbidSet(path *field.Path, reason string, fields ...settable) {
	for _, f := range fields {
		if f.set {
			e.forbid(path.Child(f.name), reason)
		}
	}
}

func (c *podSpecCheck) forbidOnWindows() {
	const reason = "cannot be set for a windows pod"
	s := c.spec
	c.forbidSet(c.path, reason,
		settable{"hostUsers", s.HostUsers != nil},
		settable{"hostPID", s.HostPID},
		settable{"hostIPC", s.HostIPC},
		settable{"shareProcessNamespace", s.ShareProcessNamespace != nil})
	if sc := s.SecurityContext; sc != nil {
		c.forbidSet(c.path.Child("securityContext"), reason,
			settable{"appArmorProfile", sc.AppArmorProfile != nil},
			settable{"seLinuxOptions", sc.SELinuxOptions != nil},
			settable{"seccompProfile", sc.SeccompProfile != nil},
			settable{"fsGroup", sc.FSGroup != nil},
			settable{"fsGroupChangePolicy", sc.FSGroupChangePolicy != nil},
			settable{"sysctls", len(sc.Sysctls) > 0},
			settable{"runAsUser", sc.RunAsUser != nil},
			settable{"runAsGroup", sc.RunAsGroup != nil},
			settable{"supplementalGroups", sc.SupplementalGroups != nil},
			settable{"supplementalGroupsPolicy", sc.SupplementalGroupsPolicy != nil},
			settable{"seLinuxChangePolicy", sc.SELinuxChangePolicy != nil})
	}
	for ctr := range podContainers(s) {
		if sc := ctr.SecurityContext; sc != nil {
			c.forbidSet(ctr.path(c.path).Child("securityContext"), reason,
				settable{"appArmorProfile", sc.AppArmorProfile != nil},
				settable{"seLinuxOptions", sc.SELinuxOptions != nil},
				settable{"seccompProfile", sc.SeccompProfile != nil},
				settable{"capabilities", sc.Capabilities != nil},
				settable{"readOnlyRootFilesystem", sc.ReadOnlyRootFilesystem != nil},
				settable{"privileged", sc.Privileged != nil},
				settable{"allowPrivilegeEscalation", sc.AllowPrivilegeEscalation != nil},
				settable{"procMount", sc.ProcMount != nil},
				settable{"runAsUser", sc.RunAsUser != nil},
				settable{"runAsGroup", sc.RunAsGroup != nil})
		}
	}
}

// checkHostProcess covers Windows containers that run as processes of the node: all of the pod or none.
func (c *podSpecCheck) checkHostProcess() {
	var own *bool
	if sc := c.spec.SecurityContext; sc != nil && sc.WindowsOptions != nil {
		own = sc.WindowsOptions.HostProcess
	}
	all, hostProcess := 0, 0
	for ctr := range podContainers(c.spec) {
		all++
		inherited := own
		if sc := ctr.SecurityContext; sc != nil && sc.WindowsOptions != nil && sc.WindowsOptions.HostProcess != nil {
			inherited = sc.WindowsOptions.HostProcess
			if own != nil && *own != *inherited {
				c.invalid(ctr.path(c.path).Child("securityContext", "windowsOptions", "hostProcess"), *inherited,
					fmt.Sprintf("pod hostProcess value must be identical if both are specified, was %v", *own))
			}
		}
		if inherited != nil && *inherited {
			hostProcess++
		}
	}
	if hostProcess == 0 {
		return
	}
	if hostProcess != all {
		c.invalid(c.path, "", "If pod contains any hostProcess containers then all containers must be HostProcess containers")
	}
	if !c.spec.HostNetwork {
		c.invalid(c.path.Child("hostNetwork"), false, "hostNetwork must be true if pod contains any hostProcess containers")
	}
}

const (
	maxCredentialSpecKiB = 64
	// Bounds of DOMAIN\USER, in bytes.
	maxWindowsDomain = 256
	maxWindowsUser   = 104
)

// Names in Windows: a NetBIOS domain, a DNS domain, and what a user's name may not have.
var (
	controlChars      = regexp.MustCompile(`[[:cntrl:]]+`)
	netBIOSDomain     = regexp.MustCompile(`^[^\\/:\*\?"<>|\.][^\\/:\*\?"<>|]{0,14}$`)
	windowsDNSDomain  = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`)
	windowsUserBad    = regexp.MustCompile(`["/\\:;|=,\+\*\?<>@\[\]]`)
	windowsUserHollow = regexp.MustCompile(`^[\. ]+$`)
)

func (e *podErrors) checkWindowsOptions(o *corev1.WindowsSecurityContextOptions, path *field.Path) {
	if o == nil {
		return
	}
	if n := o.GMSACredentialSpecName; n != nil {
		e.invalid(path.Child("gmsaCredentialSpecName"), *n, validation.IsDNS1123Subdomain(*n)...)
	}
	if s := o.GMSACredentialSpec; s != nil {
		switch at := path.Child("gmsaCredentialSpec"); {
		case *s == "":
			e.invalid(at, *s, "gmsaCredentialSpec cannot be an empty string")
		case len(*s) > maxCredentialSpecKiB<<10:
			e.invalid(at, *s, fmt.Sprintf("gmsaCredentialSpec size must be under %d KiB", maxCredentialSpecKiB))
		}
	}
	if o.RunAsUserName != nil {
		e.invalid(path.Child("runAsUserName"), *o.RunAsUserName, windowsUserErrors(*o.RunAsUserName)...)
	}
}

// windowsUserErrors tells what is wrong with a name of the form DOMAIN\USER, or USER.
func windowsUserErrors(name string) []string {
	domain, user, hasDomain := strings.Cut(name, `\`)
	switch {
	case name == "":
		return []string{"runAsUserName cannot be an empty string"}
	case controlChars.MatchString(name):
		return []string{"runAsUserName cannot contain control characters"}
	case strings.Contains(user, `\`):
		return []string{"runAsUserName cannot contain more than one backslash"}
	case !hasDomain:
		domain, user = "", name
	}
	var errs []string
	if len(domain) >= maxWindowsDomain {
		errs = append(errs, fmt.Sprintf("runAsUserName's Domain length must be under %d characters", maxWindowsDomain))
	}
	if hasDomain && !netBIOSDomain.MatchString(domain) && !windowsDNSDomain.MatchString(domain) {
		errs = append(errs, "runAsUserName's Domain doesn't match the NetBios nor the DNS format")
	}
	if user == "" {
		errs = append(errs, "runAsUserName's User cannot be empty")
	}
	if len(user) > maxWindowsUser {
		errs = append(errs, fmt.Sprintf("runAsUserName's User length must not be longer than %d characters", maxWindowsUser))
	}
	if windowsUserHollow.MatchString(user) {
		errs = append(errs, "runAsUserName's User cannot contain only periods or spaces")
	}
	if windowsUserBad.MatchString(user) {
		errs = append(errs, `runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]`)
	}
	return errs
}
