package apiserver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/proxy"
	utilips "k8s.io/utils/net"

	"github.com/proa-dev/proa/internal/access"
)

// place is where a proxied request goes.
type place struct {
	scheme, host string
	transport    http.RoundTripper
}

// proxy hands a request to what a pod, a service or a node serves. Names may carry a scheme and a port:
// https:web:8443.
func (s *Server) proxy(w http.ResponseWriter, r *http.Request, c *call) error {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(c.name)
	if !ok {
		return badRequest("invalid %s request %q", strings.TrimSuffix(c.typ.Name, "s"), c.name)
	}
	find := map[string]func(*Server, context.Context, *call, string, string) (*place, error){
		"pods": (*Server).podPlace, "services": (*Server).servicePlace, "nodes": (*Server).nodePlace,
	}[c.typ.Name]
	to, err := find(s, r.Context(), c, name, port)
	if err != nil {
		return err
	}
	if to.scheme == "" {
		to.scheme = scheme
	}
	location := &url.URL{Scheme: to.scheme, Host: to.host, Path: proxiedPath(r.URL.Path, c.rest)}
	proxy.NewUpgradeAwareHandler(location, to.transport, true, false, responder{s, w, r}).ServeHTTP(w, unnamed(r))
	return nil
}

// proxiedPath is what follows the subresource, with the slash that the request ends with.
func proxiedPath(requested, rest string) string {
	if rest != "" {
		rest = "/" + rest
	}
	if strings.HasSuffix(requested, "/") && !strings.HasSuffix(rest, "/") {
		rest += "/"
	}
	return rest
}

// podPlace is a pod's address, and the port that it names first unless the request names one.
func (s *Server) podPlace(ctx context.Context, c *call, name, port string) (*place, error) {
	pod, err := access.Get[corev1.Pod](ctx, s, schema.GroupResource{Resource: "pods"}, c.namespace, name)
	if err != nil {
		return nil, err
	}
	if port == "" {
		if i := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return len(c.Ports) > 0 }); i >= 0 {
			port = strconv.Itoa(int(pod.Spec.Containers[i].Ports[0].ContainerPort))
		}
	}
	ip := pod.Status.PodIP
	if len(pod.Status.PodIPs) > 0 {
		ip = pod.Status.PodIPs[0].IP
	}
	if parsed := utilips.ParseIPSloppy(ip); parsed == nil || !parsed.IsGlobalUnicast() {
		return nil, apierrors.NewBadRequest("address not allowed")
	}
	if err := s.reachable(ctx, pod); err != nil {
		return nil, err
	}
	host := net.JoinHostPort(ip, port)
	if port == "" {
		host = strings.TrimSuffix(host, ":")
	}
	return &place{host: host, transport: s.pods}, nil
}

// reachable tells whether there is anything behind a pod's address: nothing on a simulated node, and who
// knows what in the network of this machine.
func (s *Server) reachable(ctx context.Context, pod *corev1.Pod) error {
	if pod.Spec.NodeName == "" {
		return nil
	}
	node, err := access.Get[corev1.Node](ctx, s, schema.GroupResource{Resource: "nodes"}, "", pod.Spec.NodeName)
	if err != nil {
		return nil // the node may have gone before its pods
	}
	if err := simulated(node); err != nil {
		return apierrors.NewServiceUnavailable(fmt.Sprintf("error trying to reach service: %v", err))
	}
	return nil
}

// servicePlace is one of a service's ready pods, taken at random.
func (s *Server) servicePlace(ctx context.Context, c *call, name, port string) (*place, error) {
	if number, err := strconv.ParseInt(port, 10, 64); err == nil {
		if port, err = s.servicePort(ctx, c, name, number); err != nil {
			return nil, err
		}
	}
	endpoints, err := access.Get[corev1.Endpoints](ctx, s, schema.GroupResource{Resource: "endpoints"}, c.namespace, name)
	if apierrors.IsNotFound(err) {
		return nil, apierrors.NewNotFound(c.groupResource(), name)
	}
	if err != nil {
		return nil, err
	}
	if len(endpoints.Subsets) == 0 {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", name))
	}
	for _, i := range rand.Perm(len(endpoints.Subsets)) {
		subset := endpoints.Subsets[i]
		for _, p := range subset.Ports {
			if p.Name != port {
				continue
			}
			for _, j := range rand.Perm(len(subset.Addresses)) {
				address := subset.Addresses[j]
				switch err := s.checkEndpoint(ctx, c.namespace, &address); {
				case apierrors.IsServiceUnavailable(err):
					return nil, err
				case err != nil:
					s.log.Warn("an endpoint is no pod's address", "service", c.namespace+"/"+name, "address", address.IP, "err", err)
					continue
				}
				return &place{host: net.JoinHostPort(address.IP, strconv.Itoa(int(p.Port))), transport: s.pods}, nil
			}
		}
	}
	return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", c.name))
}

// servicePort is the name of the port that has a number.
func (s *Server) servicePort(ctx context.Context, c *call, name string, number int64) (string, error) {
	service, err := access.Get[corev1.Service](ctx, s, schema.GroupResource{Resource: "services"}, c.namespace, name)
	if err != nil {
		return "", err
	}
	for _, p := range service.Spec.Ports {
		if int64(p.Port) == number {
			return p.Name, nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", number, name))
}

// checkEndpoint makes sure that an endpoint is the address of a pod of the namespace: whoever may write
// Endpoints must not thereby reach what only the server can.
func (s *Server) checkEndpoint(ctx context.Context, namespace string, a *corev1.EndpointAddress) error {
	if a.TargetRef == nil {
		return errors.New("it refers to nothing")
	}
	if a.TargetRef.Namespace != namespace {
		return errors.New("it refers to another namespace")
	}
	pod, err := access.Get[corev1.Pod](ctx, s, schema.GroupResource{Resource: "pods"}, namespace, a.TargetRef.Name)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(pod.Status.PodIPs, func(ip corev1.PodIP) bool { return ip.IP == a.IP }) {
		return errors.New("the pod has another address")
	}
	return s.reachable(ctx, pod)
}

// nodePlace is a node's agent, or another port of the node.
func (s *Server) nodePlace(ctx context.Context, _ *call, name, port string) (*place, error) {
	a, err := s.agent(ctx, name)
	if err != nil {
		return nil, err
	}
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, a.name)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if len(addresses) == 0 {
		return nil, apierrors.NewBadRequest("no addresses for hostname")
	}
	for _, address := range addresses {
		if !address.IP.IsGlobalUnicast() {
			return nil, apierrors.NewBadRequest("address not allowed")
		}
	}
	if port == "" || port == a.port {
		return &place{scheme: "https", host: a.host, transport: a.transport}, nil
	}
	return &place{host: net.JoinHostPort(a.name, port), transport: s.pods}, nil
}
