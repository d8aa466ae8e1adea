package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
)

const thePod = "/api/v1/namespaces/n/pods/p"

// executors are the ways in which clients run a command.
var executors = map[string]func(c *rest.Config, to *url.URL) (remotecommand.Executor, error){
	"SPDY": func(c *rest.Config, to *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewSPDYExecutor(c, "POST", to)
	},
	"SPDY by GET": func(c *rest.Config, to *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewSPDYExecutor(c, "GET", to)
	},
	"websocket": func(c *rest.Config, to *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewWebSocketExecutor(c, "GET", to.String())
	},
}

func (w *world) at(path string) *url.URL {
	u, err := url.Parse(w.url + path)
	if err != nil {
		w.Fatal(err)
	}
	return u
}

func TestExec(t *testing.T) {
	for name, executor := range executors {
		t.Run(name, func(t *testing.T) {
			w, b := newCluster(t)
			k := newKubelet(t)
			b.listen("10.9.0.1:10250", true, k.ServeHTTP)
			run := func(path, input string) (out, errs string, err error) {
				e, err := executor(w.restConfig(), w.at(thePod+path))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				var stdout, stderr bytes.Buffer
				err = e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader(input), Stdout: &stdout, Stderr: &stderr})
				return stdout.String(), stderr.String(), err
			}
			large := strings.Repeat("0123456789", 100_000)
			out, errs, err := run("/exec?container=main&stdin=true&stdout=true&stderr=true&command=cat&command=-", large)
			if err != nil || out != large || errs != "[cat -]" {
				t.Errorf("%d bytes, %q, %v", len(out), errs, err)
			}
			asked := <-k.asked
			if got := asked.URL.Path + "?" + asked.URL.RawQuery; got != "/exec/n/p/main?command=cat&command=-&error=1&input=1&output=1" {
				t.Errorf("the agent was asked for %s", got)
			}
			_, _, err = run("/exec?container=side&stdin=1&stdout=1&stderr=1&command=false", "")
			var code exec.CodeExitError
			if !errors.As(err, &code) || code.Code != 3 {
				t.Errorf("a command that fails: %v", err)
			}
			if _, _, err = run("/exec?container=none&command=x", ""); err == nil || !strings.Contains(err.Error(), "container none is not valid for pod p") {
				t.Errorf("no such container: %v", err)
			}
			if out, _, err = run("/attach?container=main&stdin=true&stdout=true&stderr=true", "hello"); out != "hello" || err != nil {
				t.Errorf("attach: %q, %v", out, err)
			}
		})
	}
}

// terminal tells of one size.
type terminal chan remotecommand.TerminalSize

func (t terminal) Next() *remotecommand.TerminalSize {
	size, ok := <-t
	if !ok {
		return nil
	}
	return &size
}

func TestExecTerminal(t *testing.T) {
	for name, executor := range executors {
		t.Run(name, func(t *testing.T) {
			w, b := newCluster(t)
			b.listen("10.9.0.1:10250", true, newKubelet(t).ServeHTTP)
			e, err := executor(w.restConfig(), w.at(thePod+"/exec?container=main&stdin=true&stdout=true&tty=true&command=sh"))
			if err != nil {
				t.Fatal(err)
			}
			sizes := make(terminal, 1)
			sizes <- remotecommand.TerminalSize{Width: 80, Height: 25}
			defer close(sizes)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var out bytes.Buffer
			err = e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader("x"), Stdout: &out, Tty: true, TerminalSizeQueue: sizes})
			if err != nil || !strings.Contains(out.String(), `"Width":80,"Height":25`) || !strings.HasSuffix(out.String(), "x") {
				t.Errorf("%q, %v", &out, err)
			}
		})
	}
}

// An agent that says that it speaks websockets gets them as they are; others get the old protocol as it is.
func TestExecWebsocketPassedOn(t *testing.T) {
	w, b := newCluster(t)
	k := newKubelet(t)
	b.listen("10.9.0.1:10250", true, k.ServeHTTP)
	run := func(protocol string) (string, error) {
		e, err := remotecommand.NewWebSocketExecutorForProtocols(w.restConfig(), "GET", w.at(thePod+"/exec?container=main&stdin=true&stdout=true&command=sh").String(), protocol)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var out bytes.Buffer
		err = e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader("x"), Stdout: &out})
		return out.String(), err
	}
	if out, err := run("v5.channel.k8s.io"); out != "x" || err != nil {
		t.Errorf("translated: %q, %v", out, err)
	}
	w.must("PATCH", "/api/v1/nodes/node/status", `{"status":{"declaredFeatures":["ExtendWebSocketsToKubelet"]}}`, "Content-Type: application/merge-patch+json")
	if out, err := run("v5.channel.k8s.io"); out != "by websocket: x" || err != nil {
		t.Errorf("passed on: %q, %v", out, err)
	}
}

func TestPortForward(t *testing.T) {
	for name, dialer := range map[string]func(c *rest.Config, to *url.URL) (httpstream.Dialer, error){
		"SPDY": func(c *rest.Config, to *url.URL) (httpstream.Dialer, error) {
			rt, upgrader, err := spdy.RoundTripperFor(c)
			return spdy.NewDialer(upgrader, &http.Client{Transport: rt}, "POST", to), err
		},
		"websocket": func(c *rest.Config, to *url.URL) (httpstream.Dialer, error) {
			return portforward.NewSPDYOverWebsocketDialer(to, c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, b := newCluster(t)
			b.listen("10.9.0.1:10250", true, newKubelet(t).ServeHTTP)
			d, err := dialer(w.restConfig(), w.at(thePod+"/portforward"))
			if err != nil {
				t.Fatal(err)
			}
			conn, chosen, err := d.Dial(portforward.PortForwardProtocolV1Name)
			if err != nil || chosen != portforward.PortForwardProtocolV1Name {
				t.Fatalf("%q, %v", chosen, err)
			}
			defer conn.Close()
			for id, port := range []string{"80", "443"} {
				h := http.Header{}
				h.Set(corev1.PortHeader, port)
				h.Set(corev1.PortForwardRequestIDHeader, fmt.Sprint(id))
				h.Set(corev1.StreamType, corev1.StreamTypeError)
				if _, err := conn.CreateStream(h); err != nil {
					t.Fatal(err)
				}
				h.Set(corev1.StreamType, corev1.StreamTypeData)
				s, err := conn.CreateStream(h)
				if err != nil {
					t.Fatal(err)
				}
				sent := strings.Repeat("x", 200_000)
				go func() {
					_, _ = io.WriteString(s, sent)
					s.Close()
				}()
				if got, err := io.ReadAll(s); string(got) != "port "+port+": "+sent || err != nil {
					t.Errorf("port %s: %d bytes, %v", port, len(got), err)
				}
			}
		})
	}
}

// What goes wrong before the upgrade comes back as an ordinary answer.
func TestStreamErrors(t *testing.T) {
	w, b := newCluster(t)
	b.listen("10.9.0.1:10250", true, newKubelet(t).ServeHTTP)
	w.must("POST", "/api/v1/namespaces/n/pods", `{"metadata":{"name":"waiting"},"spec":{"containers":[{"name":"main","image":"i"}]}}`)
	w.must("POST", "/api/v1/namespaces/n/pods", `{"metadata":{"name":"lost"},"spec":{"nodeName":"gone","containers":[{"name":"main","image":"i"}]}}`)
	w.must("POST", "/api/v1/nodes", `{"metadata":{"name":"sim"},"status":{"nodeInfo":{"containerRuntimeVersion":"proa-simulated://1"}}}`)
	w.must("POST", "/api/v1/namespaces/n/pods", `{"metadata":{"name":"sim"},"spec":{"nodeName":"sim","containers":[{"name":"main","image":"i"}]}}`)
	const pods = "/api/v1/namespaces/n/pods/"
	for _, c := range []struct {
		path string
		code int
		text string
	}{
		{"none/exec?command=x", 404, `pods \"none\" not found`},
		{"p/exec?command=x", 400, "a container name must be specified for pod p, choose one of: [main side]"},
		{"p/exec?command=x&container=q", 400, "container q is not valid for pod p"},
		{"p/exec?command=x&container=main", 400, "Upgrade request required"},
		{"p/exec?command=x&container=main&dryRun=All", 400, "dryRun is not supported"},
		{"waiting/exec?command=x", 400, "pod waiting does not have a host assigned"},
		{"waiting/portforward", 400, "pod waiting does not have a host assigned"},
		{"waiting/portforward?ports=x", 400, "invalid syntax"},
		{"lost/exec?command=x&container=main", 404, `pods \"gone\" not found`},
		{"sim/exec?command=x", 400, `node \"sim\" is simulated`},
		{"sim/attach", 400, `node \"sim\" is simulated`},
		{"sim/portforward", 400, `node \"sim\" is simulated`},
	} {
		for _, method := range []string{"GET", "POST"} {
			if r := w.do(method, pods+c.path, ""); r.code != c.code || !strings.Contains(string(r.body), c.text) {
				t.Errorf("%s %s: %d %s", method, c.path, r.code, r.body)
			}
		}
	}
	if r := w.do("PUT", thePod+"/exec", ""); r.code != 405 {
		t.Errorf("PUT: %d", r.code)
	}
	// Nobody answers at the node's address.
	b.mu.Lock()
	delete(b.at, "10.9.0.1:10250")
	b.mu.Unlock()
	r := w.do("POST", thePod+"/exec?command=x&container=main", "", "Connection: Upgrade", "Upgrade: SPDY/3.1")
	if r.code != 500 || !strings.Contains(string(r.body), "error dialing backend") || !strings.Contains(string(r.body), `"kind":"Status"`) {
		t.Errorf("no agent: %d %s", r.code, r.body)
	}
}

// Who may get a pod must not get into it because browsers open websockets by GET.
func TestStreamsNeedCreate(t *testing.T) {
	w, b := newCluster(t, func(s *setting) { s.withRBAC = true })
	k := newKubelet(t)
	b.listen("10.9.0.1:10250", true, k.ServeHTTP)
	w.must("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/n/roles", `{"metadata":{"name":"r"},"rules":[{"apiGroups":[""],"resources":["pods/exec"],"verbs":["get"]}]}`)
	w.must("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/n/rolebindings", `{"metadata":{"name":"r"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"eve"}]}`)
	r := w.do("GET", thePod+"/exec?container=main&command=x", "", userHeader+": eve", "Connection: Upgrade", "Upgrade: SPDY/3.1")
	if r.code != 403 || !strings.Contains(string(r.body), `pods \"p\" is forbidden`) {
		t.Errorf("%d %s", r.code, r.body)
	}
	if len(k.asked) > 0 {
		t.Error("the agent was asked")
	}
}

func TestLog(t *testing.T) {
	w, b := newCluster(t)
	asked := make(chan string, 10)
	b.listen("10.9.0.1:10250", true, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path + "?" + r.URL.RawQuery
		switch r.URL.Query().Get("tailLines") {
		case "400":
			http.Error(w, "bad", http.StatusBadRequest)
		case "500":
			http.Error(w, "broken", http.StatusInternalServerError)
		case "404":
			http.Error(w, "gone", http.StatusNotFound)
		case "302":
			http.Redirect(w, r, "https://10.9.0.1:10250/", http.StatusFound)
		default:
			fmt.Fprint(w, "line 1\n")
			w.(http.Flusher).Flush()
			if r.URL.Query().Has("follow") {
				<-r.Context().Done()
			}
		}
	})
	r := w.do("GET", thePod+"/log?container=main&timestamps=true&previous=1&sinceSeconds=5&limitBytes=10", "")
	if r.code != 200 || string(r.body) != "line 1\n" || r.header.Get("Content-Type") != "text/plain" {
		t.Errorf("%d %q %v", r.code, r.body, r.header)
	}
	if got := <-asked; got != "/containerLogs/n/p/main?limitBytes=10&previous=true&sinceSeconds=5&timestamps=true" {
		t.Errorf("the agent was asked for %s", got)
	}
	for _, c := range []struct {
		query string
		code  int
		text  string
	}{
		{"tailLines=400", 400, "bad"},
		{"tailLines=500", 500, "Internal error occurred: broken"},
		{"tailLines=404", 404, "the server could not find the requested resource ( pods/log p)"},
		{"tailLines=302", 500, "redirects forbidden"},
		{"tailLines=-1", 422, "must be greater than or equal to 0"},
		{"tailLines=x", 400, "invalid syntax"},
		{"limitBytes=0", 422, "must be greater than 0"},
		{"sinceSeconds=0", 422, "must be greater than 0"},
		{"sinceSeconds=1&sinceTime=2020-01-01T00:00:00Z", 422, "at most one of `sinceTime` or `sinceSeconds` may be specified"},
		{"sinceTime=yesterday", 400, "yesterday"},
		{"stream=Stdout", 422, "stream: Forbidden: may not be specified"},
	} {
		if r := w.do("GET", thePod+"/log?container=main&"+c.query, ""); r.code != c.code || !strings.Contains(string(r.body), c.text) {
			t.Errorf("%s: %d %s", c.query, r.code, r.body)
		}
	}
	// Who follows gets each line when it is there.
	ctx, cancel := context.WithCancel(t.Context())
	res := w.open(t, ctx, thePod+"/log?container=main&follow=true")
	line := make([]byte, 7)
	if _, err := io.ReadFull(res.Body, line); err != nil || string(line) != "line 1\n" {
		t.Errorf("%q, %v", line, err)
	}
	cancel()
	res.Body.Close()
}
