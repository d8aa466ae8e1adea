package apiserver

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// requestInfo is what a request's method and path say.
type requestInfo struct {
	// isResource is false for /healthz, /version, discovery and the like; only path and verb count then.
	isResource bool
	path       string
	verb       string
	query      url.Values // nil if there is none

	group, version                         string
	namespace, resource, name, subresource string
	// rest is what follows the subresource, for proxies.
	rest string
	// prefixWatch tells of the deprecated /watch/ paths.
	prefixWatch bool
	// unnamed tells of a namespace with no name, as in /namespaces//pods: all of them are read.
	unnamed bool
	// hole tells of any other empty part within the path, which leads nowhere.
	hole bool
}

// astray tells of a path that is read as one of a resource, by authorization too, and leads to none: there are slashes
// before it, or its group has no name.
func (i *requestInfo) astray() bool {
	return !strings.HasPrefix(i.path, "/api/") && (i.group == "" || !strings.HasPrefix(i.path, "/apis/"))
}

func (i *requestInfo) groupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: i.group, Version: i.version}
}

// namespaceViews are the subresources of a namespace; any other path part after a namespace's name is a
// resource in it.
var namespaceViews = map[string]bool{"status": true, "finalize": true}

// parseRequest reads method, path and the watch parameter.
func parseRequest(r *http.Request) *requestInfo {
	info := &requestInfo{path: r.URL.Path, verb: strings.ToLower(r.Method)}
	if r.URL.RawQuery != "" {
		info.query = r.URL.Query()
	}
	parts := splitPath(r.URL.Path)
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		info.version, parts = parts[1], parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		info.group, info.version, parts = parts[1], parts[2], parts[3:]
	default:
		return info
	}
	info.isResource = true
	if parts[0] == "watch" && len(parts) > 1 {
		info.prefixWatch, parts = true, parts[1:]
	}
	info.parseObjectPath(parts)
	info.parseVerb(r)
	return info
}

func (i *requestInfo) parseObjectPath(parts []string) {
	if parts[0] == "namespaces" && len(parts) > 1 {
		i.namespace = parts[1]
		if len(parts) > 2 && !namespaceViews[parts[2]] {
			parts = parts[2:]
			i.unnamed = i.namespace == ""
		}
	}
	i.hole = slices.Contains(parts[:min(len(parts), 3)], "")
	i.resource = parts[0]
	if len(parts) > 1 {
		i.name = parts[1]
	}
	if len(parts) > 2 {
		i.subresource = parts[2]
	}
	if len(parts) > 3 {
		i.rest = strings.Join(parts[3:], "/")
	}
}

func (i *requestInfo) parseVerb(r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		i.verb = "create"
	case http.MethodPut:
		i.verb = "update"
	case http.MethodPatch:
		i.verb = "patch"
	case http.MethodDelete:
		i.verb = "delete"
		if i.name == "" {
			i.verb = "deletecollection"
		}
	case http.MethodGet, http.MethodHead:
		i.verb = "get"
		q := i.query
		switch {
		case i.prefixWatch && i.subresource == "", i.name == "" && q.Has("watch") && parseBool(q.Get("watch")):
			i.verb = "watch"
		case i.name == "":
			i.verb = "list"
		}
	default:
		i.verb = ""
	}
}

// splitPath returns the non-empty parts of a path.
func splitPath(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}
