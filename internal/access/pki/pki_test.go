package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

func open(t *testing.T, o Options) *PKI {
	t.Helper()
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFilesAreReusedAndPrivate(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "new", "pki"), Hosts: []string{"example.com", "192.0.2.7", "0.0.0.0"}}
	p := open(t, o)
	admin, err := p.Admin()
	if err != nil {
		t.Fatal(err)
	}
	serving, _ := p.Serving()
	if err := p.WriteKubeconfig(filepath.Join(o.Dir, "admin.conf"), Kubeconfig{Server: "https://x", Certificate: admin}); err != nil {
		t.Fatal(err)
	}
	files := 0
	filepath.WalkDir(o.Dir, func(path string, d fs.DirEntry, err error) error {
		info, _ := d.Info()
		if want := fs.FileMode(0o600); !d.IsDir() && info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		if d.IsDir() && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		files++
		return err
	})
	if files != 9 {
		t.Errorf("%d entries, want the directory, 3 pairs, the signing key and the kubeconfig", files)
	}
	q := open(t, o)
	again, _ := q.Admin()
	servingAgain, _ := q.Serving()
	if !bytes.Equal(p.CA, q.CA) || !again.Leaf.Equal(admin.Leaf) || !servingAgain.Leaf.Equal(serving.Leaf) {
		t.Error("a restart made new certificates")
	}
	for _, h := range append(usualHosts(), "example.com", "192.0.2.7") {
		if err := serving.Leaf.VerifyHostname(h); err != nil {
			t.Error(err)
		}
	}
	o.Hosts = append(o.Hosts, "more.example.com")
	more, _ := open(t, o).Serving()
	if err := more.Leaf.VerifyHostname("more.example.com"); err != nil {
		t.Error(err)
	}
}

func TestCertificatesRenew(t *testing.T) {
	now := time.Now()
	o := Options{Dir: t.TempDir(), Now: func() time.Time { return now }}
	p := open(t, o)
	first, _ := p.Serving()
	admin, _ := p.Admin()
	now = now.Add(certificateLife - renewBefore - time.Hour)
	if c, _ := p.Serving(); c != first {
		t.Error("renewed too early")
	}
	now = now.Add(2 * time.Hour)
	c, err := p.Serving()
	if err != nil || c.Leaf.Equal(first.Leaf) || c.Leaf.NotAfter.Before(now.Add(certificateLife-time.Hour)) {
		t.Errorf("not renewed: %v", err)
	}
	if a, err := p.Admin(); err != nil || a.Leaf.Equal(admin.Leaf) {
		t.Errorf("the client's certificate is not renewed: %v", err)
	}
	now = now.Add(authorityLife - certificateLife)
	last, err := p.Serving()
	if err != nil || last.Leaf.NotAfter.After(p.certificate.NotAfter) {
		t.Errorf("a certificate outlives its authority: %v", err)
	}
	if c, _ := p.Serving(); c != last {
		t.Error("made anew for nothing: it cannot live longer than its authority")
	}
}

func TestDamageIsRefused(t *testing.T) {
	year := 366 * 24 * time.Hour
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		later  time.Duration
		want   string
	}{
		{"authority without key", remove("ca.key"), 0, "ca.crt is there but "},
		{"authority without certificate", remove("ca.crt"), 0, "ca.key is there but "},
		{"certificate without key", remove("apiserver.key"), 0, "apiserver.crt is there but "},
		{"garbage", overwrite("ca.crt", "hello"), 0, "ca.crt: it holds no PEM certificate"},
		{"a damaged certificate", overwrite("apiserver.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0, "apiserver.crt: x509: "},
		{"a damaged key", overwrite("sa.key", ""), 0, "sa.key: it holds no PEM private key"},
		{"another's key", foreign("ca.key"), 0, "ca.key does not belong to "},
		{"another's pair", foreign("apiserver.key", "apiserver.crt"), 0, "apiserver.crt does not come from the authority in "},
		{"not an authority", func(t *testing.T, dir string) {
			copyFile(t, dir, "apiserver.crt", dir, "ca.crt")
			copyFile(t, dir, "apiserver.key", dir, "ca.key")
		}, 0, "ca.crt is not the certificate of an authority"},
		{"expired", nil, 10 * year, " expired on "},
		{"the clock is wrong", nil, -year, " is not valid before "},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Dir: t.TempDir()}
			open(t, o)
			if c.damage != nil {
				c.damage(t, o.Dir)
			}
			before := snapshot(t, o.Dir)
			o.Now = func() time.Time { return time.Now().Add(c.later) }
			_, err := Open(o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if after := snapshot(t, o.Dir); after != before {
				t.Errorf("files were changed:\n%s\n%s", before, after)
			}
		})
	}
}

func TestStopBetweenKeyAndCertificate(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	open(t, o)
	if err := os.Remove(filepath.Join(o.Dir, "apiserver.crt")); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, o).Serving(); err != nil {
		t.Error(err)
	}
}

func TestKubeconfigConnects(t *testing.T) {
	p := open(t, Options{Dir: t.TempDir()})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaf := r.TLS.PeerCertificates[0]
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: p.ClientCAs(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Error(err)
		}
		w.Write([]byte(leaf.Subject.CommonName + " " + strings.Join(leaf.Subject.Organization, ",")))
	}))
	server.TLS = &tls.Config{GetCertificate: p.GetCertificate, ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	for _, c := range []struct {
		cert func() (*tls.Certificate, error)
		want string
	}{
		{p.Admin, "kubernetes-admin system:masters"},
		{p.ControllerManager, "system:kube-controller-manager "},
		{p.Scheduler, "system:kube-scheduler "},
		{func() (*tls.Certificate, error) { return p.Node("n1") }, "system:node:n1 system:nodes"},
	} {
		cert, err := c.cert()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "kubeconfig")
		// httptest's own certificate would be served to clients that send no server name.
		if err := p.WriteKubeconfig(path, Kubeconfig{Server: server.URL, Certificate: cert}); err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(config.CAData)
		client, err := tls.X509KeyPair(config.CertData, config.KeyData)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{client}, ServerName: "localhost"}}
		res, err := (&http.Client{Transport: transport}).Get(config.Host)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		body.ReadFrom(res.Body)
		res.Body.Close()
		transport.CloseIdleConnections()
		if body.String() != c.want {
			t.Errorf("the server saw %q, want %q", body.String(), c.want)
		}
	}
}

func remove(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func overwrite(name, content string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// foreign replaces files by those of another cluster.
func foreign(names ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		other := t.TempDir()
		open(t, Options{Dir: other})
		for _, name := range names {
			copyFile(t, other, name, dir, name)
		}
	}
}

func copyFile(t *testing.T, fromDir, from, toDir, to string) {
	data, err := os.ReadFile(filepath.Join(fromDir, from))
	if err != nil {
		t.Fatal(err)
	}
	overwrite(to, string(data))(t, toDir)
}

func snapshot(t *testing.T, dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		data, _ := os.ReadFile(filepath.Join(dir, e.Name()))
		b.WriteString(e.Name() + "\n" + string(data))
	}
	return b.String()
}

func BenchmarkFirstStart(b *testing.B) {
	for b.Loop() {
		p, err := Open(Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Admin(); err != nil {
			b.Fatal(err)
		}
	}
}
