package apiserver

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/streaming/pkg/httpstream/wsstream"
	"k8s.io/utils/ptr"
)

// maxAgentError bounds how much is read of an agent's error.
const maxAgentError = 50_000

// logMedia are what the path of a log says that it has.
var logMedia = append([]string{"text/plain"}, allMedia...)

// serveLog hands on a container's log, which the node's agent keeps.
func (s *Server) serveLog(w http.ResponseWriter, r *http.Request, c *call, q url.Values) error {
	// A log is text, whatever is asked for; but what is asked for must be there for other resources.
	if _, err := (offer{media: logMedia}).clauses(r); err != nil {
		return err
	}
	if _, err := negotiate(r, offer{media: allMedia, lenient: true}); err != nil {
		return err
	}
	o, err := logOptions(q)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if errs := validateLogOptions(o); len(errs) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Kind: "PodLogOptions"}, c.name, errs)
	}
	pod, err := s.pod(r.Context(), c)
	if err != nil {
		return err
	}
	container, err := chooseContainer(pod, o.Container)
	if err != nil {
		return err
	}
	if pod.Spec.NodeName == "" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	a, err := s.agentOf(r.Context(), pod)
	if err != nil {
		return err
	}
	target := url.URL{
		Scheme: "https", Host: a.host, Path: path.Join("/containerLogs", pod.Namespace, pod.Name, container),
		RawQuery: agentLogOptions(o).Encode(),
	}
	transport := a.transport
	if o.InsecureSkipTLSVerifyBackend {
		transport = s.kubeletsUnverified
	}
	log, err := fetchLog(r, transport, target.String(), c.name)
	if err != nil {
		return err
	}
	defer log.Close()
	return sendLog(w, r, log, o.Follow)
}

// fetchLog opens an agent's answer.
func fetchLog(r *http.Request, transport http.RoundTripper, target, pod string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects forbidden") }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusOK && resp.StatusCode <= http.StatusPartialContent {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAgentError))
	switch {
	case err != nil:
		return nil, apierrors.NewInternalError(err)
	case resp.StatusCode == http.StatusInternalServerError:
		return nil, apierrors.NewInternalError(errors.New(string(text)))
	case resp.StatusCode == http.StatusBadRequest:
		return nil, apierrors.NewBadRequest(string(text))
	default:
		return nil, apierrors.NewGenericServerResponse(resp.StatusCode, "", schema.GroupResource{Resource: "pods/log"}, pod, string(text), 0, false)
	}
}

// sendLog answers with a log, as it comes if the client follows it.
func sendLog(w http.ResponseWriter, r *http.Request, log io.Reader, follow bool) error {
	if isWebSocket(r) {
		return wsstream.NewReader(log, true, wsstream.NewDefaultReaderProtocols()).Copy(w, r)
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	if err := rc.Flush(); err != nil {
		return err
	}
	if follow {
		_, err := io.Copy(&flushing{w, rc}, log)
		return err
	}
	_, err := io.Copy(w, log)
	return err
}

// flushing sends every write at once.
type flushing struct {
	io.Writer
	*http.ResponseController
}

func (f *flushing) Write(b []byte) (int, error) {
	n, err := f.Writer.Write(b)
	if err != nil {
		return n, err
	}
	return n, f.Flush()
}

func logOptions(q url.Values) (*corev1.PodLogOptions, error) {
	o := &corev1.PodLogOptions{Container: q.Get("container")}
	for name, to := range map[string]*bool{
		"follow": &o.Follow, "previous": &o.Previous, "timestamps": &o.Timestamps,
		"insecureSkipTLSVerifyBackend": &o.InsecureSkipTLSVerifyBackend,
	} {
		*to = q.Has(name) && parseBool(q.Get(name))
	}
	// In this order: of several that are no numbers the first is told.
	for _, n := range []struct {
		name string
		to   **int64
	}{{"sinceSeconds", &o.SinceSeconds}, {"tailLines", &o.TailLines}, {"limitBytes", &o.LimitBytes}} {
		if !q.Has(n.name) {
			continue
		}
		value, err := strconv.ParseInt(q.Get(n.name), 10, 64)
		if err != nil {
			return nil, err
		}
		*n.to = &value
	}
	if q.Has("sinceTime") {
		o.SinceTime = &metav1.Time{}
		if err := o.SinceTime.UnmarshalQueryParameter(q.Get("sinceTime")); err != nil {
			return nil, err
		}
	}
	if q.Has("stream") {
		o.Stream = ptr.To(q.Get("stream"))
	}
	return o, nil
}

func validateLogOptions(o *corev1.PodLogOptions) (errs field.ErrorList) {
	if n := o.TailLines; n != nil && *n < 0 {
		errs = append(errs, field.Invalid(field.NewPath("tailLines"), *n, "must be greater than or equal to 0"))
	}
	if n := o.LimitBytes; n != nil && *n < 1 {
		errs = append(errs, field.Invalid(field.NewPath("limitBytes"), *n, "must be greater than 0"))
	}
	switch n := o.SinceSeconds; {
	case n != nil && o.SinceTime != nil:
		errs = append(errs, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
	case n != nil && *n < 1:
		errs = append(errs, field.Invalid(field.NewPath("sinceSeconds"), *n, "must be greater than 0"))
	}
	if o.Stream != nil { // the gate PodLogsQuerySplitStreams is off
		errs = append(errs, field.Forbidden(field.NewPath("stream"), "may not be specified"))
	}
	return errs
}

// agentLogOptions are the options as a node's agent wants them.
func agentLogOptions(o *corev1.PodLogOptions) url.Values {
	q := url.Values{}
	for name, set := range map[string]bool{"follow": o.Follow, "previous": o.Previous, "timestamps": o.Timestamps} {
		if set {
			q.Set(name, "true")
		}
	}
	for name, n := range map[string]*int64{"sinceSeconds": o.SinceSeconds, "tailLines": o.TailLines, "limitBytes": o.LimitBytes} {
		if n != nil {
			q.Set(name, fmt.Sprint(*n))
		}
	}
	if o.SinceTime != nil {
		q.Set("sinceTime", o.SinceTime.Format(time.RFC3339))
	}
	return q
}
