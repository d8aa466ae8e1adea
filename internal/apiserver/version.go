package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
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
	return jsonHandler(info)
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
		paths := s.pathNames()
		for i, p := range paths {
			if len(p) > 1 {
				paths[i] = strings.TrimSuffix(p, "/")
			}
		}
		jsonHandler(map[string][]string{"paths": paths}).ServeHTTP(w, r)
	})
}

// addPaths connects what is no resource.
func (s *Server) addPaths() {
	s.Handle("/", s.indexHandler())
	s.Handle("/index.html", s.indexHandler())
	s.Handle("/version", s.versionHandler())
	s.Handle("/version/", s.versionHandler())
	s.Handle("/metrics", s.metricsHandler())
	s.Handle(BackupPath, s.backupHandler())
	s.addProfiles()
	s.addHealth()
	s.addDiscovery()
	s.addOpenAPI()
}
