package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/version"
)

// The Kubernetes release whose API this is.
const (
	kubernetesMajor = "1"
	kubernetesMinor = "36"
)

func (s *Server) versionHandler() http.Handler {
	info := version.Info{
		Major: kubernetesMajor, Minor: kubernetesMinor,
		EmulationMajor: kubernetesMajor, EmulationMinor: kubernetesMinor,
		MinCompatibilityMajor: kubernetesMajor, MinCompatibilityMinor: "35",
		GitVersion: s.version, GitTreeState: "clean",
		GoVersion: runtime.Version(), Compiler: runtime.Compiler,
		Platform: fmt.Sprintf("%s/%s", runtime.GOOS, runtime.GOARCH),
	}
	h := jsonHandler(info)
	return s.readOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := (offer{media: []string{mediaJSON}}).clauses(r); err != nil {
			s.writeError(w, r, err)
			return
		}
		h.ServeHTTP(w, r)
	}))
}

// readOnly refuses all methods but GET, as kube-apiserver does for some of its paths.
func (s *Server) readOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			s.writeError(w, r, noSuchMethod())
			return
		}
		h.ServeHTTP(w, r)
	})
}

// only serves a path with a final slash, and nothing below it.
func (s *Server) only(path string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			s.writeError(w, r, noSuchPath())
			return
		}
		h.ServeHTTP(w, r)
	})
}

// jsonHandler answers with a value that does not change.
func jsonHandler(v any) http.Handler {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("apiserver: a constant answer does not encode: %v", err))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaJSON)
		w.Write(data)
	})
}

// indexHandler lists what there is.
func (s *Server) indexHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		jsonHandler(map[string][]string{"paths": s.indexed()}).ServeHTTP(w, r)
	})
}

// indexed are the paths that the index shows: of the API those of groups and versions, and of what helps in
// finding faults nothing.
func (s *Server) indexed() []string {
	c := s.catalog()
	paths := []string{"/apis/"}
	for _, p := range s.pathNames() {
		if !strings.HasSuffix(p, "/") && !strings.HasPrefix(p, "/debug/") && p != "/index.html" {
			paths = append(paths, p)
		}
	}
	for gv := range c.resources {
		if gv.Group == "" {
			paths = append(paths, "/api/"+gv.Version)
		} else {
			paths = append(paths, "/apis/"+gv.Group+"/"+gv.Version)
		}
	}
	for _, g := range c.groups {
		if g != "" {
			paths = append(paths, "/apis/"+g)
		}
	}
	slices.Sort(paths)
	return paths
}

// addPaths connects what is no resource.
func (s *Server) addPaths() {
	s.Handle("/", s.indexHandler())
	s.Handle("/index.html", s.indexHandler())
	s.Handle("/version", s.versionHandler())
	s.Handle("/version/", s.only("/version/", s.versionHandler()))
	s.addMetrics()
	s.Handle(BackupPath, s.backupHandler())
	s.addProfiles()
	s.addHealth()
	s.addDiscovery()
	s.addOpenAPI()
}
