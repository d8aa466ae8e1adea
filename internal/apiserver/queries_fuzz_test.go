package apiserver

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/proa-dev/proa/internal/registry/core"
)

func FuzzLogOptions(f *testing.F) {
	for _, q := range []string{"", "follow=true&tailLines=5", "sinceTime=2001-01-01T00:00:00Z", "sinceTime=null", "sinceSeconds=-1&limitBytes=0", "stream=Stdout", "tailLines=&tailLines=1", "container=%00", "%zz"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		o, err := logOptions(q)
		if err != nil || len(validateLogOptions(o)) > 0 {
			return
		}
		// The agent reads what the client meant.
		again, err := logOptions(agentLogOptions(o))
		if err != nil || again.Follow != o.Follow || again.Previous != o.Previous || (again.TailLines == nil) != (o.TailLines == nil) ||
			o.TailLines != nil && *again.TailLines != *o.TailLines || again.Stream != nil {
			t.Errorf("%q: %+v became %+v, %v", query, o, again, err)
		}
	})
}

func FuzzStreamOptions(f *testing.F) {
	for _, q := range []string{"", "stdin=true&stdout=1&tty=false&command=sh&command=-c", "ports=80&ports=81", "ports=80%2C81", "ports=-1", "stdin=&stderr=x"} {
		for _, subresource := range []string{"exec", "attach", "portforward"} {
			f.Add(subresource, q)
		}
	}
	f.Fuzz(func(t *testing.T, subresource, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		options, err := streamOptions(subresource, q)
		if err != nil {
			return
		}
		for name, values := range options {
			if name != "command" && name != "port" && (len(values) != 1 || values[0] != "1") {
				t.Errorf("%s: %s is %q", query, name, values)
			}
		}
		if ports := options.Get("port"); strings.Trim(ports, "+-,0123456789") != "" {
			t.Errorf("%s: ports %q", query, ports)
		}
	})
}

// The path behind a proxy is below the resource, and ends as it was asked for.
func FuzzProxiedPath(f *testing.F) {
	for _, path := range []string{"", "/", "/a", "/a/", "//a//b", "/../x", "/a%2Fb", "/a?b"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		requested := "/api/v1/namespaces/n/services/s:80/proxy" + path
		i := parseRequest(&http.Request{Method: "GET", URL: &url.URL{Path: requested}})
		got := proxiedPath(requested, i.rest)
		if got != "" && got[0] != '/' {
			t.Errorf("%q leads to %q", path, got)
		}
		if strings.HasSuffix(path, "/") != strings.HasSuffix(got, "/") {
			t.Errorf("%q leads to %q, which ends otherwise", path, got)
		}
	})
}

// Whatever a query says, a call has its options or a client its error.
func FuzzOptions(f *testing.F) {
	for _, q := range []string{"", "dryRun=All&dryRun=All", "fieldManager=a%0Ab", "fieldValidation=Strict", "force=true", "force=x", "gracePeriodSeconds=x", "orphanDependents=&propagationPolicy=Orphan", "watch=1&timeoutSeconds=-1", "export=1", "timeout=5s"} {
		for _, verb := range []string{"create", "update", "patch", "delete", "deletecollection", "get", "list"} {
			f.Add(verb, q, "agent/1.0")
		}
	}
	typ := core.ConfigMaps.Erase()
	f.Fuzz(func(t *testing.T, verb, query, agent string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		c := &call{verb: verb, typ: typ, version: typ.Hub, warn: func(string) {}}
		if err := c.parseOptions(q, agent); err != nil {
			return
		}
		if len(c.manager) > 128 {
			t.Errorf("%q %q: the manager %q is too long", query, agent, c.manager)
		}
		if dry := len(q["dryRun"]) > 0; (verb == "create" || verb == "update" || verb == "patch" || verb == "delete") && c.dryRun != dry {
			t.Errorf("%s %q: dry run %v", verb, query, c.dryRun)
		}
	})
}
