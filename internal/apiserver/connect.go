package apiserver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/admission"
)

// connect passes a request on to the node agent of the node that a pod runs on.
func (s *Server) connect(w http.ResponseWriter, r *http.Request, c *call) error {
	ctx := r.Context()
	node, target, err := s.connectTarget(ctx, c, r.URL.Query())
	if err != nil {
		return err
	}
	if err := s.admit(ctx, c.admission(admission.Connect, nil, nil)); err != nil {
		return err
	}
	host, err := s.kubeletAddress(ctx, node)
	if err != nil {
		return err
	}
	if s.kubelets == nil {
		return serverStatus(http.StatusServiceUnavailable, "ServiceUnavailable", "this server has no credentials for node agents")
	}
	target.Scheme, target.Host = "https", host
	proxy := &httputil.ReverseProxy{
		Transport:     s.kubelets,
		FlushInterval: -1,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL = target
			p.Out.Host = host
			p.Out.Header.Del("Authorization")
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			s.writeError(w, r, serverStatus(http.StatusBadGateway, "ServiceUnavailable", fmt.Sprintf("node agent of %s: %v", node, err)))
		},
	}
	proxy.ServeHTTP(w, r)
	return nil
}

// connectTarget says which node a request goes to, and what it asks of the agent there.
func (s *Server) connectTarget(ctx context.Context, c *call, q url.Values) (node string, target *url.URL, err error) {
	if c.typ.Name == "nodes" {
		return c.name, &url.URL{Path: "/" + c.rest, RawQuery: q.Encode()}, nil
	}
	pod, err := access.Get[corev1.Pod](ctx, s, schema.GroupResource{Resource: "pods"}, c.namespace, c.name)
	if err != nil {
		return "", nil, err
	}
	if c.typ.Name != "pods" || c.subresource == "proxy" {
		return "", nil, apierrors.NewMethodNotSupported(c.groupResource(), c.verb)
	}
	container, err := chooseContainer(pod, c.subresource, q.Get("container"))
	if err != nil {
		return "", nil, err
	}
	if pod.Spec.NodeName == "" {
		return "", nil, badRequest("pod %s does not have a host assigned", pod.Name)
	}
	q.Del("container")
	return pod.Spec.NodeName, &url.URL{Path: agentPath(pod, c.subresource, container), RawQuery: q.Encode()}, nil
}

// agentPath is where a node agent serves what the subresource asks for.
func agentPath(pod *corev1.Pod, subresource, container string) string {
	switch subresource {
	case "log":
		return path.Join("/containerLogs", pod.Namespace, pod.Name, container)
	case "portforward":
		return path.Join("/portForward", pod.Namespace, pod.Name)
	default:
		return path.Join("/", subresource, pod.Namespace, pod.Name, container)
	}
}

// chooseContainer finds the container that is meant: the only one, unless there is a name.
func chooseContainer(pod *corev1.Pod, subresource, name string) (string, error) {
	if subresource == "portforward" {
		return "", nil
	}
	var names, others []string
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.InitContainers {
		others = append(others, c.Name)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		others = append(others, c.Name)
	}
	if name == "" {
		if preferred := pod.Annotations["kubectl.kubernetes.io/default-container"]; preferred != "" {
			name = preferred
		} else if len(names) == 1 {
			return names[0], nil
		} else {
			text := fmt.Sprintf("a container name must be specified for pod %s, choose one of: [%s]", pod.Name, strings.Join(names, " "))
			if len(others) > 0 {
				text += fmt.Sprintf(" or one of the init containers: [%s]", strings.Join(others, " "))
			}
			return "", badRequest("%s", text)
		}
	}
	for _, n := range append(names, others...) {
		if n == name {
			return name, nil
		}
	}
	return "", badRequest("container %s is not valid for pod %s", name, pod.Name)
}

// kubeletAddress is where a node's agent listens.
func (s *Server) kubeletAddress(ctx context.Context, name string) (string, error) {
	node, err := access.Get[corev1.Node](ctx, s, schema.GroupResource{Resource: "nodes"}, "", name)
	if err != nil {
		return "", err
	}
	port := node.Status.DaemonEndpoints.KubeletEndpoint.Port
	if port == 0 {
		return "", badRequest("node %q is simulated: pods run there in name only, so there is no container to reach and no log to read", name)
	}
	for _, kind := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP, corev1.NodeHostName} {
		for _, a := range node.Status.Addresses {
			if a.Type == kind {
				return net.JoinHostPort(a.Address, strconv.Itoa(int(port))), nil
			}
		}
	}
	return "", badRequest("node %q has no address", name)
}
