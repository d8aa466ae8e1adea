package apiserver

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	protocol "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// backends are servers on this machine, each behind an address of the cluster's network.
type backends struct {
	testing.TB
	mu sync.Mutex
	at map[string]string // guarded by mu: where an address leads
}

// dial is the cluster's network: what is not there refuses connections.
func (b *backends) dial(ctx context.Context, network, address string) (net.Conn, error) {
	b.mu.Lock()
	to, ok := b.at[address]
	b.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("dial tcp %s: connect: connection refused", address)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, to)
}

// listen serves at an address of the cluster's network.
func (b *backends) listen(address string, secure bool, h http.HandlerFunc) {
	srv := httptest.NewUnstartedServer(h)
	if secure {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
	}
	b.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at[address] = srv.Listener.Addr().String()
}

// newCluster is a world with a network behind it, and a pod on a node whose agent is at 10.9.0.1:10250.
func newCluster(t *testing.T, change ...func(*setting)) (*world, *backends) {
	b := &backends{TB: t, at: map[string]string{}}
	w := newWorld(t, append(change, func(s *setting) {
		s.Kubelets = NewTransport(&tls.Config{InsecureSkipVerify: true}, b.dial)
		s.Pods = NewTransport(&tls.Config{InsecureSkipVerify: true}, b.dial)
	})...).serve()
	w.must("POST", "/api/v1/namespaces", `{"metadata":{"name":"n"}}`)
	w.must("POST", "/api/v1/nodes", `{"metadata":{"name":"node"},"status":{"addresses":[{"type":"ExternalIP","address":"10.9.9.9"},{"type":"InternalIP","address":"10.9.0.1"}]}}`)
	w.must("POST", "/api/v1/namespaces/n/pods", `{"metadata":{"name":"p"},"spec":{"nodeName":"node","containers":[{"name":"main","image":"i","ports":[{"containerPort":8080}]},{"name":"side","image":"i"}]}}`)
	w.must("PATCH", "/api/v1/namespaces/n/pods/p/status", `{"status":{"podIP":"10.1.2.3","podIPs":[{"ip":"10.1.2.3"}]}}`, "Content-Type: application/merge-patch+json")
	return w, b
}

// kubelet is what a node's agent does for exec, attach and portforward, in SPDY. A command echoes its input,
// tells its arguments as an error output, and ends with code 3 if it is called false.
type kubelet struct {
	testing.TB
	asked chan *http.Request
}

func newKubelet(t testing.TB) *kubelet { return &kubelet{t, make(chan *http.Request, 10)} }

func (k *kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.asked <- r
	switch {
	case wsstream.IsWebSocketRequest(r):
		k.serveSocket(w, r)
	case r.Header.Get("Upgrade") == "":
		http.Error(w, "Upgrade required", http.StatusBadRequest)
	case r.URL.Path == "/portForward/n/p":
		k.servePorts(w, r)
	default:
		k.serveCommand(w, r)
	}
}

// accept upgrades to SPDY and hands out the streams that the client opens.
func (k *kubelet) accept(w http.ResponseWriter, r *http.Request, protocol string) (httpstream.Connection, chan httpstream.Stream) {
	if _, err := httpstream.Handshake(r, w, []string{protocol}); err != nil {
		k.Errorf("handshake: %v", err)
		return nil, nil
	}
	streams := make(chan httpstream.Stream, 10)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, replied <-chan struct{}) error {
		go func() {
			<-replied
			streams <- s
		}()
		return nil
	})
	return conn, streams
}

func (k *kubelet) serveCommand(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	conn, streams := k.accept(w, r, protocol.StreamProtocolV4Name)
	if conn == nil {
		return
	}
	defer conn.Close()
	by := map[string]httpstream.Stream{}
	for want := 1 + len(q["input"]) + len(q["output"]) + len(q["error"]) + len(q["tty"]); len(by) < want; {
		select {
		case s := <-streams:
			by[s.Headers().Get(corev1.StreamType)] = s
		case <-conn.CloseChan():
			return
		}
	}
	if size := by[corev1.StreamTypeResize]; size != nil {
		var text [200]byte
		n, _ := size.Read(text[:])
		fmt.Fprintf(by[corev1.StreamTypeStdout], "size %s", text[:n])
	}
	if err := by[corev1.StreamTypeStderr]; err != nil {
		fmt.Fprintf(err, "%v", q["command"])
	}
	if in := by[corev1.StreamTypeStdin]; in != nil {
		_, _ = io.Copy(by[corev1.StreamTypeStdout], in)
	}
	status := metav1.Status{Status: metav1.StatusSuccess}
	if len(q["command"]) > 0 && q["command"][0] == "false" {
		status = metav1.Status{
			Status: metav1.StatusFailure, Reason: protocol.NonZeroExitCodeReason, Message: "command terminated with exit code 3",
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: protocol.ExitCodeCauseType, Message: "3"}}},
		}
	}
	_ = json.NewEncoder(by[corev1.StreamTypeError]).Encode(status)
	for _, s := range by {
		s.Close()
	}
	<-conn.CloseChan()
}

// servePorts echoes what comes for a port, after the port's number.
func (k *kubelet) servePorts(w http.ResponseWriter, r *http.Request) {
	conn, streams := k.accept(w, r, "portforward.k8s.io")
	if conn == nil {
		return
	}
	defer conn.Close()
	for {
		select {
		case s := <-streams:
			if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeData {
				go func() {
					fmt.Fprintf(s, "port %s: ", s.Headers().Get(corev1.PortHeader))
					if _, err := io.Copy(s, s); err != nil {
						k.Errorf("echo: %v", err)
					}
					s.Close()
				}()
			}
		case <-conn.CloseChan():
			return
		}
	}
}

// serveSocket is an agent that speaks websockets itself.
func (k *kubelet) serveSocket(w http.ResponseWriter, r *http.Request) {
	channels := []wsstream.ChannelType{wsstream.ReadChannel, wsstream.WriteChannel, wsstream.WriteChannel, wsstream.WriteChannel, wsstream.ReadChannel}
	conn := wsstream.NewConn(map[string]wsstream.ChannelProtocolConfig{
		protocol.StreamProtocolV5Name: {Binary: true, Channels: channels},
		protocol.StreamProtocolV4Name: {Binary: true, Channels: channels},
	})
	_, streams, err := conn.Open(w, r)
	if err != nil {
		k.Errorf("open a websocket: %v", err)
		return
	}
	defer conn.Close()
	fmt.Fprint(streams[protocol.StreamStdOut], "by websocket: ")
	_, _ = io.Copy(streams[protocol.StreamStdOut], streams[protocol.StreamStdIn])
	fmt.Fprint(streams[protocol.StreamErr], `{"status":"Success"}`)
}
