package apiserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// raw sends a request over the network and follows no redirects.
func (w *world) raw(method, path, body string, headers ...string) *reply {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatal(err)
	}
	return &reply{code: res.StatusCode, header: res.Header, body: data}
}

// mirror tells what it was asked.
func mirror(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Asked", strings.TrimSpace(fmt.Sprintf("%s: %s %s %s", name, r.Method, r.URL.RequestURI(), body)))
		for _, h := range []string{"X-Forwarded-Uri", "X-Forwarded-Host", "X-Forwarded-For", "Authorization", "Impersonate-User", "X-Own", "Cookie"} {
			w.Header().Set("Got-"+h, r.Header.Get(h))
		}
		w.WriteHeader(http.StatusAccepted)
	}
}

func TestProxy(t *testing.T) {
	w, b := newCluster(t)
	b.listen("10.1.2.3:8080", false, mirror("pod"))
	b.listen("10.1.2.3:9", false, mirror("other"))
	b.listen("10.1.2.3:443", true, mirror("secure"))
	b.listen("10.9.0.1:10250", true, mirror("agent"))
	b.listen("10.9.0.1:9100", false, mirror("exporter"))
	w.must("POST", "/api/v1/namespaces/n/services", `{"metadata":{"name":"web"},"spec":{"ports":[{"name":"http","port":80,"targetPort":8080},{"name":"https","port":443}]}}`)
	w.must("POST", "/api/v1/namespaces/n/endpoints", `{"metadata":{"name":"web"},"subsets":[
		{"addresses":[{"ip":"10.66.6.6","targetRef":{"kind":"Pod","namespace":"n","name":"p"}},{"ip":"10.66.6.7"},{"ip":"10.1.2.3","targetRef":{"kind":"Pod","namespace":"n","name":"p"}}],
		 "ports":[{"name":"http","port":8080},{"name":"https","port":443}]}]}`)
	const in = "/api/v1/namespaces/n/"
	for _, c := range []struct{ method, path, asked string }{
		{"GET", in + "pods/p/proxy/", "pod: GET /"},
		{"GET", in + "pods/p/proxy/a/b?c=d&e", "pod: GET /a/b?c=d&e"},
		{"GET", in + "pods/p/proxy/a/b/", "pod: GET /a/b/"},
		{"GET", in + "pods/p/proxy/a%20b", "pod: GET /a%20b"},
		{"POST", in + "pods/p/proxy", "pod: POST / body"},
		{"PUT", in + "pods/p/proxy/x", "pod: PUT /x body"},
		{"PATCH", in + "pods/p/proxy/x", "pod: PATCH /x body"},
		{"DELETE", in + "pods/p/proxy/x", "pod: DELETE /x body"},
		{"HEAD", in + "pods/p/proxy/x", "pod: HEAD /x"},
		{"OPTIONS", in + "pods/p/proxy/x", "pod: OPTIONS /x body"},
		{"GET", in + "pods/p/proxy/x?watch=true", "pod: GET /x?watch=true"},
		{"GET", in + "pods/p:9/proxy/x", "other: GET /x"},
		{"GET", in + "pods/http:p:9/proxy/x", "other: GET /x"},
		{"GET", in + "pods/https:p:443/proxy/x", "secure: GET /x"},
		{"GET", in + "services/web:http/proxy/x", "pod: GET /x"},
		{"GET", in + "services/web:80/proxy/x", "pod: GET /x"},
		{"GET", in + "services/http:web:http/proxy/x", "pod: GET /x"},
		{"GET", in + "services/https:web:443/proxy/x", "secure: GET /x"},
		{"GET", "/api/v1/nodes/node/proxy/metrics", "agent: GET /metrics"},
		{"GET", "/api/v1/nodes/node:10250/proxy/metrics", "agent: GET /metrics"},
		{"GET", "/api/v1/nodes/node:9100/proxy/metrics", "exporter: GET /metrics"},
	} {
		body := "body"
		if c.method == "GET" || c.method == "HEAD" {
			body = ""
		}
		r := w.raw(c.method, c.path, body, "Authorization: Basic eHg=", "Impersonate-User: admin", "X-Own: mine", "Cookie: c=d")
		if r.code != http.StatusAccepted || r.header.Get("Asked") != c.asked {
			t.Errorf("%s %s: %d %q %s", c.method, c.path, r.code, r.header.Get("Asked"), r.body)
			continue
		}
		u, _ := url.Parse(w.url)
		path, _, _ := strings.Cut(c.path, "?")
		if path == in+"pods/p/proxy" {
			path += "/"
		}
		for name, want := range map[string]string{
			"X-Forwarded-Uri": path, "X-Forwarded-Host": "", "X-Forwarded-For": "127.0.0.1", "Authorization": "", "Impersonate-User": "", "X-Own": "mine", "Cookie": "c=d",
		} {
			if got := r.header.Get("Got-" + name); got != want && !(name == "X-Forwarded-Host" && got == u.Host) {
				t.Errorf("%s %s: %s is %q, want %q", c.method, c.path, name, got, want)
			}
		}
		if r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: who may use an answer is not for what is behind to say", c.path)
		}
	}
}

func TestProxyRefusals(t *testing.T) {
	w, b := newCluster(t)
	b.listen("127.0.0.1:8080", false, mirror("own"))
	status := func(name, ip string) {
		w.must("PATCH", "/api/v1/namespaces/n/pods/"+name+"/status", fmt.Sprintf(`{"status":{"podIP":%q,"podIPs":[{"ip":%q}]}}`, ip, ip), "Content-Type: application/merge-patch+json")
	}
	pod := func(name, ip, node string) {
		w.must("POST", "/api/v1/namespaces/n/pods", fmt.Sprintf(`{"metadata":{"name":%q},"spec":{"nodeName":%q,"containers":[{"name":"c","image":"i","ports":[{"containerPort":8080}]}]}}`, name, node))
		if ip != "" {
			status(name, ip)
		}
	}
	pod("none", "", "")
	pod("loopback", "127.0.0.1", "")
	pod("loopback6", "::1", "")
	pod("local", "169.254.169.254", "")
	pod("multicast", "224.0.0.1", "")
	pod("simulated", "10.244.0.2", "sim")
	for name, address := range map[string]string{"sim": "10.128.0.1", "loop": "127.0.0.1", "metadata": "169.254.169.254"} {
		version := "containerd://2"
		if name == "sim" {
			version = "proa-simulated://1"
		}
		w.must("POST", "/api/v1/nodes", fmt.Sprintf(`{"metadata":{"name":%q},"status":{"addresses":[{"type":"InternalIP","address":%q}],"nodeInfo":{"containerRuntimeVersion":%q}}}`, name, address, version))
	}
	w.must("POST", "/api/v1/nodes", `{"metadata":{"name":"nowhere"}}`)
	w.must("POST", "/api/v1/namespaces/n/services", `{"metadata":{"name":"web"},"spec":{"ports":[{"name":"http","port":80}]}}`)
	w.must("POST", "/api/v1/namespaces/n/services", `{"metadata":{"name":"empty"},"spec":{"ports":[{"port":80}]}}`)
	w.must("POST", "/api/v1/namespaces/n/endpoints", `{"metadata":{"name":"empty"}}`)
	w.must("POST", "/api/v1/namespaces/n/endpoints", `{"metadata":{"name":"web"},"subsets":[{"addresses":[
		{"ip":"10.66.6.6"},{"ip":"10.66.6.7","targetRef":{"kind":"Pod","namespace":"n","name":"p"}},
		{"ip":"10.1.2.3","targetRef":{"kind":"Pod","namespace":"other","name":"p"}}],"ports":[{"name":"http","port":8080}]}]}`)
	const in = "/api/v1/namespaces/n/"
	for _, c := range []struct {
		path string
		code int
		text string
	}{
		{in + "pods/missing/proxy/", 404, `pods \"missing\" not found`},
		{in + "pods/ftp:p:21/proxy/", 400, `invalid pod request \"ftp:p:21\"`},
		{in + "pods/a:b:c:d/proxy/", 400, `invalid pod request \"a:b:c:d\"`},
		{in + "pods/none/proxy/", 400, "address not allowed"},
		{in + "pods/loopback/proxy/", 400, "address not allowed"},
		{in + "pods/loopback6/proxy/", 400, "address not allowed"},
		{in + "pods/local/proxy/", 400, "address not allowed"},
		{in + "pods/multicast/proxy/", 400, "address not allowed"},
		{in + "pods/simulated/proxy/", 503, "is simulated"},
		{in + "pods/p/proxy/", 503, "error trying to reach service: "},
		{in + "services/:web:/proxy/", 503, "no endpoints available for service"},
		{in + "services/missing/proxy/", 404, `services \"missing\" not found`},
		{in + "services/ftp:web:/proxy/", 400, `invalid service request \"ftp:web:\"`},
		{in + "services/web:81/proxy/", 503, `no service port 81 found for service \"web\"`},
		{in + "services/web:http/proxy/", 503, `no endpoints available for service \"web:http\"`},
		{in + "services/web:other/proxy/", 503, `no endpoints available for service \"web:other\"`},
		{in + "services/empty/proxy/", 503, `no endpoints available for service \"empty\"`},
		{"/api/v1/nodes/missing/proxy/", 404, `nodes \"missing\" not found`},
		{"/api/v1/nodes/ftp:node:/proxy/", 400, `invalid node request \"ftp:node:\"`},
		{"/api/v1/nodes/loop/proxy/", 400, "address not allowed"},
		{"/api/v1/nodes/loop:8080/proxy/", 400, "address not allowed"},
		{"/api/v1/nodes/metadata/proxy/", 400, "address not allowed"},
		{"/api/v1/nodes/sim/proxy/", 400, "is simulated"},
		{"/api/v1/nodes/nowhere/proxy/", 500, "no preferred addresses found"},
	} {
		r := w.raw("GET", c.path, "")
		if r.code != c.code || !strings.Contains(string(r.body), c.text) || r.at(t, ".kind") != "Status" {
			t.Errorf("%s: %d %s", c.path, r.code, r.body)
		}
	}
}

// What is behind a proxy does not know that its root is not the server's: links and redirects are put right.
func TestProxyRewrites(t *testing.T) {
	w, b := newCluster(t)
	b.listen("10.1.2.3:8080", false, func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(rw, r, "/there/?x=y", http.StatusFound)
		case "/away":
			http.Redirect(rw, r, "https://example.com/there", http.StatusFound)
		case "/text":
			rw.Header().Set("Content-Type", "text/plain")
			fmt.Fprint(rw, `<a href="/x">`)
		default:
			rw.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(rw, `<p title="/no"><a href="/x">1</a><img src="y.png"><form action="http://10.1.2.3:8080/z/"></form><a href="https://example.com/">2</a>`)
		}
	})
	const root = "/api/v1/namespaces/n/pods/p/proxy"
	host := strings.TrimPrefix(w.url, "http://")
	r := w.raw("GET", root+"?q=1", "")
	if r.code != http.StatusMovedPermanently || r.header.Get("Location") != root+"/?q=1" {
		t.Errorf("without a slash: %d %s", r.code, r.header.Get("Location"))
	}
	if r := w.raw("HEAD", root, ""); r.code != http.StatusMovedPermanently {
		t.Errorf("HEAD without a slash: %d", r.code)
	}
	for path, want := range map[string][]string{"/moved": {root + "/there/?x=y"}, "/away": {"https://example.com/there"}} {
		got := w.raw("GET", root+path, "").header.Get("Location")
		if !slices.Contains(append(want, "//"+host+want[0]), got) {
			t.Errorf("%s leads to %s", path, got)
		}
	}
	if r := w.raw("GET", root+"/text", ""); string(r.body) != `<a href="/x">` {
		t.Errorf("text was changed: %s", r.body)
	}
	page := strings.ReplaceAll(string(w.raw("GET", root+"/", "").body), "//"+host, "")
	want := fmt.Sprintf(`<p title="/no"><a href="%[1]s/x">1</a><img src="y.png"><form action="%[1]s/z/"></form><a href="https://example.com/">2</a>`, root)
	if page != want {
		t.Errorf("got  %s\nwant %s", page, want)
	}
}

// An upgrade is passed on, whatever it is to.
func TestProxyUpgrade(t *testing.T) {
	w, b := newCluster(t)
	b.listen("10.1.2.3:8080", false, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			http.Error(rw, "not here", http.StatusTeapot)
			return
		}
		conn, buf, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, buf)
	})
	open := func(path string) (net.Conn, *http.Response, *bufio.Reader) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "GET /api/v1/namespaces/n/pods/p/proxy%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", path)
		from := bufio.NewReader(conn)
		res, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		return conn, res, from
	}
	conn, res, from := open("/yes")
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Upgrade") != "echo" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	fmt.Fprint(conn, "hello\n")
	if line, err := from.ReadString('\n'); line != "hello\n" {
		t.Errorf("%q, %v", line, err)
	}
	if _, res, _ := open("/no"); res.StatusCode != http.StatusTeapot {
		t.Errorf("what refuses to upgrade: %d", res.StatusCode)
	}
}
