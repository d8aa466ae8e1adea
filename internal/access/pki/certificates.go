package pki

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// serving is the server's certificate as it is now.
type serving struct {
	hosts []string
	mu    sync.Mutex
	now   *tls.Certificate // guarded by mu
}

// Names by which every cluster's API server is known, and the first address of the services' range.
func usualHosts() []string {
	return []string{
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		"127.0.0.1", "::1", "10.0.0.1",
	}
}

func servingHosts(more []string) []string {
	hosts := usualHosts()
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	for _, h := range more {
		if ip := net.ParseIP(h); h == "" || ip != nil && ip.IsUnspecified() || slices.Contains(hosts, h) {
			continue
		}
		hosts = append(hosts, h)
	}
	return hosts
}

// Serving returns the server's certificate, made anew if it is about to end or lacks a host.
func (p *PKI) Serving() (*tls.Certificate, error) {
	s := &p.serving
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil && !p.ending(s.now.Leaf) {
		return s.now, nil
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range s.hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	c, err := p.certificateOf("apiserver", template)
	if err != nil {
		return nil, err
	}
	s.now = c
	return c, nil
}

// GetCertificate is for tls.Config: a server that runs for a year renews its certificate itself.
func (p *PKI) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.Serving() }

// ClientCAs is the pool that clients' certificates are verified against.
func (p *PKI) ClientCAs() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.certificate)
	return pool
}

// Client returns the certificate of a user, kept under the file name, made anew if it is about to end.
func (p *PKI) Client(file, user string, groups ...string) (*tls.Certificate, error) {
	return p.certificateOf(file, &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// The users of the components, as kubeadm names them.

// Admin is the certificate of the person who runs the cluster.
func (p *PKI) Admin() (*tls.Certificate, error) {
	return p.Client("admin", "kubernetes-admin", "system:masters")
}

// ControllerManager is the certificate of the controllers.
func (p *PKI) ControllerManager() (*tls.Certificate, error) {
	return p.Client("controller-manager", "system:kube-controller-manager")
}

// Scheduler is the certificate of the scheduler.
func (p *PKI) Scheduler() (*tls.Certificate, error) {
	return p.Client("scheduler", "system:kube-scheduler")
}

// KubeletClient is the certificate that the API server shows to node agents.
func (p *PKI) KubeletClient() (*tls.Certificate, error) {
	return p.Client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
}

// Node is the certificate of a node's agent.
func (p *PKI) Node(name string) (*tls.Certificate, error) {
	return p.Client("node-"+name, "system:node:"+name, "system:nodes")
}

// certificateOf reads the certificate of that file name, or makes it from the template.
func (p *PKI) certificateOf(file string, template *x509.Certificate) (*tls.Certificate, error) {
	cert, key, err := p.readPair(file)
	if err != nil {
		return nil, err
	}
	if cert != nil {
		if err := cert.CheckSignatureFrom(p.certificate); err != nil {
			return nil, fmt.Errorf("pki: %s does not come from the authority in %s: remove it, and its key, to have it made anew",
				p.path(file+".crt"), p.path("ca.crt"))
		}
		if !p.ending(cert) && covers(cert, template) {
			return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
		}
	}
	return p.issue(file, template)
}

func (p *PKI) issue(file string, template *x509.Certificate) (*tls.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("pki: make the key of %s: %w", file, err)
	}
	now := p.options.Now()
	template.NotBefore, template.NotAfter = now.Add(-skew), now.Add(certificateLife)
	if template.NotAfter.After(p.certificate.NotAfter) {
		template.NotAfter = p.certificate.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	template.BasicConstraintsValid = true
	der, err := certify(template, p.certificate, key, p.key)
	if err != nil {
		return nil, fmt.Errorf("pki: make the certificate %s: %w", file, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("pki: make the certificate %s: %w", file, err)
	}
	if err := p.replacePair(file, der, key); err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// replacePair takes the old certificate away before its key changes, so that a stop in between leaves a
// key alone, which the next start replaces, and never a pair that does not fit.
func (p *PKI) replacePair(file string, der []byte, key *ecdsa.PrivateKey) error {
	if err := os.Remove(p.path(file + ".crt")); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("pki: %w", err)
	}
	return p.writePair(file, der, key)
}

// ending tells whether it is time to make a certificate anew. The authority's own end cannot be put off.
func (p *PKI) ending(c *x509.Certificate) bool {
	now := p.options.Now()
	if now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return true
	}
	return now.Add(renewBefore).After(c.NotAfter) && c.NotAfter.Before(p.certificate.NotAfter.Truncate(time.Second))
}

// covers tells whether a certificate says at least what the template says.
func covers(c, template *x509.Certificate) bool {
	if c.Subject.CommonName != template.Subject.CommonName || !slices.Equal(c.Subject.Organization, template.Subject.Organization) {
		return false
	}
	for _, name := range template.DNSNames {
		if !slices.Contains(c.DNSNames, name) {
			return false
		}
	}
	for _, ip := range template.IPAddresses {
		if !slices.ContainsFunc(c.IPAddresses, ip.Equal) {
			return false
		}
	}
	return true
}
