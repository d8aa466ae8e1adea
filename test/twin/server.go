package twin

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// users are those that both servers know by a static token. admin may do everything; the others what the
// scripts allow them.
var users = map[string]string{
	"admin": "system:masters",
	"alice": "developers",
	"bob":   "",
	"node":  "system:nodes",
}

// userNames differ from the key where a name has a meaning.
var userNames = map[string]string{"node": "system:node:n1"}

func token(user string) string { return "token-of-" + user }

func writeTokens(dir string) (string, error) {
	var b strings.Builder
	for user, group := range users {
		name := user
		if n, ok := userNames[user]; ok {
			name = n
		}
		fmt.Fprintf(&b, "%s,%s,uid-of-%s", token(user), name, user)
		if group != "" {
			fmt.Fprintf(&b, ",%q", group)
		}
		b.WriteByte('\n')
	}
	file := filepath.Join(dir, "tokens.csv")
	return file, os.WriteFile(file, []byte(b.String()), 0o600)
}

// server is one that scripts can be sent to.
type server struct {
	url    *url.URL
	client *http.Client
	stop   func()
}

func newServer(address string, stop func()) (*server, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return &server{
		url:  u,
		stop: stop,
		client: &http.Client{
			// The servers make their certificates themselves, and listen on the loopback interface only.
			Transport: &http.Transport{
				TLSClientConfig:    &tls.Config{InsecureSkipVerify: true},
				DisableCompression: true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// waitReady polls /readyz.
func (s *server) waitReady(timeout time.Duration, ended <-chan error) error {
	deadline := time.Now().Add(timeout)
	var last error
	for time.Now().Before(deadline) {
		select {
		case err := <-ended:
			return fmt.Errorf("the server ended: %v", err)
		default:
		}
		response, err := s.client.Get(s.url.String() + "/readyz")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s", response.Status)
		}
		last = err
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("not ready: %w", last)
}
