package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"
)

func FuzzFiles(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	whole := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	f.Add(append([]byte("-----BEGIN X-----\n-----END X-----\n"), whole...))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, err := ParseKey(data); (k == nil) == (err == nil) {
			t.Errorf("%q: %v, %v", data, k, err)
		}
		if c, err := ParseCertificate(data); (c == nil) == (err == nil) {
			t.Errorf("%q: %v, %v", data, c, err)
		}
	})
}
