package etcd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
)

// Options say where the cluster is. Only Endpoints are required.
type Options struct {
	// Endpoints are the URLs of the members, such as https://10.0.0.1:2379.
	Endpoints []string
	// Prefix is what all keys in etcd begin with; empty is /registry.
	Prefix string
	// Strip is what Prefix stands for: store keys begin with it, and the rest follows Prefix in etcd. Empty
	// puts Prefix in front of whole keys.
	Strip string
	// CAFile, CertFile and KeyFile are PEM files for TLS: the authority of the members' certificates, and
	// the certificate and key that this server shows them.
	CAFile, CertFile, KeyFile string
	// DialTimeout is how long Open waits for a member to answer; 0 is 20 s.
	DialTimeout time.Duration
	// RequestTimeout bounds every request whose context does not end before; 0 is 10 s.
	RequestTimeout time.Duration
	// KeepAliveTime is after how long a silent connection is tried, and KeepAliveTimeout how long the answer
	// may take; 0 is 30 s and 10 s.
	KeepAliveTime, KeepAliveTimeout time.Duration
	// CompactInterval is how old a revision must be at least before it is compacted; it may get twice as old.
	// 0 is 5 minutes; negative never compacts.
	CompactInterval time.Duration
	// Logger is told what an operator should know; nil is nobody.
	Logger *slog.Logger
}

// DefaultPrefix is kube-apiserver's.
const DefaultPrefix = "/registry"

// Validate says in a sentence what makes no sense.
func (o Options) Validate() error {
	if len(o.Endpoints) == 0 {
		return errors.New("etcd needs the URL of a member at least")
	}
	scheme := ""
	for _, endpoint := range o.Endpoints {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
			return fmt.Errorf("etcd server %q is not a URL such as https://10.0.0.1:2379", endpoint)
		}
		if scheme != "" && scheme != u.Scheme {
			return errors.New("the etcd servers are reached either all by https or all by http")
		}
		scheme = u.Scheme
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return errors.New("the certificate and the key for etcd are given together or not at all")
	}
	if scheme == "http" && (o.CAFile != "" || o.CertFile != "") {
		return errors.New("certificates for etcd are given, but its servers are reached by http")
	}
	if o.Prefix != "" && (!strings.HasPrefix(o.Prefix, "/") || strings.Trim(o.Prefix, "/") == "") {
		return fmt.Errorf("etcd prefix %q does not begin with a slash and a name", o.Prefix)
	}
	if o.DialTimeout < 0 || o.RequestTimeout < 0 || o.KeepAliveTime < 0 || o.KeepAliveTimeout < 0 {
		return errors.New("the timeouts for etcd cannot be negative")
	}
	return nil
}

func (o Options) withDefaults() Options {
	setDefault(&o.Prefix, DefaultPrefix)
	setDefault(&o.DialTimeout, 20*time.Second)
	setDefault(&o.RequestTimeout, 10*time.Second)
	setDefault(&o.KeepAliveTime, 30*time.Second)
	setDefault(&o.KeepAliveTimeout, 10*time.Second)
	setDefault(&o.CompactInterval, 5*time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// tls is nil for http.
func (o Options) tls() (*tls.Config, error) {
	if strings.HasPrefix(o.Endpoints[0], "http:") {
		return nil, nil
	}
	config, err := transport.TLSInfo{TrustedCAFile: o.CAFile, CertFile: o.CertFile, KeyFile: o.KeyFile}.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("certificates for etcd: %w", err)
	}
	return config, nil
}
