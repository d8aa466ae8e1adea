package authn

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/proa-dev/proa/internal/access"
)

func FuzzReadTokenFile(f *testing.F) {
	for _, s := range []string{"", "t,u,1\n", "t,u,1,\"a,b\"\n", "t,u\n", "\"", "t,u,1\nt,v,2", "#t,u,1", "\xff,\x00,,", " t, u ,1, g"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := ReadTokenFile(strings.NewReader(string(data)))
		if err != nil {
			return
		}
		for token, u := range file.users {
			if token == "" || u.Name == "" || !strings.Contains(string(data), "\"") && !strings.Contains(string(data), token) {
				t.Errorf("%q is the token of %+v", token, u)
			}
			if v, err := file.Verify(t.Context(), token, nil); err != nil || v == nil || v.User != u {
				t.Errorf("%q: %v, %v", token, v, err)
			}
		}
	})
}

// Whatever a token is, only those that were issued are anybody's.
func FuzzAccountToken(f *testing.F) {
	w := newWorld(f)
	r, _, _, err := w.request(f, "sa", nil)
	if err != nil {
		f.Fatal(err)
	}
	issued := r.Status.Token
	parts := strings.Split(issued, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	for _, s := range []string{issued, "", "..", "a.b.c", parts[0] + "." + parts[1] + ".", none + "." + parts[1] + ".", issued + "=", parts[1] + "." + parts[0] + "." + parts[2]} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		v, err := w.tokens().Verify(t.Context(), token, []string{"api"})
		if token != issued && v != nil {
			// The last character of a signature has bits that mean nothing.
			if body := issued[:len(issued)-1]; !strings.HasPrefix(token, body) {
				t.Errorf("%q is %+v", token, v.User)
			}
		}
		if token == issued && (err != nil || v == nil) {
			t.Errorf("%v, %v", v, err)
		}
	})
}

func FuzzBearer(f *testing.F) {
	encoded := protocolPrefix + base64.RawURLEncoding.EncodeToString([]byte("secret"))
	for _, seed := range [][2]string{{"Bearer secret", ""}, {"bearer  secret", ""}, {"Basic secret", "x," + encoded}, {"", encoded}, {"", encoded + "," + encoded + ",x"}, {"", protocolPrefix + "!!,x"}, {"", ",,"}} {
		f.Add(seed[0], seed[1])
	}
	file, err := ReadTokenFile(strings.NewReader("secret,u,1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header, protocols string) {
		r := &http.Request{Header: http.Header{
			"Authorization": {header}, protocolHeader: {protocols}, "Upgrade": {"websocket"}, "Connection": {"Upgrade"},
		}}
		u, err := Bearer{Tokens: file}.Authenticate(r)
		if u == nil || err != nil {
			return
		}
		left := r.Header.Get("Authorization") + " " + r.Header.Get(protocolHeader)
		if strings.Contains(header, "secret") == strings.Contains(left, "secret") && strings.Contains(left, encoded) == strings.Contains(protocols, encoded) {
			t.Errorf("%q %q: the token is passed on: %q", header, protocols, left)
		}
	})
}

func FuzzImpersonate(f *testing.F) {
	for _, seed := range [][4]string{{"bob", "g", "Scope", "v"}, {"system:serviceaccount:ns:sa", "", "A%2fb", ""}, {"system:serviceaccount:", "system:masters", "%", "\x00"}, {"", "g", "", ""}, {"system:anonymous", "", "", ""}} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, user, group, key, value string) {
		var allow anybody
		h := http.Header{"Impersonate-User": {user}, "Impersonate-Group": {group}}
		if key != "" {
			h.Set("Impersonate-Extra-"+key, value)
		}
		u, err := Impersonate(t.Context(), h, &access.User{Name: "admin"}, &allow)
		if err != nil || u == nil {
			return
		}
		if allow.asked < 2 || u.Name != user || group != "" && !slices.Contains(u.Groups, group) {
			t.Errorf("%+v after %d questions", u, allow.asked)
		}
		if impersonates(h) {
			t.Errorf("the headers stay: %v", h)
		}
	})
}

// anybody may impersonate anybody, but must ask.
type anybody struct{ asked int }

func (a *anybody) Authorize(context.Context, *access.Attributes) (access.Decision, string, error) {
	a.asked++
	return access.Allow, "", nil
}
