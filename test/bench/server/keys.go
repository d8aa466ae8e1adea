package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// tlsFiles are the PEM contents that a client needs.
type tlsFiles struct{ ca, cert, key []byte }

// writeKeys makes what the peer needs to serve TLS and to know its administrator.
func writeKeys(dir string) (tlsFiles, error) {
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tlsFiles{}, err
	}
	write := func(name string, template *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, []byte, error) {
		template.NotBefore, template.NotAfter = ca.NotBefore, ca.NotAfter
		der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
		if err != nil {
			return nil, nil, err
		}
		keyDER, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			return nil, nil, err
		}
		certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
		if err := os.WriteFile(filepath.Join(dir, name+".crt"), certPEM, 0o600); err != nil {
			return nil, nil, err
		}
		return certPEM, keyPEM, os.WriteFile(filepath.Join(dir, name+".key"), keyPEM, 0o600)
	}
	caPEM, _, err := write("ca", ca, caKey)
	if err != nil {
		return tlsFiles{}, err
	}
	newKey := func() *ecdsa.PrivateKey {
		k, kerr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if kerr != nil {
			err = kerr
		}
		return k
	}
	serving, admin, accounts := newKey(), newKey(), newKey()
	if err != nil {
		return tlsFiles{}, err
	}
	if _, _, err := write("serving", &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, serving); err != nil {
		return tlsFiles{}, err
	}
	if _, _, err := write("sa", &x509.Certificate{SerialNumber: big.NewInt(3)}, accounts); err != nil {
		return tlsFiles{}, err
	}
	cert, key, err := write("admin", &x509.Certificate{
		SerialNumber: big.NewInt(4), Subject: pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, admin)
	return tlsFiles{ca: caPEM, cert: cert, key: key}, err
}

// insecureTransport is for probes before anything is known of the server.
func insecureTransport() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
}

// ClientTLS is how a client trusts the server, and is the administrator to it.
func (s *Server) ClientTLS() (*tls.Config, error) {
	cert, err := tls.X509KeyPair(s.files.cert, s.files.key)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.files.ca)
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}, nil
}
