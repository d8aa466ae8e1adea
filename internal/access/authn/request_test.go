package authn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/proa-dev/proa/internal/access"
)

func TestTokenFile(t *testing.T) {
	f, err := ReadTokenFile(strings.NewReader("t1,ann,u1,\"dev,ops\"\nt2,bob,u2\n"))
	if err != nil {
		t.Fatal(err)
	}
	v, _ := f.Verify(t.Context(), "t1", []string{"api"})
	want := &access.User{Name: "ann", UID: "u1", Groups: []string{"dev", "ops", "system:authenticated"}}
	if !reflect.DeepEqual(v.User, want) {
		t.Errorf("%+v", v.User)
	}
	if v, _ := f.Verify(t.Context(), "t2", nil); !reflect.DeepEqual(v.User.Groups, []string{"system:authenticated"}) {
		t.Errorf("%+v", v.User)
	}
	if v, err := f.Verify(t.Context(), "t3", nil); v != nil || err != nil {
		t.Errorf("%+v %v", v, err)
	}
	for content, want := range map[string]string{
		"t,u\n":               `line 1: 2 columns, want token, user name, user uid and perhaps "group,group"`,
		"a,b,c\nt,u,i,g,h\n":  `line 2: 5 columns, want token, user name, user uid and perhaps "group,group"`,
		"a,b,c\n\n,u,i\n":     "line 3: the token is empty",
		"a,,c\n":              "line 1: the user name is empty",
		"a,b,c\nx,y,z\na,d,e": "line 3: the token is that of line 1",
		"a,\"b,c\n":           `parse error on line 1, column 8: extraneous or missing " in quoted-field`,
	} {
		if _, err := ReadTokenFile(strings.NewReader(content)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", content, err, want)
		}
	}
	if _, err := OpenTokenFile("/nonexistent/tokens"); err == nil || err.Error() != "token file: open /nonexistent/tokens: no such file or directory" {
		t.Error(err)
	}
}

func fileTokens(t *testing.T) *TokenFile {
	f, err := ReadTokenFile(strings.NewReader("good,ann,u1\n"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestBearer(t *testing.T) {
	encoded := base64.RawURLEncoding.EncodeToString([]byte("good"))
	socket := func(protocols ...string) http.Header {
		return http.Header{"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"WebSocket"}, protocolHeader: protocols}
	}
	header := func(v string) http.Header { return http.Header{"Authorization": {v}} }
	for _, c := range []struct {
		name   string
		header http.Header
		user   string
		err    string
		rest   string // of the header the token was in
	}{
		{"none", http.Header{}, access.Anonymous, "", ""},
		{"good", header("Bearer good"), "ann", "", ""},
		{"the scheme's case", header(" bearer good "), "ann", "", ""},
		{"not valid", header("Bearer bad"), "", "invalid bearer token", "Bearer bad"},
		{"another scheme", header("Basic good"), access.Anonymous, "", "Basic good"},
		{"extra space", header("Bearer  good"), access.Anonymous, "", "Bearer  good"},
		{"empty", header("Bearer"), access.Anonymous, "", "Bearer"},
		{"websocket", socket("v5.channel.k8s.io, " + protocolPrefix + encoded), "ann", "", "v5.channel.k8s.io"},
		{"websocket, two headers", socket(protocolPrefix+encoded, "a", "b"), "ann", "", "a,b"},
		{"websocket, not valid", socket("a", protocolPrefix+"YmFk"), "", "invalid bearer token", "a"},
		{"websocket alone", socket(protocolPrefix + encoded), "", "missing additional subprotocol", protocolPrefix + encoded},
		{"websocket twice", socket("a", protocolPrefix+encoded, protocolPrefix+encoded), "", "multiple base64.bearer.authorization tokens specified", "a"},
		{"websocket, encoding", socket("a", protocolPrefix+"%"), "", "invalid base64.bearer.authorization token encoding", "a"},
		{"websocket, text", socket("a", protocolPrefix+"_w"), "", "invalid base64.bearer.authorization token", "a"},
		{"no websocket", http.Header{protocolHeader: {"a", protocolPrefix + encoded}}, access.Anonymous, "", "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header = c.header
			u, err := Union{[]access.Authenticator{Certificates{}, Bearer{Tokens: TokenKinds{fileTokens(t)}}}, true}.Authenticate(r)
			if got := text(err); got != c.err {
				t.Errorf("error %q, want %q", got, c.err)
			}
			if got := nameOf(u); got != c.user {
				t.Errorf("user %q, want %q", got, c.user)
			}
			if got := r.Header.Get("Authorization") + r.Header.Get(protocolHeader); got != c.rest {
				t.Errorf("%q is left in the header, want %q", got, c.rest)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func nameOf(u *access.User) string {
	if u == nil {
		return ""
	}
	return u.Name
}

// authority makes client certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a := &authority{key: key}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = a.sign(t, a.cert)
	return a
}

func (a *authority) sign(t *testing.T, template *x509.Certificate) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (a *authority) client(t *testing.T, subject pkix.Name, usage x509.ExtKeyUsage) *x509.Certificate {
	return a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Minute),
	})
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func TestCertificates(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	uids := func(list ...string) pkix.Name {
		n := pkix.Name{CommonName: "ann"}
		for _, uid := range list {
			n.ExtraNames = append(n.ExtraNames, pkix.AttributeTypeAndValue{Type: uidAttribute, Value: uid})
		}
		return n
	}
	for _, c := range []struct {
		name string
		cert *x509.Certificate
		user *access.User
		err  string
	}{
		{"user and groups", a.client(t, pkix.Name{CommonName: "ann", Organization: []string{"dev", "ops"}}, x509.ExtKeyUsageClientAuth),
			&access.User{Name: "ann", Groups: []string{"dev", "ops", "system:authenticated"}}, ""},
		{"uid", a.client(t, uids("u1"), x509.ExtKeyUsageClientAuth), &access.User{Name: "ann", UID: "u1", Groups: []string{"system:authenticated"}}, ""},
		{"two uids", a.client(t, uids("u1", "u2"), x509.ExtKeyUsageClientAuth), nil, "expected 1 UID, but found multiple: [u1 u2]"},
		{"empty uid", a.client(t, uids(""), x509.ExtKeyUsageClientAuth), nil, "UID cannot be an empty string"},
		{"no name", a.client(t, pkix.Name{Organization: []string{"dev"}}, x509.ExtKeyUsageClientAuth), nil, ""},
		{"a server's", a.client(t, pkix.Name{CommonName: "ann"}, x509.ExtKeyUsageServerAuth), nil, "x509: certificate specifies an incompatible key usage"},
		{"another authority's", other.client(t, pkix.Name{CommonName: "ann"}, x509.ExtKeyUsageClientAuth), nil, "x509: certificate signed by unknown authority"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := Certificates{Roots: a.pool}.User(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.cert}})
			if c.err == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %s", err, c.err)
			}
			if c.user == nil {
				if u != nil {
					t.Errorf("user %+v", u)
				}
				return
			}
			if id := u.Extra[extraCredential][0]; !strings.HasPrefix(id, "X509SHA256=") || len(id) != len("X509SHA256=")+64 {
				t.Errorf("credential %s", id)
			}
			c.user.Extra = u.Extra
			if !reflect.DeepEqual(u, c.user) {
				t.Errorf("user %+v", u)
			}
		})
	}
}

func TestCertificateIsVerifiedOncePerConnection(t *testing.T) {
	a := newAuthority(t)
	verified := 0
	now := time.Now()
	c := Certificates{
		Roots: func() *x509.CertPool { verified++; return a.pool() },
		Now:   func() time.Time { return now },
	}
	request := func() *http.Request {
		r := httptest.NewRequest("GET", "/", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{a.client(t, pkix.Name{CommonName: "ann"}, x509.ExtKeyUsageClientAuth)}}
		return r
	}
	r := request()
	r = r.WithContext(ConnContext(t.Context(), nil))
	for range 3 {
		if u, err := c.Authenticate(r); err != nil || u.Name != "ann" {
			t.Fatal(u, err)
		}
	}
	if verified != 1 {
		t.Errorf("verified %d times", verified)
	}
	now = now.Add(2 * time.Minute)
	if u, err := c.Authenticate(r); err == nil || u != nil {
		t.Errorf("a certificate that ended during the connection is still good for %v", u)
	}
	now = time.Now()
	if u, err := c.Authenticate(request()); err != nil || u.Name != "ann" {
		t.Error("a connection without its context", err)
	}
}

func TestUnion(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	if u, err := (Union{}).Authenticate(r); u != nil || err != nil {
		t.Errorf("without anonymous: %v %v", u, err)
	}
	a, other := newAuthority(t), newAuthority(t)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{other.client(t, pkix.Name{CommonName: "ann"}, x509.ExtKeyUsageClientAuth)}}
	union := Union{[]access.Authenticator{Certificates{Roots: a.pool}, Bearer{Tokens: fileTokens(t)}}, true}
	if u, err := union.Authenticate(r); u != nil || err == nil {
		t.Errorf("a bad certificate is no way to be anonymous: %v", u)
	}
	r.Header.Set("Authorization", "Bearer good")
	if u, err := union.Authenticate(r); err != nil || u.Name != "ann" {
		t.Errorf("a good token beside a bad certificate: %v %v", u, err)
	}
}

func BenchmarkCertificateOfConnection(b *testing.B) {
	u := &access.User{Name: "ann"}
	ctx := ConnContext(b.Context(), nil)
	conn := ctx.Value(connectionKey{}).(*connection)
	conn.user, conn.until = u, time.Now().Add(time.Hour)
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
	for b.Loop() {
		if got, err := (Certificates{}).Authenticate(r); got != u || err != nil {
			b.Fatal(got, err)
		}
	}
}
