// Package pki keeps the keys and certificates of a control plane in one directory: its certificate
// authority, the serving certificate, the clients' certificates and the key that signs service account
// tokens. What is missing is made, what is there is used, what runs out is made anew; what is damaged or
// foreign is refused with a sentence that says which file and why, and never overwritten.
//
// All keys are ECDSA P-256: made in microseconds, where an RSA key takes most of the time that a whole
// start may take.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

const (
	authorityLife   = 10 * 365 * 24 * time.Hour
	certificateLife = 365 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is made anew.
	renewBefore = 30 * 24 * time.Hour
	// skew is how far other machines' clocks may be behind.
	skew = 5 * time.Minute
)

// Options of a directory of keys.
type Options struct {
	Dir string
	// Hosts are names and addresses, beside the usual ones, by which clients reach the server.
	Hosts []string
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// PKI is an open directory of keys and certificates.
type PKI struct {
	// CA is the PEM certificate of the authority that all other certificates here come from.
	CA []byte
	// SigningKey signs service account tokens.
	SigningKey crypto.Signer

	options     Options
	certificate *x509.Certificate
	key         crypto.Signer
	serving     serving
}

// Open reads the directory and makes what it lacks.
func Open(o Options) (*PKI, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	p := &PKI{options: o}
	if err := p.openAuthority(); err != nil {
		return nil, err
	}
	if err := p.openSigningKey(); err != nil {
		return nil, err
	}
	p.serving.hosts = servingHosts(o.Hosts)
	if _, err := p.Serving(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *PKI) path(name string) string { return filepath.Join(p.options.Dir, name) }

func (p *PKI) openAuthority() error {
	cert, key, err := p.readPair("ca")
	if err != nil {
		return err
	}
	if cert == nil {
		return p.makeAuthority()
	}
	if !cert.IsCA {
		return fmt.Errorf("pki: %s is not the certificate of an authority", p.path("ca.crt"))
	}
	now := p.options.Now()
	if now.After(cert.NotAfter) {
		return fmt.Errorf("pki: the authority in %s expired on %s: remove the directory %s to begin with a new one; clients will need new kubeconfigs",
			p.path("ca.crt"), cert.NotAfter.Format(time.DateOnly), p.options.Dir)
	}
	if now.Before(cert.NotBefore) {
		return fmt.Errorf("pki: the authority in %s is not valid before %s: is this machine's clock right?",
			p.path("ca.crt"), cert.NotBefore.Format(time.DateTime))
	}
	p.certificate, p.key, p.CA = cert, key, encodeCertificate(cert.Raw)
	return nil
}

func (p *PKI) makeAuthority() error {
	key, err := newKey()
	if err != nil {
		return fmt.Errorf("pki: make the authority's key: %w", err)
	}
	now := p.options.Now()
	der, err := certify(&x509.Certificate{
		Subject:   pkix.Name{CommonName: "kubernetes"},
		NotBefore: now.Add(-skew), NotAfter: now.Add(authorityLife),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
		IsCA:     true, BasicConstraintsValid: true,
		DNSNames: []string{"kubernetes"},
	}, nil, key, key)
	if err != nil {
		return fmt.Errorf("pki: make the authority: %w", err)
	}
	if p.certificate, err = x509.ParseCertificate(der); err != nil {
		return fmt.Errorf("pki: make the authority: %w", err)
	}
	p.key, p.CA = key, encodeCertificate(der)
	return p.writePair("ca", der, key)
}

func (p *PKI) openSigningKey() error {
	path := p.path("sa.key")
	data, err := readFile(path)
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	if data != nil {
		if p.SigningKey, err = ParseKey(data); err != nil {
			return fmt.Errorf("pki: %s: %w", path, err)
		}
		return nil
	}
	if p.SigningKey, err = newKey(); err != nil {
		return fmt.Errorf("pki: make the token signing key: %w", err)
	}
	if data, err = encodeKey(p.SigningKey); err != nil {
		return fmt.Errorf("pki: make the token signing key: %w", err)
	}
	return p.write("sa.key", data)
}

// readPair returns nil if neither file is there. One without the other is an error.
func (p *PKI) readPair(name string) (*x509.Certificate, crypto.Signer, error) {
	crtPath, keyPath := p.path(name+".crt"), p.path(name+".key")
	crtData, crtErr := readFile(crtPath)
	keyData, keyErr := readFile(keyPath)
	if err := errors.Join(crtErr, keyErr); err != nil {
		return nil, nil, fmt.Errorf("pki: %w", err)
	}
	switch {
	case crtData == nil && keyData == nil:
		return nil, nil, nil
	case crtData == nil && name == "ca":
		return nil, nil, fmt.Errorf("pki: %s is there but %s is missing: restore it, or remove the key to begin anew", keyPath, crtPath)
	case crtData == nil:
		// A key whose certificate was never written: the last start ended between the two.
		return nil, nil, nil
	case keyData == nil:
		return nil, nil, fmt.Errorf("pki: %s is there but %s is missing: restore it, or remove the certificate to begin anew", crtPath, keyPath)
	}
	cert, err := ParseCertificate(crtData)
	if err != nil {
		return nil, nil, fmt.Errorf("pki: %s: %w", crtPath, err)
	}
	key, err := ParseKey(keyData)
	if err != nil {
		return nil, nil, fmt.Errorf("pki: %s: %w", keyPath, err)
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("pki: %s does not belong to %s", keyPath, crtPath)
	}
	return cert, key, nil
}

// writePair writes the key first: a certificate is there only with its key.
func (p *PKI) writePair(name string, der []byte, key *ecdsa.PrivateKey) error {
	data, err := encodeKey(key)
	if err != nil {
		return fmt.Errorf("pki: %s: %w", name, err)
	}
	if err := p.write(name+".key", data); err != nil {
		return err
	}
	return p.write(name+".crt", encodeCertificate(der))
}

func (p *PKI) write(name string, data []byte) error {
	if err := WriteFile(p.path(name), data); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	return nil
}

// certify signs a certificate for key; parent is nil for one that signs itself.
func certify(template, parent *x509.Certificate, key *ecdsa.PrivateKey, signer crypto.Signer) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	if parent == nil {
		parent = template
	}
	return x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
}
