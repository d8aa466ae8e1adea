package authn

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/proa-dev/proa/internal/access"
)

// uidAttribute is the type of the subject attribute that carries a user's UID (KEP-5001).
var uidAttribute = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57683, 2}

// Certificates authenticates by TLS client certificates: the common name is the user, the organizations
// are its groups. The server asks for certificates but does not verify them, so that one that is not valid
// gets an answer and no broken connection.
//
// A certificate is verified once for each connection whose context comes from ConnContext.
type Certificates struct {
	// Roots returns the authorities that are trusted.
	Roots func() *x509.CertPool
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

var _ access.Authenticator = Certificates{}

type connectionKey struct{}

// connection remembers what a connection's certificate amounted to.
type connection struct {
	mu    sync.Mutex
	user  *access.User // guarded by mu; nil until verified
	until time.Time    // guarded by mu; when the certificate ends
}

// ConnContext is for http.Server: it gives each connection the place where its user is remembered.
func ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, &connection{})
}

// Authenticate implements access.Authenticator.
func (c Certificates) Authenticate(r *http.Request) (*access.User, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	conn, _ := r.Context().Value(connectionKey{}).(*connection)
	if conn == nil {
		return c.User(r.TLS)
	}
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.user != nil && c.now().Before(conn.until) {
		return conn.user, nil
	}
	u, err := c.User(r.TLS)
	if err == nil {
		conn.user, conn.until = u, r.TLS.PeerCertificates[0].NotAfter
	}
	return u, err
}

// User verifies the client certificate of a connection. It returns nil if there is none, or none that
// names a user.
func (c Certificates) User(state *tls.ConnectionState) (*access.User, error) {
	if len(state.PeerCertificates) == 0 {
		return nil, nil
	}
	leaf := state.PeerCertificates[0]
	intermediates := x509.NewCertPool()
	for _, more := range state.PeerCertificates[1:] {
		intermediates.AddCert(more)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: c.Roots(), Intermediates: intermediates, CurrentTime: c.now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, fmt.Errorf("verifying certificate %s failed: %w", identify(leaf), err)
	}
	if leaf.Subject.CommonName == "" {
		return nil, nil
	}
	uid, err := subjectUID(leaf)
	if err != nil {
		return nil, err
	}
	print := sha256.Sum256(leaf.Raw)
	return known(access.User{
		Name: leaf.Subject.CommonName, UID: uid, Groups: leaf.Subject.Organization,
		Extra: map[string][]string{extraCredential: {"X509SHA256=" + hex.EncodeToString(print[:])}},
	}), nil
}

func (c Certificates) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func identify(c *x509.Certificate) string {
	return fmt.Sprintf("SN=%d, SKID=%s, AKID=%s", c.SerialNumber, colons(c.SubjectKeyId), colons(c.AuthorityKeyId))
}

func colons(id []byte) string {
	parts := make([]string, len(id))
	for i, b := range id {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

func subjectUID(c *x509.Certificate) (string, error) {
	var uids []string
	for _, n := range c.Subject.Names {
		if !n.Type.Equal(uidAttribute) {
			continue
		}
		uid, ok := n.Value.(string)
		if !ok {
			return "", errors.New("unable to parse UID into a string")
		}
		uids = append(uids, uid)
	}
	switch {
	case len(uids) == 0:
		return "", nil
	case len(uids) > 1:
		return "", fmt.Errorf("expected 1 UID, but found multiple: %v", uids)
	case uids[0] == "":
		return "", errors.New("UID cannot be an empty string")
	}
	return uids[0], nil
}
