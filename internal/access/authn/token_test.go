package authn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/access/accesstest"
)

const issuerURL = "https://kubernetes.default.svc.cluster.local"

// world is a cluster with one of each thing that a token may be bound to, and a clock.
type world struct {
	objects *accesstest.Objects
	issuer  *Issuer
	now     time.Time
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name + "-uid")}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := NewIssuer(issuerURL, key)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{objects: &accesstest.Objects{}, issuer: issuer, now: time.Now().Truncate(time.Second)}
	w.objects.Put(serviceAccounts, &corev1.ServiceAccount{ObjectMeta: named("ns", "sa")}, &corev1.ServiceAccount{ObjectMeta: named("ns", "other")})
	w.objects.Put(pods, &corev1.Pod{ObjectMeta: named("ns", "pod"), Spec: corev1.PodSpec{ServiceAccountName: "sa", NodeName: "node"}},
		&corev1.Pod{ObjectMeta: named("ns", "stray"), Spec: corev1.PodSpec{ServiceAccountName: "sa", NodeName: "gone"}})
	w.objects.Put(secrets, &corev1.Secret{ObjectMeta: named("ns", "secret")})
	w.objects.Put(nodes, &corev1.Node{ObjectMeta: named("", "node")})
	return w
}

func (w *world) clock() time.Time { return w.now }

func (w *world) requests() TokenRequests {
	return TokenRequests{Issuer: w.issuer, Objects: w.objects, Audiences: []string{"api"}, Now: w.clock}
}

func (w *world) tokens() AccountTokens {
	return AccountTokens{Issuer: w.issuer, Objects: w.objects, Audiences: []string{"api"}, Now: w.clock}
}

func (w *world) request(t testing.TB, name string, edit func(*authenticationv1.TokenRequest)) (*authenticationv1.TokenRequest, string, []string, error) {
	req := &authenticationv1.TokenRequest{}
	if edit != nil {
		edit(req)
	}
	var warnings []string
	id, err := w.requests().Create(t.Context(), "ns", name, req, nil, func(s string) { warnings = append(warnings, s) })
	return req, id, warnings, err
}

func bindTo(kind, name string, uid types.UID) func(*authenticationv1.TokenRequest) {
	return func(r *authenticationv1.TokenRequest) {
		r.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: name, UID: uid}
	}
}

func payload(t testing.TB, token string) map[string]any {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(data, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestIssuedClaims(t *testing.T) {
	w := newWorld(t)
	seconds := func(d time.Duration) float64 { return float64(w.now.Add(d).Unix()) }
	sa := map[string]any{"name": "sa", "uid": "sa-uid"}
	for _, c := range []struct {
		name       string
		edit       func(*authenticationv1.TokenRequest)
		kubernetes map[string]any
		life       time.Duration
		audience   []any
	}{
		{"default", nil, map[string]any{"namespace": "ns", "serviceaccount": sa}, time.Hour, []any{"api"}},
		{"another audience", func(r *authenticationv1.TokenRequest) { r.Spec.Audiences = []string{"vault", "x"} },
			map[string]any{"namespace": "ns", "serviceaccount": sa}, time.Hour, []any{"vault", "x"}},
		{"a secret", bindTo("Secret", "secret", ""),
			map[string]any{"namespace": "ns", "serviceaccount": sa, "secret": map[string]any{"name": "secret", "uid": "secret-uid"}}, time.Hour, []any{"api"}},
		{"a node", bindTo("Node", "node", "node-uid"),
			map[string]any{"namespace": "ns", "serviceaccount": sa, "node": map[string]any{"name": "node", "uid": "node-uid"}}, time.Hour, []any{"api"}},
		{"a pod", bindTo("Pod", "pod", "pod-uid"),
			map[string]any{"namespace": "ns", "serviceaccount": sa, "pod": map[string]any{"name": "pod", "uid": "pod-uid"},
				"node": map[string]any{"name": "node", "uid": "node-uid"}}, time.Hour, []any{"api"}},
		{"a pod whose node is gone", bindTo("Pod", "stray", ""),
			map[string]any{"namespace": "ns", "serviceaccount": sa, "pod": map[string]any{"name": "stray", "uid": "stray-uid"},
				"node": map[string]any{"name": "gone"}}, time.Hour, []any{"api"}},
		{"a pod's usual token lives a year", func(r *authenticationv1.TokenRequest) {
			bindTo("Pod", "pod", "")(r)
			r.Spec.ExpirationSeconds = ptr.To[int64](3607)
		}, map[string]any{"namespace": "ns", "serviceaccount": sa, "pod": map[string]any{"name": "pod", "uid": "pod-uid"},
			"node": map[string]any{"name": "node", "uid": "node-uid"}, "warnafter": seconds(3607 * time.Second)}, 365 * 24 * time.Hour, []any{"api"}},
		{"not for other audiences", func(r *authenticationv1.TokenRequest) {
			bindTo("Pod", "pod", "")(r)
			r.Spec.ExpirationSeconds, r.Spec.Audiences = ptr.To[int64](3607), []string{"api", "vault"}
		}, map[string]any{"namespace": "ns", "serviceaccount": sa, "pod": map[string]any{"name": "pod", "uid": "pod-uid"},
			"node": map[string]any{"name": "node", "uid": "node-uid"}}, 3607 * time.Second, []any{"api", "vault"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, id, _, err := w.request(t, "sa", c.edit)
			if err != nil {
				t.Fatal(err)
			}
			got := payload(t, req.Status.Token)
			want := map[string]any{
				"iss": issuerURL, "sub": "system:serviceaccount:ns:sa", "aud": c.audience, "jti": strings.TrimPrefix(id, "JTI="),
				"iat": seconds(0), "nbf": seconds(0), "exp": seconds(c.life), "kubernetes.io": c.kubernetes,
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if told := req.Status.ExpirationTimestamp.Sub(w.now); told != time.Duration(*req.Spec.ExpirationSeconds)*time.Second {
				t.Errorf("told to expire after %s", told)
			}
		})
	}
}

func TestRequestsRefused(t *testing.T) {
	w := newWorld(t)
	expire := func(s int64) func(*authenticationv1.TokenRequest) {
		return func(r *authenticationv1.TokenRequest) { r.Spec.ExpirationSeconds = &s }
	}
	for _, c := range []struct {
		name, account string
		edit          func(*authenticationv1.TokenRequest)
		want          string
	}{
		{"no account", "none", nil, `serviceaccounts "none" not found`},
		{"too short", "sa", expire(599), `TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes`},
		{"too long", "sa", expire(1<<32 + 1), `TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds`},
		{"another name", "sa", func(r *authenticationv1.TokenRequest) { r.Name = "x" },
			`TokenRequest.authentication.k8s.io "sa" is invalid: metadata.name: Invalid value: "x": must match the service account name if specified`},
		{"another namespace", "sa", func(r *authenticationv1.TokenRequest) { r.Namespace = "x" },
			`TokenRequest.authentication.k8s.io "sa" is invalid: metadata.namespace: Invalid value: "x": must match the service account namespace if specified`},
		{"another uid", "sa", func(r *authenticationv1.TokenRequest) { r.UID = "x" },
			`Operation cannot be fulfilled on TokenRequest.authentication.k8s.io "sa": the UID in the token request (x) does not match the UID of the service account (sa-uid)`},
		{"another's pod", "other", bindTo("Pod", "pod", ""),
			`cannot bind token for serviceaccount "other" to pod running with different serviceaccount name.`},
		{"no pod", "sa", bindTo("Pod", "none", ""), `pods "none" not found`},
		{"a later pod", "sa", bindTo("Pod", "pod", "x"),
			`Operation cannot be fulfilled on Pod "pod": the UID in the bound object reference (x) does not match the UID in record. The object might have been deleted and then recreated`},
		{"a config map", "sa", bindTo("ConfigMap", "x", ""), `cannot bind token to object of type /v1, Kind=ConfigMap`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, _, err := w.request(t, c.account, c.edit)
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestMaxSeconds(t *testing.T) {
	w := newWorld(t)
	requests := w.requests()
	requests.MaxSeconds = 1800
	req := &authenticationv1.TokenRequest{}
	var warned string
	if _, err := requests.Create(t.Context(), "ns", "sa", req, nil, func(s string) { warned = s }); err != nil {
		t.Fatal(err)
	}
	if warned != "requested expiration of 3600 seconds shortened to 1800 seconds" || *req.Spec.ExpirationSeconds != 1800 {
		t.Errorf("%q, %d", warned, *req.Spec.ExpirationSeconds)
	}
}

func TestVerify(t *testing.T) {
	deleted := func(o metav1.Object, w *world, ago time.Duration) {
		o.SetDeletionTimestamp(&metav1.Time{Time: w.now.Add(-ago)})
	}
	for _, c := range []struct {
		name   string
		bind   func(*authenticationv1.TokenRequest)
		change func(*world)
		want   string
		extra  map[string][]string
	}{
		{"unbound", nil, nil, "", map[string][]string{}},
		{"pod", bindTo("Pod", "pod", ""), nil, "", map[string][]string{
			extraPodName: {"pod"}, extraPodUID: {"pod-uid"}, extraNodeName: {"node"}, extraNodeUID: {"node-uid"}}},
		{"the pod's node may go", bindTo("Pod", "pod", ""), func(w *world) { w.objects.Drop(nodes, "", "node") }, "", map[string][]string{
			extraPodName: {"pod"}, extraPodUID: {"pod-uid"}, extraNodeName: {"node"}, extraNodeUID: {"node-uid"}}},
		{"node", bindTo("Node", "node", ""), nil, "", map[string][]string{extraNodeName: {"node"}, extraNodeUID: {"node-uid"}}},
		{"expired", nil, func(w *world) { w.now = w.now.Add(time.Hour + 2*time.Minute) }, "service account token has expired", nil},
		{"clocks differ", nil, func(w *world) { w.now = w.now.Add(-30 * time.Second) }, "", map[string][]string{}},
		{"not yet", nil, func(w *world) { w.now = w.now.Add(-2 * time.Minute) }, "service account token is not valid yet", nil},
		{"no account", nil, func(w *world) { w.objects.Drop(serviceAccounts, "ns", "sa") }, `serviceaccounts "sa" not found`, nil},
		{"a later account", nil, func(w *world) {
			w.objects.Put(serviceAccounts, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "sa", UID: "new"}})
		}, "service account UID (new) does not match claim (sa-uid)", nil},
		{"a deleted account", nil, func(w *world) {
			sa := &corev1.ServiceAccount{ObjectMeta: named("ns", "sa")}
			deleted(sa, w, 2*time.Minute)
			w.objects.Put(serviceAccounts, sa)
		}, "service account ns/sa has been deleted", nil},
		{"just deleted", nil, func(w *world) {
			sa := &corev1.ServiceAccount{ObjectMeta: named("ns", "sa")}
			deleted(sa, w, 30*time.Second)
			w.objects.Put(serviceAccounts, sa)
		}, "", map[string][]string{}},
		{"no pod", bindTo("Pod", "pod", ""), func(w *world) { w.objects.Drop(pods, "ns", "pod") }, "service account token has been invalidated", nil},
		{"a later pod", bindTo("Pod", "pod", ""), func(w *world) {
			w.objects.Put(pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pod", UID: "new"}})
		}, "pod UID (new) does not match service account pod ref claim (pod-uid)", nil},
		{"no secret", bindTo("Secret", "secret", ""), func(w *world) { w.objects.Drop(secrets, "ns", "secret") }, "service account token has been invalidated", nil},
		{"a later secret", bindTo("Secret", "secret", ""), func(w *world) {
			w.objects.Put(secrets, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "secret", UID: "new"}})
		}, "secret UID (new) does not match service account secret ref claim (secret-uid)", nil},
		{"no node", bindTo("Node", "node", ""), func(w *world) { w.objects.Drop(nodes, "", "node") }, "service account token has been invalidated", nil},
		{"a later node", bindTo("Node", "node", ""), func(w *world) {
			w.objects.Put(nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node", UID: "new"}})
		}, "node UID (new) does not match service account node ref claim (node-uid)", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			req, id, _, err := w.request(t, "sa", c.bind)
			if err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(w)
			}
			v, err := w.tokens().Verify(t.Context(), req.Status.Token, nil)
			if c.want != "" {
				if err == nil || err.Error() != c.want || v != nil {
					t.Errorf("got %v, %v, want %s", v, err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c.extra[extraCredential] = []string{id}
			groups := []string{"system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"}
			if u := v.User; u.Name != "system:serviceaccount:ns:sa" || u.UID != "sa-uid" || !reflect.DeepEqual(u.Groups, groups) {
				t.Errorf("user %+v", u)
			}
			if d := cmp.Diff(c.extra, v.User.Extra); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAudiences(t *testing.T) {
	w := newWorld(t)
	req, _, _, err := w.request(t, "sa", func(r *authenticationv1.TokenRequest) { r.Spec.Audiences = []string{"a", "b"} })
	if err != nil {
		t.Fatal(err)
	}
	v, err := w.tokens().Verify(t.Context(), req.Status.Token, []string{"b", "c"})
	if err != nil || !reflect.DeepEqual(v.Audiences, []string{"b"}) {
		t.Errorf("%+v %v", v, err)
	}
	want := `token audiences ["a" "b"] is invalid for the target audiences ["api"]`
	if v, err := w.tokens().Verify(t.Context(), req.Status.Token, nil); v != nil || err == nil || err.Error() != want {
		t.Errorf("%+v %v", v, err)
	}
}

func TestTampering(t *testing.T) {
	w := newWorld(t)
	req, _, _, err := w.request(t, "sa", nil)
	if err != nil {
		t.Fatal(err)
	}
	token := req.Status.Token
	encode := func(v any) string {
		data, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(data)
	}
	parts := strings.Split(token, ".")
	claims := payload(t, token)
	claims["sub"] = "system:serviceaccount:kube-system:admin"
	refuse := func(name, token string) {
		t.Helper()
		if v, err := w.tokens().Verify(t.Context(), token, nil); v != nil || err == nil {
			t.Errorf("%s was accepted: %+v", name, v)
		}
	}
	refuse("another subject", parts[0]+"."+encode(claims)+"."+parts[2])
	refuse("no algorithm", encode(map[string]string{"alg": "none"})+"."+parts[1]+".")
	refuse("a symmetric algorithm", encode(map[string]string{"alg": "HS256"})+"."+parts[1]+"."+parts[2])
	refuse("an unknown key", encode(map[string]string{"alg": "ES256", "kid": "x"})+"."+parts[1]+"."+parts[2])
	other := newWorld(t)
	foreign, _, _, _ := other.request(t, "sa", nil)
	refuse("another cluster's", foreign.Status.Token)
	// Every single character matters, but for the unused bits at the end of a part.
	for i := range len(token) {
		if token[i] == '.' || i+1 == len(token) || token[i+1] == '.' {
			continue
		}
		b := []byte(token)
		b[i] = map[bool]byte{true: 'A', false: 'B'}[b[i] != 'A']
		if v, _ := w.tokens().Verify(t.Context(), string(b), nil); v != nil {
			t.Errorf("character %d does not matter", i)
		}
	}
	for _, s := range []string{"", "x", "a.b", "a.b.c", "....", `{"payload":"x"}`, "eyJpc3MiOiJvdGhlciJ9.eyJpc3MiOiJvdGhlciJ9.x"} {
		if v, err := w.tokens().Verify(t.Context(), s, nil); v != nil || err != nil {
			t.Errorf("%q is no token of ours: %v %v", s, v, err)
		}
	}
}

func TestLegacyTokens(t *testing.T) {
	issue := func(w *world) (string, *corev1.Secret) {
		sa := &corev1.ServiceAccount{ObjectMeta: named("ns", "sa")}
		secret := &corev1.Secret{ObjectMeta: named("ns", "legacy")}
		token, err := w.issuer.IssueLegacy(sa, secret)
		if err != nil {
			t.Fatal(err)
		}
		secret.Data = map[string][]byte{"token": []byte(token)}
		return token, secret
	}
	for _, c := range []struct {
		name   string
		change func(*corev1.Secret)
		want   string
	}{
		{"good", func(*corev1.Secret) {}, ""},
		{"renewed", func(s *corev1.Secret) { s.Data["token"] = []byte("x") }, "Token does not match server's copy"},
		{"deleted", func(s *corev1.Secret) { s.DeletionTimestamp = &metav1.Time{} }, "Token has been invalidated"},
		{"gone", func(s *corev1.Secret) { s.Name = "else" }, "Token has been invalidated"},
		{"invalid", func(s *corev1.Secret) { s.Labels = map[string]string{invalidSince: "2020-01-01"} },
			"the token in secret ns/legacy for service account ns/sa has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the 'kubernetes.io/legacy-token-invalid-since' label from the secret to temporarily allow use of this token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			token, secret := issue(w)
			c.change(secret)
			w.objects.Put(secrets, secret)
			v, err := w.tokens().Verify(t.Context(), token, nil)
			if c.want == "" {
				if err != nil || v.User.Name != "system:serviceaccount:ns:sa" || len(v.Audiences) != 1 {
					t.Errorf("%+v %v", v, err)
				}
				return
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestKeysAndDiscovery(t *testing.T) {
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	before, err := NewIssuer(issuerURL, old)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	fresh, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	w.issuer = before
	req, _, _, err := w.request(t, "sa", nil)
	if err != nil {
		t.Fatal(err)
	}
	if w.issuer, err = NewIssuer(issuerURL, fresh, old.Public()); err != nil {
		t.Fatal(err)
	}
	if v, err := w.tokens().Verify(t.Context(), req.Status.Token, nil); v == nil {
		t.Errorf("a token of the key before: %v", err)
	}
	document, err := w.issuer.Discovery("https://x/openid/v1/jwks")
	want := `{"issuer":"` + issuerURL + `","jwks_uri":"https://x/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES384","RS256"]}`
	if err != nil || string(document) != want {
		t.Errorf("%s %v", document, err)
	}
	keys, err := w.issuer.JWKS()
	var set struct{ Keys []map[string]any }
	if err != nil || json.Unmarshal(keys, &set) != nil || len(set.Keys) != 2 {
		t.Fatalf("%s %v", keys, err)
	}
	for i, alg := range []string{"ES384", "RS256"} {
		k := set.Keys[i]
		if k["use"] != "sig" || k["alg"] != alg || k["kid"] != w.issuer.keys[i].KeyID || k["d"] != nil {
			t.Errorf("key %d: %v", i, k)
		}
	}
}

type countingTokens struct {
	Tokens
	calls int
}

func (c *countingTokens) Verify(ctx context.Context, token string, audiences []string) (*Verified, error) {
	c.calls++
	return c.Tokens.Verify(ctx, token, audiences)
}

func TestCacheKeepsValidTokensOnly(t *testing.T) {
	w := newWorld(t)
	req, _, _, err := w.request(t, "sa", nil)
	if err != nil {
		t.Fatal(err)
	}
	counted := &countingTokens{Tokens: w.tokens()}
	cache := NewCache(counted)
	expect := func(calls int, ok bool, token string, audiences ...string) {
		t.Helper()
		if v, _ := cache.Verify(t.Context(), token, audiences); (v != nil) != ok || counted.calls != calls {
			t.Errorf("%v after %d calls", v, counted.calls)
		}
	}
	expect(1, true, req.Status.Token, "api")
	expect(1, true, req.Status.Token, "api")
	expect(2, false, req.Status.Token, "vault")
	expect(3, false, req.Status.Token, "vault")
	expect(4, false, "nonsense", "api")
	expect(5, false, "nonsense", "api")
	for i := range cacheSize + 5 {
		cache.good[cacheKey{audiences: fmt.Sprint(i)}] = cached{until: time.Now()}
	}
	expect(6, true, req.Status.Token, "api", "more")
	if n := len(cache.good); n != 2 {
		t.Errorf("%d entries are left after a sweep", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	req, _, _, err := w.request(b, "sa", bindTo("Pod", "pod", ""))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		tokens Tokens
	}{{"first", w.tokens()}, {"cached", NewCache(w.tokens())}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.tokens.Verify(b.Context(), req.Status.Token, []string{"api"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
