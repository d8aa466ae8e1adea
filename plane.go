package proa

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/admission"
	"github.com/proa-dev/proa/internal/access/authn"
	"github.com/proa-dev/proa/internal/access/authz"
	roles "github.com/proa-dev/proa/internal/access/authz/bootstrap"
	"github.com/proa-dev/proa/internal/access/pki"
	"github.com/proa-dev/proa/internal/apiserver"
	"github.com/proa-dev/proa/internal/bootstrap"
	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/http2"
	"github.com/proa-dev/proa/internal/registry/builtin"
	"github.com/proa-dev/proa/internal/registry/core/allocate"
	"github.com/proa-dev/proa/internal/store"
	"github.com/proa-dev/proa/internal/store/embedded"
)

// The audience of service account tokens, and who issues them.
const tokenIssuer = "https://kubernetes.default.svc.cluster.local"

// How long a client may take to send a request's headers, and leave a connection unused, as kube-apiserver
// has it.
const (
	readHeaderTimeout = 32 * time.Second
	idleTimeout       = 90 * time.Second
)

// drainTimeout is how long requests under way may take once the server is told to stop.
const drainTimeout = 10 * time.Second

// plane is the parts of a control plane, wired. Everything is built in openPlane, in the order in which
// things stand on each other, and run by run.
type plane struct {
	config   Config
	log      *slog.Logger
	store    store.Store
	cache    *cache.Cache
	pki      *pki.PKI
	api      *apiserver.Server
	listener net.Listener
	insecure net.Listener // nil without an insecure port
	address  netip.AddrPort
	admin    *tls.Certificate
	issuer   *authn.Issuer
	scratch  string // directory to remove at the end, "" if there is none
	services *allocate.Services
	// serviceRange is where Services get their addresses from, and clusterIP that of default/kubernetes.
	serviceRange netip.Prefix
	clusterIP    netip.Addr
	ready        chan struct{}
	ended        sync.Map // of the names of parts that have ended before their time, to why
}

func openPlane(ctx context.Context, c Config) (_ *plane, err error) {
	p := &plane{config: c, log: c.Logger, ready: make(chan struct{})}
	defer func() {
		if err != nil {
			p.abandon()
		}
	}()
	// The port comes first: that it is taken is the commonest of all errors, and costs nothing to find out.
	if err := p.listen(); err != nil {
		return nil, err
	}
	if err := p.openStore(ctx); err != nil {
		return nil, err
	}
	if err := whole(ctx, p.store); err != nil {
		return nil, err
	}
	if err := p.openServices(); err != nil {
		return nil, err
	}
	if err := p.openKeys(ctx); err != nil {
		return nil, err
	}
	p.cache = cache.New(p.store, cache.Options{Logger: p.log})
	storage, err := apiserver.NewStorage(ctx, p.store, p.cache, builtin.Types(builtin.Options{Services: p.services}), p.log)
	if err != nil {
		return nil, err
	}
	go func() {
		if err := p.cache.Run(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("the cache ended", "err", err)
		}
	}()
	if err := p.cache.Ready(ctx); err != nil {
		return nil, err
	}
	if err := p.followServices(ctx, storage); err != nil {
		return nil, err
	}
	return p, p.openAPI(storage)
}

func (p *plane) listen() (err error) {
	host := net.JoinHostPort(p.config.BindAddress, strconv.Itoa(p.config.SecurePort))
	if p.listener, err = net.Listen("tcp", host); err != nil {
		return fmt.Errorf("cannot listen on %s: %w", host, cause(err))
	}
	p.address = p.listener.Addr().(*net.TCPAddr).AddrPort()
	if p.config.InsecurePort == 0 {
		return nil
	}
	host = net.JoinHostPort("127.0.0.1", strconv.Itoa(p.config.InsecurePort))
	if p.insecure, err = net.Listen("tcp", host); err != nil {
		return fmt.Errorf("cannot listen on %s: %w", host, cause(err))
	}
	p.log.Warn("anyone on this machine can do anything through the insecure port", "address", host)
	return nil
}

// cause is the last word of a network error: "address already in use" without the operation around it.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

func (p *plane) openStore(ctx context.Context) error {
	if p.config.Etcd.used() {
		shared, err := p.openEtcd(ctx)
		if err != nil {
			return err
		}
		p.store = shared
		return nil
	}
	o := embedded.Options{
		Durability: embedded.Durability(p.config.Durability), WatchHistory: p.config.WatchHistory, Logger: p.log,
	}
	if p.config.InMemory {
		o.Durability = embedded.Memory
	} else {
		o.Dir = filepath.Join(p.config.DataDir, "store")
	}
	engine, err := embedded.Open(o)
	if err != nil {
		return err
	}
	p.store = engine
	return nil
}

func (p *plane) openKeys(ctx context.Context) (err error) {
	o := pki.Options{Hosts: []string{p.config.BindAddress, p.clusterIP.String()}}
	if p.config.DataDir != "" {
		o.Dir = filepath.Join(p.config.DataDir, "pki")
	} else if p.scratch, err = os.MkdirTemp("", "proa-"); err != nil {
		return err
	} else {
		o.Dir = p.scratch
	}
	if p.config.Etcd.used() {
		if err := shareKeys(ctx, p.store, o.Dir); err != nil {
			return err
		}
	}
	if p.pki, err = pki.Open(o); err != nil {
		return err
	}
	p.admin, err = p.pki.Admin()
	return err
}

// openAPI builds the access chain and the API server over it.
func (p *plane) openAPI(storage *apiserver.Storage) error {
	issuer, err := authn.NewIssuer(tokenIssuer, p.pki.SigningKey)
	if err != nil {
		return err
	}
	p.issuer = issuer
	audiences := []string{tokenIssuer}
	kinds := authn.TokenKinds{authn.AccountTokens{Issuer: issuer, Objects: storage, Audiences: audiences}}
	if file := p.config.TokenAuthFile; file != "" {
		static, err := authn.OpenTokenFile(file)
		if err != nil {
			return err
		}
		kinds = append(authn.TokenKinds{static}, kinds...)
	}
	rbac := authz.NewRBAC(storage)
	authorizer := authz.Union{authz.Masters{}, authz.NewNode(storage, roles.NodeRules()), rbac}
	chain, err := admission.New(admission.Options{Objects: storage, RBAC: rbac, Authorizer: authorizer})
	if err != nil {
		return err
	}
	kubelets, err := p.kubelets()
	if err != nil {
		return err
	}
	tokens := authn.NewCache(kinds)
	p.api = apiserver.New(apiserver.Config{
		Storage: storage,
		Authenticator: authn.Union{
			Authenticators: []access.Authenticator{
				authn.Certificates{Roots: p.pki.ClientCAs},
				authn.Bearer{Tokens: tokens, Audiences: audiences},
			},
			Anonymous: true,
		},
		Authorizer:   authorizer,
		Admission:    chain,
		Tokens:       &authn.TokenRequests{Issuer: issuer, Objects: storage, Audiences: audiences},
		Verifier:     tokens,
		Audiences:    audiences,
		Rules:        authorizer,
		Kubelets:     apiserver.NewTransport(kubelets, nil),
		Components:   p.components(),
		Flags:        p.config.Flags,
		SetVerbosity: p.config.SetVerbosity,
		GoawayChance: p.config.GoawayChance,
		Version:      KubernetesVersion + "+proa" + Version,
		Logger:       p.log,
	})
	p.api.AddHooks(p.ready)
	return p.serveIssuer(issuer)
}

// kubelets is how the server shows itself to node agents, and whether it looks at their certificates.
func (p *plane) kubelets() (*tls.Config, error) {
	if _, err := p.pki.KubeletClient(); err != nil {
		return nil, err
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, InsecureSkipVerify: p.config.KubeletCertificateAuthority == "",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.pki.KubeletClient() },
	}
	if file := p.config.KubeletCertificateAuthority; file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("kubelet certificate authority: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("kubelet certificate authority: %s holds no PEM certificate", file)
		}
	}
	return c, nil
}

// serveIssuer lets others verify service account tokens (OIDC discovery).
func (p *plane) serveIssuer(issuer *authn.Issuer) error {
	document, err := issuer.Discovery(tokenIssuer + "/openid/v1/jwks")
	if err != nil {
		return err
	}
	keys, err := issuer.JWKS()
	if err != nil {
		return err
	}
	p.api.HandleStatic("/.well-known/openid-configuration", "application/json", document)
	p.api.HandleStatic("/openid/v1/jwks", "application/jwk-set+json", keys)
	return nil
}

// abandon gives up what openPlane had opened when it failed.
func (p *plane) abandon() {
	for _, l := range []net.Listener{p.listener, p.insecure} {
		if l != nil {
			l.Close()
		}
	}
	if p.store != nil {
		p.store.Close()
	}
	p.sweep()
}

// sweep removes what an in-memory control plane had to put into files.
func (p *plane) sweep() {
	if p.scratch != "" {
		os.RemoveAll(p.scratch)
	}
}

// run serves until the context ends, then stops in good order; end is called when nobody needs the plane any
// more.
func (p *plane) run(ctx context.Context, end func()) error {
	server := &http.Server{
		Handler:           p.api.Handler(),
		ConnContext:       authn.ConnContext,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    1 << 20,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, GetCertificate: p.pki.GetCertificate,
			ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2", "http/1.1"},
			// Large answers are the rule here: small records at the beginning would cost more than they help.
			DynamicRecordSizingDisabled: true,
		},
	}
	(&http2.Server{MaxHeaderBytes: server.MaxHeaderBytes, IdleTimeout: server.IdleTimeout, Logger: p.log}).Install(server)
	servers := []*http.Server{server}
	failed := make(chan error, 2)
	go func() { failed <- server.ServeTLS(http2.Direct(p.listener), "", "") }()
	if p.insecure != nil {
		open := &http.Server{
			Handler: p.api.Unprotected(), ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout,
			MaxHeaderBytes: server.MaxHeaderBytes, ErrorLog: server.ErrorLog,
		}
		servers = append(servers, open)
		go func() { failed <- open.Serve(p.insecure) }()
	}
	running, stopParts := context.WithCancel(context.WithoutCancel(ctx))
	uninterrupted := context.AfterFunc(ctx, stopParts)
	var parts sync.WaitGroup
	err := p.begin(running, &parts)
	if uninterrupted() && err == nil {
		close(p.ready)
		select {
		case <-ctx.Done():
			p.api.PrepareDrain()
			time.Sleep(p.config.ShutdownDelay)
		case err = <-failed:
		}
	}
	stopParts()
	parts.Wait()
	p.api.Drain()
	drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	for _, s := range servers {
		err = errors.Join(err, shutdown(drain, s, p.api))
	}
	end()
	p.sweep()
	return errors.Join(err, p.store.Close())
}

// lastWords is how long answers that were given may take to leave, once no request is under way.
const lastWords = 100 * time.Millisecond

// shutdown stops a server: no new requests, those under way finish. Connections that clients merely keep
// open do not hold it up.
func shutdown(ctx context.Context, s *http.Server, api *apiserver.Server) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		if api.WaitIdle(ctx) == nil {
			time.AfterFunc(lastWords, cancel)
		}
	}()
	err := s.Shutdown(ctx)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return s.Close()
	}
	return err
}

// begin writes what a cluster needs, and starts the parts that work on it.
func (p *plane) begin(ctx context.Context, parts *sync.WaitGroup) error {
	err := p.furnish(ctx)
	for nobodyKnows(err) {
		p.log.Warn("nobody knows whether what every cluster has was written; trying again", "err", err)
		if err = pause(ctx, uncertainPause); err == nil {
			err = p.furnish(ctx)
		}
	}
	switch {
	case noRoom(err):
		p.log.Warn("what every cluster has could not be brought up to date, and will be when there is room", "err", err)
		parts.Go(func() { p.furnishLater(ctx) })
	case err != nil:
		return err
	}
	return p.startParts(ctx, parts)
}

// furnish writes what every cluster has, and how to get at this one, as far as it is not there.
func (p *plane) furnish(ctx context.Context) error {
	system := p.api.Local(&access.User{Name: "system:apiserver", Groups: []string{access.MastersGroup, access.AuthenticatedGroup}}, "proa")
	err := bootstrap.Run(ctx, system, bootstrap.Options{
		Address: advertised(p.address.Addr()), Port: int32(p.address.Port()), ServiceRange: p.serviceRange, ClusterIP: p.clusterIP, ClientCA: p.pki.CA,
	})
	if err != nil {
		return err
	}
	return p.writeKubeconfigs()
}

const (
	// roomPause is the time between two attempts to write what there was no room for,
	roomPause = 5 * time.Second
	// uncertainPause that to write what may have been written, or not.
	uncertainPause = time.Second
)

func (p *plane) furnishLater(ctx context.Context) {
	for pause(ctx, roomPause) == nil {
		err := p.furnish(ctx)
		if err != nil && ctx.Err() == nil && !noRoom(err) {
			p.log.Error("what every cluster has could not be brought up to date", "err", err)
		}
		if err == nil {
			return
		}
	}
}

// pause waits, and tells whether the context ended first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// nobodyKnows tells whether the answer to a write was lost on the way, or late.
func nobodyKnows(err error) bool { return apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) }

// noRoom tells whether something was not written because the device is full.
func noRoom(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Code == http.StatusInsufficientStorage
	}
	return errors.Is(err, store.ErrNoSpace) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// writeKubeconfigs tells the administrator, and parts that run as processes of their own, how to get here.
func (p *plane) writeKubeconfigs() error {
	server := "https://" + net.JoinHostPort(reachable(p.address.Addr()), strconv.Itoa(int(p.address.Port())))
	if file := p.config.Kubeconfig; file != "" {
		if err := p.pki.WriteKubeconfig(file, pki.Kubeconfig{Server: server, Certificate: p.admin}); err != nil {
			return err
		}
	}
	if p.config.DataDir == "" {
		return nil
	}
	for _, part := range []struct {
		name, user  string
		certificate func() (*tls.Certificate, error)
	}{
		{"controller-manager", controllerManagerUser, p.pki.ControllerManager},
		{"scheduler", schedulerUser, p.pki.Scheduler},
		{"kubelet", bootstrap.SimulatedNodesUser, func() (*tls.Certificate, error) { return p.pki.Client("simulated-nodes", bootstrap.SimulatedNodesUser) }},
	} {
		certificate, err := part.certificate()
		if err != nil {
			return err
		}
		file := filepath.Join(p.config.DataDir, part.name+".kubeconfig")
		if err := p.pki.WriteKubeconfig(file, pki.Kubeconfig{Server: server, User: part.user, Certificate: certificate}); err != nil {
			return err
		}
	}
	return nil
}

// advertised is where pods can reach a server that listens on an address: nowhere if that is the loopback
// interface.
func advertised(a netip.Addr) netip.Addr {
	if a.IsLoopback() {
		return netip.Addr{}
	}
	if !a.IsUnspecified() {
		return a.Unmap()
	}
	host, err := utilnet.ChooseHostInterface()
	if err != nil {
		return netip.Addr{}
	}
	chosen, _ := netip.AddrFromSlice(host)
	return chosen.Unmap()
}

// reachable is an address that a client on this machine can use.
func reachable(a netip.Addr) string {
	if a.IsUnspecified() {
		return "127.0.0.1"
	}
	return a.String()
}

func (p *plane) waitReady(ctx context.Context, ended <-chan struct{}) error {
	select {
	case <-p.ready:
		return nil
	case <-ended:
		return errors.New("the control plane ended before it was ready")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// adminConfig is the administrator's client configuration.
func (p *plane) adminConfig(url string) (*rest.Config, error) {
	data, err := p.pki.EncodeKubeconfig(pki.Kubeconfig{Server: url, Certificate: p.admin})
	if err != nil {
		return nil, err
	}
	c, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		return nil, err
	}
	c.QPS = -1 // a server in the same process needs no protection from its own clients
	return c, nil
}
