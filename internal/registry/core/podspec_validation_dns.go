package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

// What the resolver in containers can hold.
const (
	maxNameservers      = 3
	maxSearchPaths      = 32
	maxSearchListChars  = 2048 // with the spaces between them
	maxHostnameOverride = 64
)

func (c *podSpecCheck) checkDNSConfig() {
	d, path := c.spec.DNSConfig, c.path.Child("dnsConfig")
	if c.spec.DNSPolicy == corev1.DNSNone {
		if d == nil {
			c.required(path, fmt.Sprintf("must provide `dnsConfig` when `dnsPolicy` is %s", corev1.DNSNone))
			return
		}
		if len(d.Nameservers) == 0 {
			c.required(path.Child("nameservers"), fmt.Sprintf("must provide at least one DNS nameserver when `dnsPolicy` is %s", corev1.DNSNone))
			return
		}
	}
	if d == nil {
		return
	}
	if len(d.Nameservers) > maxNameservers {
		c.invalid(path.Child("nameservers"), d.Nameservers, fmt.Sprintf("must not have more than %v nameservers", maxNameservers))
	}
	for i, ns := range d.Nameservers {
		c.add(validation.IsValidIPForLegacyField(path.Child("nameservers").Index(i).Common(), ns, true, nil)...)
	}
	searches := path.Child("searches")
	if len(d.Searches) > maxSearchPaths {
		c.invalid(searches, d.Searches, fmt.Sprintf("must not have more than %v search paths", maxSearchPaths))
	}
	if len(strings.Join(d.Searches, " ")) > maxSearchListChars {
		c.invalid(searches, d.Searches, fmt.Sprintf("must not have more than %v characters (including spaces) in the search list", maxSearchListChars))
	}
	for i, s := range d.Searches {
		if s == "." {
			continue
		}
		s = strings.TrimSuffix(s, ".")
		c.invalid(searches.Index(i), s, validation.IsDNS1123SubdomainWithUnderscore(s)...)
	}
	for i, o := range d.Options {
		if o.Name == "" {
			c.required(path.Child("options").Index(i), "must not be empty")
		}
	}
}

func (c *podSpecCheck) checkHostAliases() {
	for i, a := range c.spec.HostAliases {
		at := c.path.Child("hostAliases").Index(i)
		c.add(validation.IsValidIPForLegacyField(at.Child("ip").Common(), a.IP, true, nil)...)
		for j, h := range a.Hostnames {
			c.invalid(at.Child("hostnames").Index(j), h, validation.IsDNS1123Subdomain(h)...)
		}
	}
}

func (c *podSpecCheck) checkHostnameOverride() {
	name, path := c.spec.HostnameOverride, c.path.Child("hostnameOverride")
	if name == nil {
		return
	}
	if fqdn := c.spec.SetHostnameAsFQDN; fqdn != nil && *fqdn {
		c.forbid(path, "may not be specified when setHostnameAsFQDN is true")
	}
	if c.spec.HostNetwork {
		c.forbid(path, "may not be specified when hostNetwork is true")
	}
	if len(*name) > maxHostnameOverride {
		c.add(field.TooLong(path, "", maxHostnameOverride))
	}
	c.invalid(path, *name, validation.IsDNS1123Subdomain(*name)...)
}
