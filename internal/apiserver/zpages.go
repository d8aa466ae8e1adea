package apiserver

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// /statusz and /flagz tell what runs here and how it was started (KEP-4827, KEP-4828): as text for people, and
// as objects of config.k8s.io for those who ask for them by name.

// statusz is what runs here.
type statusz struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	StartTime         metav1.Time `json:"startTime"`
	UptimeSeconds     int64       `json:"uptimeSeconds"`
	GoVersion         string      `json:"goVersion"`
	BinaryVersion     string      `json:"binaryVersion"`
	EmulationVersion  string      `json:"emulationVersion,omitempty"`
	Paths             []string    `json:"paths"`
}

// flagz is how it was started.
type flagz struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Flags             map[string]string `json:"flags,omitempty"`
}

const (
	zpageGroup = "config.k8s.io"
	mediaText  = "text/plain"
)

// zpageVersions are those that can be asked for, and whether that is warned of.
var zpageVersions = map[string]bool{"v1beta1": false, "v1alpha1": true}

var zpageMedia = []string{mediaJSON, mediaYAML, mediaText}

func (s *Server) addZpages(flags map[string]string) {
	if flags != nil {
		s.Handle("/flagz", s.zpage("Flagz", func(t metav1.TypeMeta, m metav1.ObjectMeta) (any, string) {
			f := &flagz{TypeMeta: t, ObjectMeta: m, Flags: flags}
			return f, f.text()
		}))
	}
	s.Handle("/statusz", s.zpage("Statusz", func(t metav1.TypeMeta, m metav1.ObjectMeta) (any, string) {
		st := s.statusz(t, m)
		return st, st.text()
	}))
}

// zpage serves one of them in the form that is asked for.
func (s *Server) zpage(kind string, page func(metav1.TypeMeta, metav1.ObjectMeta) (object any, text string)) http.Handler {
	title := fmt.Sprintf("\n%s %s\nWarning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.\n",
		componentName, strings.ToLower(kind))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := negotiateZpage(r, kind)
		if err != nil {
			s.writeErrorIn(w, r, err, treeMedia)
			return
		}
		object, text := page(metav1.TypeMeta{Kind: kind, APIVersion: zpageGroup + "/" + f.asVersion}, metav1.ObjectMeta{Name: componentName})
		if f.media == mediaText {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			fmt.Fprint(w, title, text)
			return
		}
		if zpageVersions[f.asVersion] {
			w.Header().Set("Warning", fmt.Sprintf(`299 - "This version of the %s endpoint is deprecated. Please use a newer version."`, strings.ToLower(kind)))
		}
		data, err := json.Marshal(object)
		if err == nil {
			data, err = f.finishJSON(data)
		}
		if err != nil {
			s.writeError(w, r, err)
			return
		}
		f.media += fmt.Sprintf(";g=%s;v=%s;as=%s", zpageGroup, f.asVersion, kind)
		if err := writeBody(w, r, f, http.StatusOK, data); err != nil {
			s.log.Debug("write a page", "kind", kind, "err", err)
		}
	})
}

// negotiateZpage picks text, unless the kind is asked for by its name. Without it there is no JSON and no YAML.
func negotiateZpage(r *http.Request, kind string) (format, error) {
	header := r.Header.Get("Accept")
	if strings.TrimSpace(header) == "" {
		return format{media: mediaText}, nil
	}
	for _, c := range parseAccept(header) {
		_, served := zpageVersions[c.params["v"]]
		served = served && c.params["as"] == kind && c.params["g"] == zpageGroup
		for _, media := range zpageMedia {
			if !c.matches(media) || c.params["stream"] != "" {
				continue
			}
			switch {
			case media == mediaText && !c.converts():
				return format{media: media}, nil
			case media != mediaText && served:
				return format{media: media, as: kind, asVersion: c.params["v"], pretty: wantsPretty(r, c)}, nil
			}
		}
	}
	return format{}, notAcceptable(zpageMedia)
}

func (s *Server) statusz(t metav1.TypeMeta, m metav1.ObjectMeta) *statusz {
	return &statusz{
		TypeMeta: t, ObjectMeta: m, StartTime: metav1.NewTime(s.started.Truncate(time.Second)),
		UptimeSeconds: int64(s.clock.Since(s.started).Seconds()), GoVersion: runtime.Version(),
		BinaryVersion: strings.TrimPrefix(s.version, "v"), EmulationVersion: kubernetesMajor + "." + kubernetesMinor,
		Paths: s.debugPaths(),
	}
}

// apiPaths are no help in finding out what is wrong.
var apiPaths = []string{"apis", "api", "openid", "openapi", ".well-known"}

// debugPaths are the first parts of the paths that are served, beside those of the API itself.
func (s *Server) debugPaths() []string {
	var paths []string
	for _, p := range s.pathNames() {
		if first := splitPath(p)[0]; !slices.Contains(apiPaths, first) && !slices.Contains(paths, "/"+first) {
			paths = append(paths, "/"+first)
		}
	}
	slices.Sort(paths)
	return paths
}

func (st *statusz) text() string {
	return fmt.Sprintf("\nStarted: %s\nUp: %d hr %02d min %02d sec\nGo version: %s\nBinary version: %s\nEmulation version: %s\nPaths: %s\n",
		st.StartTime.Format(time.UnixDate), st.UptimeSeconds/3600, st.UptimeSeconds/60%60, st.UptimeSeconds%60,
		st.GoVersion, st.BinaryVersion, st.EmulationVersion, strings.Join(st.Paths, " "))
}

func (f *flagz) text() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(f.Flags)) {
		fmt.Fprintf(&b, "%s=%s\n", name, f.Flags[name])
	}
	return b.String()
}
