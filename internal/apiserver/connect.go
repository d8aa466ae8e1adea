package apiserver

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/proxy"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/admission"
	"github.com/proa-dev/proa/internal/apiserver/streams"
)

// connect joins a client with something behind the API server: a container's streams or log, by way of its
// node's agent, or whatever a pod, a service or a node serves.
func (s *Server) connect(w http.ResponseWriter, r *http.Request, c *call) error {
	q := r.URL.Query()
	if c.subresource == "log" {
		return s.serveLog(w, r, c, q)
	}
	if len(q["dryRun"]) > 0 {
		return badRequest("dryRun is not supported")
	}
	options, err := streamOptions(c.subresource, q)
	if err != nil {
		return err
	}
	if err := s.admit(r.Context(), c.admission(admission.Connect, nil, nil)); err != nil {
		return err
	}
	if c.subresource == "proxy" {
		return s.proxy(w, r, c)
	}
	return s.serveStream(w, r, c, q.Get("container"), options)
}

// serveStream passes exec, attach and portforward on to the node's agent. What comes after the upgrade is
// between the client and the agent, unless the client speaks a protocol that the agent does not.
func (s *Server) serveStream(w http.ResponseWriter, r *http.Request, c *call, container string, options url.Values) error {
	if err := s.authorizeStream(r.Context(), c); err != nil {
		return err
	}
	pod, err := s.pod(r.Context(), c)
	if err != nil {
		return err
	}
	location := path.Join("/portForward", pod.Namespace, pod.Name)
	if c.subresource != "portforward" {
		if container, err = chooseContainer(pod, container); err != nil {
			return err
		}
		location = path.Join("/", c.subresource, pod.Namespace, pod.Name, container)
	}
	if pod.Spec.NodeName == "" {
		return badRequest("pod %s does not have a host assigned", pod.Name)
	}
	agent, err := s.agentOf(r.Context(), pod)
	if err != nil {
		return err
	}
	target := &url.URL{Scheme: "https", Host: agent.host, Path: location, RawQuery: options.Encode()}
	respond := responder{s, w, r}
	pass := proxy.NewUpgradeAwareHandler(target, agent.transport, false, true, respond)
	streams.Handler(c.subresource, pass, target, agent.transport, options, agent.speaksWebsockets()).ServeHTTP(w, unnamed(r))
	return nil
}

// streamOptions are the options of a subresource as a node's agent wants them.
func streamOptions(subresource string, q url.Values) (url.Values, error) {
	options := url.Values{}
	switch subresource {
	case "exec", "attach":
		for name, agents := range map[string]string{"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"} {
			if q.Has(name) && parseBool(q.Get(name)) {
				options.Set(agents, "1")
			}
		}
		if subresource == "exec" && len(q["command"]) > 0 {
			options["command"] = q["command"]
		}
	case "portforward":
		for _, text := range q["ports"] {
			for port := range strings.SplitSeq(text, ",") {
				if _, err := strconv.ParseUint(port, 10, 16); err != nil {
					return nil, apierrors.NewBadRequest("cannot convert to []int32: " + err.Error())
				}
			}
		}
		if ports := q["ports"]; len(ports) > 0 {
			options.Set("port", strings.Join(ports, ","))
		}
	}
	return options, nil
}

// authorizeStream makes sure that who opens a stream may create one: browsers can open websockets by GET
// only, and that must not make reading a pod enough to get into it.
func (s *Server) authorizeStream(ctx context.Context, c *call) error {
	if c.verb == "create" {
		return nil
	}
	st := stateOf(ctx)
	decision, reason, err := s.authz.Authorize(ctx, &access.Attributes{
		User: st.user, Verb: "create", IsResource: true, Path: st.info.path, Group: st.info.group, Version: st.info.version,
		Resource: st.info.resource, Subresource: c.subresource, Namespace: c.namespace, Name: c.name,
	})
	switch {
	case decision == access.Allow:
		return nil
	case err != nil:
		return err
	default:
		return apierrors.NewForbidden(c.groupResource(), c.name, errors.New(reason))
	}
}

// pod is the one that the call is about.
func (s *Server) pod(ctx context.Context, c *call) (*corev1.Pod, error) {
	return access.Get[corev1.Pod](ctx, s, schema.GroupResource{Resource: "pods"}, c.namespace, c.name)
}

// chooseContainer finds the container that is meant: the only one, unless there is a name.
func chooseContainer(pod *corev1.Pod, name string) (string, error) {
	var names []string
	for _, c := range pod.Spec.InitContainers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		names = append(names, c.Name)
	}
	switch {
	case name != "" && !slices.Contains(names, name):
		return "", badRequest("container %s is not valid for pod %s", name, pod.Name)
	case name != "":
		return name, nil
	case len(pod.Spec.Containers) == 1:
		return pod.Spec.Containers[0].Name, nil
	default:
		return "", badRequest("a container name must be specified for pod %s, choose one of: %v", pod.Name, names)
	}
}

// unnamed is the request without what tells who sent it.
func unnamed(r *http.Request) *http.Request {
	out := r.Clone(r.Context())
	for name := range out.Header {
		if name == "Authorization" || strings.HasPrefix(name, "Impersonate-") {
			out.Header.Del(name)
		}
	}
	return out
}

// responder answers with a Status when a proxy fails before it has answered.
type responder struct {
	server *Server
	w      http.ResponseWriter
	r      *http.Request
}

var _ proxy.ErrorResponder = responder{}

func (p responder) Error(_ http.ResponseWriter, _ *http.Request, err error) {
	p.server.log.Debug("a proxied request failed", "path", p.r.URL.Path, "err", err)
	p.server.writeError(p.w, p.r, err)
}
