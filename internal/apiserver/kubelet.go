package apiserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/proa-dev/proa/internal/access"
)

// addressTypes are the addresses of a node at which its agent is looked for, the best first.
var addressTypes = []corev1.NodeAddressType{
	corev1.NodeHostName, corev1.NodeInternalDNS, corev1.NodeInternalIP, corev1.NodeExternalDNS, corev1.NodeExternalIP,
}

// kubeletPort is where an agent listens whose node does not say.
const kubeletPort = 10250

// simulatedRuntime begins the container runtime's version of nodes that exist in name only.
const simulatedRuntime = "proa-simulated://"

// agent is a node's agent, as the node tells of it.
type agent struct {
	name, port string // of the host
	host       string // both
	transport  http.RoundTripper
	// features are those that the agent declares.
	features []string
}

// speaksWebsockets tells whether the agent takes the websocket protocols of streams as they are.
func (a *agent) speaksWebsockets() bool {
	return slices.Contains(a.features, "ExtendWebSocketsToKubelet")
}

// agentOf is the agent of the node that a pod runs on.
func (s *Server) agentOf(ctx context.Context, pod *corev1.Pod) (*agent, error) {
	a, err := s.agent(ctx, pod.Spec.NodeName)
	if apierrors.IsNotFound(err) {
		// kube-apiserver names the resource of the request.
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, pod.Spec.NodeName)
	}
	return a, err
}

func (s *Server) agent(ctx context.Context, node string) (*agent, error) {
	n, err := access.Get[corev1.Node](ctx, s, schema.GroupResource{Resource: "nodes"}, "", node)
	if err != nil {
		return nil, err
	}
	if err := simulated(n); err != nil {
		return nil, err
	}
	if s.kubelets == nil {
		return nil, apierrors.NewServiceUnavailable("this server has no credentials for node agents")
	}
	port := n.Status.DaemonEndpoints.KubeletEndpoint.Port
	if port <= 0 {
		port = kubeletPort
	}
	for _, kind := range addressTypes {
		for _, address := range n.Status.Addresses {
			if address.Type == kind {
				a := &agent{name: address.Address, port: strconv.Itoa(int(port)), transport: s.kubelets, features: n.Status.DeclaredFeatures}
				a.host = net.JoinHostPort(a.name, a.port)
				return a, nil
			}
		}
	}
	return nil, fmt.Errorf("no preferred addresses found; known addresses: %v", n.Status.Addresses)
}

// simulated is the error of those who want to reach what a simulated node runs.
func simulated(n *corev1.Node) error {
	if !strings.HasPrefix(n.Status.NodeInfo.ContainerRuntimeVersion, simulatedRuntime) {
		return nil
	}
	return badRequest("node %q is simulated: pods run there in name only, so there is no container to reach and no log to read", n.Name)
}

// NewTransport makes a transport for Config.Kubelets or Config.Pods. dial is the network's own if nil.
func NewTransport(c *tls.Config, dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Transport {
	return utilnet.SetTransportDefaults(&http.Transport{TLSClientConfig: c, DialContext: dial})
}

// unverified is a transport that takes any certificate from the other side.
func unverified(rt http.RoundTripper) http.RoundTripper {
	t, ok := rt.(*http.Transport)
	if !ok || t.TLSClientConfig == nil || t.TLSClientConfig.InsecureSkipVerify {
		return rt
	}
	t = t.Clone()
	t.TLSClientConfig.InsecureSkipVerify, t.TLSClientConfig.RootCAs = true, nil
	return t
}
