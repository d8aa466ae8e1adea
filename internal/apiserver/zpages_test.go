package apiserver

import (
	"net/http"
	"strings"
	"testing"
)

func TestPagesOfTheProcess(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.Flags = map[string]string{"secure-port": "6443", "disable": ""} })
	const as = ";as=Flagz;v=v1beta1;g=config.k8s.io"
	for _, c := range []struct {
		path, accept string
		code         int
		media, has   string
	}{
		{"/flagz", "", 200, "text/plain; charset=utf-8", "\napiserver flagz\nWarning: This endpoint is not meant to be machine parseable"},
		{"/flagz", "*/*", 200, "text/plain; charset=utf-8", "\ndisable=\nsecure-port=6443\n"},
		{"/flagz", "application/json" + as, 200, "application/json;g=config.k8s.io;v=v1beta1;as=Flagz", `"flags":{"disable":"","secure-port":"6443"}`},
		{"/flagz", "application/yaml" + as, 200, "application/yaml;g=config.k8s.io;v=v1beta1;as=Flagz", "secure-port: \"6443\"\n"},
		{"/flagz", "application/json", 406, "application/json", "only the following media types are accepted: application/json, application/yaml, text/plain"},
		{"/flagz", "application/json;as=Flagz;v=v2;g=config.k8s.io", 406, "application/json", "media types"},
		{"/flagz", "application/json;as=Statusz;v=v1beta1;g=config.k8s.io", 406, "application/json", "media types"},
		{"/statusz", "text/plain", 200, "text/plain; charset=utf-8", "\nPaths: /debug /flagz /healthz /index.html /livez /metrics /proa /readyz /statusz /version\n"},
		{"/statusz", "application/json;as=Statusz;v=v1beta1;g=config.k8s.io", 200, "application/json;g=config.k8s.io;v=v1beta1;as=Statusz", `"binaryVersion":"1.36.3+test","emulationVersion":"1.36"`},
	} {
		r := w.do("GET", c.path, "", "Accept: "+c.accept)
		if r.code != c.code || r.header.Get("Content-Type") != c.media || !strings.Contains(string(r.body), c.has) {
			t.Errorf("%s as %q: %d %s %s\nwant %d %s with %q", c.path, c.accept, r.code, r.header.Get("Content-Type"), r.body, c.code, c.media, c.has)
		}
		if r.header.Get("Warning") != "" {
			t.Errorf("%s as %q warns: %s", c.path, c.accept, r.header.Get("Warning"))
		}
	}
	r := w.must("GET", "/statusz", "", "Accept: application/json;as=Statusz;v=v1alpha1;g=config.k8s.io")
	if r.header.Get("Warning") == "" || r.at(t, ".apiVersion") != "config.k8s.io/v1alpha1" {
		t.Errorf("the old version: %v %s", r.header, r.body)
	}
	if r := newWorld(t).do("GET", "/flagz", ""); r.code != http.StatusNotFound {
		t.Errorf("without a command line: %d %s", r.code, r.body)
	}
}
