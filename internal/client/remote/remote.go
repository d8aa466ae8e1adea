// Package remote carries requests to an API server over HTTP. Kinds whose Go types know protobuf travel as
// protobuf, all others as JSON; a server that answers in the other is understood.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"k8s.io/client-go/rest"

	"github.com/proa-dev/proa/internal/client"
)

// Transport is an API server, as one user sees it.
type Transport struct {
	base   *url.URL
	http   *http.Client
	config *rest.Config
}

var _ client.Transport = (*Transport)(nil)

// New makes a transport. TLS, authentication and the proxy are those of the config, the User-Agent too; no
// limit of requests a second is kept, and its Timeout holds for each request but not for watches.
func New(config *rest.Config) (*Transport, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("remote: server address: %w", err)
	}
	c := rest.CopyConfig(config)
	c.Timeout = 0
	c.QPS = -1
	if c.UserAgent == "" {
		c.UserAgent = "proa"
	}
	h, err := rest.HTTPClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("remote: %w", err)
	}
	c.Timeout = config.Timeout
	return &Transport{base: base, http: h, config: c}, nil
}

// Do carries out a request.
func (t *Transport) Do(ctx context.Context, r *client.Request) (*client.Response, error) {
	if t.config.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.config.Timeout)
		defer cancel()
	}
	res, err := t.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := readAll(res)
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", r.Verb, r.Resource.Resource, err)
	}
	answer, err := decode(r, mediaType(res), body)
	if err != nil {
		return nil, fmt.Errorf("decode the answer to %s %s: %w", r.Verb, r.Resource.Resource, err)
	}
	return answer, nil
}

// Watch opens a stream of changes.
func (t *Transport) Watch(ctx context.Context, r *client.Request) (client.Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	res, err := t.send(ctx, r)
	if err != nil {
		cancel()
		return nil, err
	}
	return newStream(res, cancel, r.New), nil
}

// maxTries is how often a request is made that the server wants later.
const maxTries = 10

// send makes a request until the server no longer says that it wants it later (429, or 5xx with
// Retry-After: it has done nothing). The response that it returns is a success.
func (t *Transport) send(ctx context.Context, r *client.Request) (*http.Response, error) {
	out, err := t.build(ctx, r)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		res, err := t.http.Do(out)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.Verb, r.Resource.Resource, unwrapURL(err))
		}
		if res.StatusCode < 300 {
			return res, nil
		}
		wait, later := retryAfter(res)
		if !later || try == maxTries {
			return nil, failure(r, out.Method, res)
		}
		_ = res.Body.Close()
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		out = out.Clone(ctx)
		if out.GetBody != nil {
			if out.Body, err = out.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// unwrapURL leaves the address out of an error, which says it already.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func readAll(res *http.Response) ([]byte, error) {
	if res.ContentLength <= 0 {
		return io.ReadAll(res.Body)
	}
	body := make([]byte, res.ContentLength)
	_, err := io.ReadFull(res.Body, body)
	return body, err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
