package apiserver

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/rest"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/authz"
	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/remote"
	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/builtin"
	"github.com/proa-dev/proa/internal/registry/core/allocate"
	"github.com/proa-dev/proa/internal/store"
	"github.com/proa-dev/proa/internal/store/embedded"
)

// world is a server over an empty store in memory, and its two doors: HTTP and in process.
type world struct {
	testing.TB
	server  *Server
	handler http.Handler
	url     string
}

// userHeader names who sends a request, and groupHeader one group of theirs. Without them it is an
// administrator.
const (
	userHeader  = "Test-User"
	groupHeader = "Test-Group"
)

type headerAuthn struct{}

func (headerAuthn) Authenticate(r *http.Request) (*access.User, error) {
	name := r.Header.Get(userHeader)
	if name == "" {
		return admin, nil
	}
	return &access.User{Name: name, Groups: append(r.Header.Values(groupHeader), access.AuthenticatedGroup)}, nil
}

var admin = &access.User{Name: "admin", Groups: []string{access.MastersGroup, access.AuthenticatedGroup}}

// setting is what a world can be told.
type setting struct {
	Config
	cache    cache.Options
	withRBAC bool
	services allocate.Config
	// followed tells the allocator of other servers' claims.
	followed bool
	// wrap puts something between the server and its store.
	wrap func(store.Store) store.Store
}

func newWorld(t testing.TB, change ...func(*setting)) *world {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	set := setting{
		Config: Config{Authenticator: headerAuthn{}, Authorizer: authz.AlwaysAllow{}, Version: "v1.36.3+test", Logger: log},
		cache:  cache.Options{Logger: log},
		wrap:   func(s store.Store) store.Store { return s },
	}
	for _, c := range change {
		c(&set)
	}
	engine, err := embedded.Open(embedded.Options{Durability: embedded.Memory, MemTableBytes: 4 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	st := set.wrap(engine)
	set.services.Store = st
	services, err := allocate.New(set.services)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ca := cache.New(st, set.cache)
	storage, err := NewStorage(ctx, st, ca, builtin.Types(builtin.Options{Services: services}), log)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := ca.Run(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("the cache ended: %v", err)
		}
	}()
	if err := ca.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if set.followed {
		storage.Follow(networkingv1.Resource("ipaddresses"), func(_, name string, o registry.Object) {
			address, _ := o.(*networkingv1.IPAddress)
			services.Changed(name, address)
		})
	}
	set.Storage = storage
	if set.withRBAC {
		set.Authorizer = authz.Union{authz.Masters{}, authz.NewRBAC(storage)}
	}
	w := &world{TB: t, server: New(set.Config)}
	w.handler = w.server.Handler()
	t.Cleanup(func() {
		w.server.Drain()
		cancel()
		<-done
		engine.Close()
	})
	return w
}

// serve opens the HTTP door.
func (w *world) serve() *world {
	srv := httptest.NewServer(w.handler)
	w.url = srv.URL
	w.Cleanup(func() {
		w.server.Drain()
		srv.Close()
	})
	return w
}

// local is the in-process door.
func (w *world) local() client.Transport { return w.server.Local(admin, "test") }

// remote is the HTTP door, through the project's own client.
func (w *world) remote() client.Transport {
	t, err := remote.New(w.restConfig())
	if err != nil {
		w.Fatal(err)
	}
	return t
}

func (w *world) restConfig() *rest.Config {
	if w.url == "" {
		w.serve()
	}
	return &rest.Config{Host: w.url, UserAgent: "test", QPS: -1}
}

// reply is an answer.
type reply struct {
	code   int
	header http.Header
	body   []byte
}

// do sends a request to the handler, without a network. Headers are "Name: value".
func (w *world) do(method, path, body string, headers ...string) *reply {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, reader)
	r.Header.Set("User-Agent", "test")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "User-Agent" {
			r.Header.Del(name)
		}
		r.Header.Add(name, value)
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return &reply{code: rec.Code, header: rec.Header(), body: rec.Body.Bytes()}
}

// must sends a request that has to succeed.
func (w *world) must(method, path, body string, headers ...string) *reply {
	w.Helper()
	r := w.do(method, path, body, headers...)
	if r.code/100 != 2 {
		w.Fatalf("%s %s: %d %s", method, path, r.code, r.body)
	}
	return r
}

// tree is the body as JSON.
func (r *reply) tree(t testing.TB) any {
	t.Helper()
	var v any
	d := json.NewDecoder(strings.NewReader(string(r.body)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("not JSON: %v: %q", err, r.body)
	}
	return v
}

// at is what the answer has at a path such as .metadata.name, nil if nothing.
func (r *reply) at(t testing.TB, path string) any {
	t.Helper()
	return lookUp(r.tree(t), path)
}

func (r *reply) revision(t testing.TB) string {
	t.Helper()
	rv, _ := r.at(t, ".metadata.resourceVersion").(string)
	return rv
}
