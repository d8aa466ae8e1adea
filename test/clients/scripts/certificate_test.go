package scripts_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// certificate makes a certificate of the user ann in the group crew, signed by the cluster's CA unless it
// shall be foreign.
func certificate(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: certificate NAME [expired] [foreign]")
	}
	user, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	until := time.Now().Add(time.Hour)
	if slices.Contains(args, "expired") {
		until = time.Now().Add(-time.Minute)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "ann", Organization: []string{"crew"}},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	ca, caKey, err := authority(ts.Getenv("DATA"), slices.Contains(args, "foreign"))
	ts.Check(err)
	der, err := x509.CreateCertificate(rand.Reader, form, ca, user.Public(), caKey)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(user)
	ts.Check(err)
	for ending, block := range map[string]pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+ending), pem.EncodeToMemory(&block), 0o600))
	}
}

// authority is the cluster's CA, or another of the same name.
func authority(data string, foreign bool) (*x509.Certificate, any, error) {
	own, err := tls.LoadX509KeyPair(filepath.Join(data, "pki", "ca.crt"), filepath.Join(data, "pki", "ca.key"))
	if err != nil || !foreign {
		return own.Leaf, own.PrivateKey, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	forged := *own.Leaf
	forged.PublicKey = key.Public()
	return &forged, key, nil
}
