package twin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// quiet is how long a watch must have sent nothing to be taken as done.
const quiet = 400 * time.Millisecond

// patience is how long a server may take for what it does at once, unless the machine is very busy.
const patience = 2 * time.Minute

// answer is what a server said to one step, normalised.
type answer struct {
	step *step
	text string
}

// player sends one script to one server.
type player struct {
	server  *server
	ns      string
	vars    map[string]string
	last    any // the body of the last answer, decoded; nil if it is none
	names   *names
	watches map[string]*watch
	acted   time.Time // when the last request was answered, of which watches may tell
}

// play runs a script and gives an answer for each of its steps. recorded are those that there should be, as far as they
// are known: what a busy machine may not have ready yet is waited for, or asked for again.
func play(ctx context.Context, s *server, script string, recorded []string) ([]answer, error) {
	steps, err := parseScript(script)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(filepath.Base(script), ".txt")
	p := &player{server: s, ns: "t-" + name, vars: map[string]string{}, watches: map[string]*watch{}, names: newNames(s.url.Host)}
	p.vars["ns"] = p.ns
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	defer p.close()
	var all []answer
	for i, step := range steps {
		want := ""
		if i < len(recorded) && step.differs == "" && !step.subset {
			want = recorded[i]
		}
		text, err := p.step(ctx, step, want)
		for tries := 0; err == nil && want != "" && text != want && step.timed() && tries < 10; tries++ {
			text, err = p.step(ctx, step, want)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", script, step.line, err)
		}
		all = append(all, answer{step, text})
	}
	return all, nil
}

// prepare makes the script's namespace, with the service account that pods need.
func (p *player) prepare(ctx context.Context) error {
	for path, body := range map[string]string{"/api/v1/namespaces": p.ns} {
		if err := p.must(ctx, path, body); err != nil {
			return err
		}
	}
	return p.must(ctx, "/api/v1/namespaces/"+p.ns+"/serviceaccounts", "default")
}

func (p *player) must(ctx context.Context, path, name string) error {
	body := `{"metadata":{"name":"` + name + `"}}`
	r, err := p.send(ctx, &step{method: "POST", path: path, as: "admin", header: http.Header{}}, path, []byte(body))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if text, _ := io.ReadAll(r.Body); r.StatusCode != http.StatusCreated {
		return fmt.Errorf("POST %s: %s %s", path, r.Status, text)
	}
	return nil
}

func (p *player) close() {
	for _, w := range p.watches {
		w.cancel()
	}
}

// settle waits until the server's caches have all that was written: as long as a read that must see it takes.
func (p *player) settle(ctx context.Context) error {
	path := "/api/v1/namespaces/" + p.ns
	for deadline := time.Now().Add(patience); ; {
		r, err := p.send(ctx, &step{method: "GET", as: "admin", header: http.Header{}}, path, nil)
		if err != nil {
			return err
		}
		r.Body.Close()
		if r.StatusCode != http.StatusGatewayTimeout {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("GET %s: %s", path, r.Status)
		}
	}
}

// step takes one, and describes the answer. want is the one that there should be, "" if that is not known.
func (p *player) step(ctx context.Context, s *step, want string) (string, error) {
	if s.wait > 0 {
		time.Sleep(s.wait)
		if err := p.settle(ctx); err != nil {
			return "", err
		}
	}
	if s.method == "EVENTS" {
		return p.events(s, want)
	}
	defer func() { p.acted = time.Now() }()
	path, err := p.expand(s.path)
	if err != nil {
		return "", err
	}
	body, err := p.body(s)
	if err != nil {
		return "", err
	}
	for name, values := range s.header {
		for i := range values {
			if values[i], err = p.expand(values[i]); err != nil {
				return "", err
			}
		}
		s.header[name] = values
	}
	if s.method == "WATCH" {
		return p.openWatch(ctx, s, path)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := p.send(ctx, s, path, body)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	return p.describe(s, r, text)
}

func (p *player) send(ctx context.Context, s *step, path string, body []byte) (*http.Response, error) {
	method := s.method
	if method == "WATCH" {
		method = http.MethodGet
	}
	var reader io.Reader
	if len(body) > 0 {
		reader = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, p.server.url.String()+path, reader)
	if err != nil {
		return nil, err
	}
	r.Header = s.header.Clone()
	if s.as != "nobody" && r.Header.Get("Authorization") == "" {
		r.Header.Set("Authorization", "Bearer "+token(s.as))
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "twin/1.0")
	}
	if len(body) > 0 && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return p.server.client.Do(r)
}

// body is what the step sends: the YAML as JSON, unless the step says what it is.
func (p *player) body(s *step) ([]byte, error) {
	text, err := p.expand(s.body)
	if err != nil || strings.TrimSpace(text) == "" {
		return nil, err
	}
	if s.header.Get("Content-Type") == "application/vnd.kubernetes.protobuf" {
		return encodeProtobuf([]byte(text))
	}
	for _, m := range generateName.FindAllStringSubmatch(text, -1) {
		p.names.generate(m[1])
	}
	if s.raw {
		return []byte(text), nil
	}
	return yaml.YAMLToJSON([]byte(text))
}

var generateName = regexp.MustCompile(`generateName"?: *"?([\w./-]+)`)

var variable = regexp.MustCompile(`\$\{[^}]*\}|\$ns\b`)

func (p *player) expand(text string) (_ string, err error) {
	out := variable.ReplaceAllStringFunc(text, func(v string) string {
		value, e := p.value(strings.Trim(v, "${}"))
		if e != nil {
			err = e
		}
		return value
	})
	return out, err
}

func (p *player) value(name string) (string, error) {
	if path, ok := strings.CutPrefix(name, "."); ok {
		v, err := field(p.last, path)
		return fmt.Sprint(v), err
	}
	if count, ok := strings.CutPrefix(name, "x:"); ok {
		n, err := strconv.Atoi(count)
		return strings.Repeat("x", max(n, 0)), err
	}
	if v, ok := p.vars[name]; ok {
		return v, nil
	}
	return "", fmt.Errorf("no variable %q", name)
}

// field finds a value by a path such as metadata.uid or items.0.metadata.name.
func field(v any, path string) (any, error) {
	for _, key := range strings.Split(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(at) {
				return nil, fmt.Errorf("no %s in a list of %d", path, len(at))
			}
			v = at[i]
		default:
			v = nil
		}
		if v == nil {
			return nil, fmt.Errorf("no field %s in the last answer", path)
		}
	}
	return v, nil
}

// describe writes an answer down.
func (p *player) describe(s *step, r *http.Response, text []byte) (string, error) {
	p.last = nil
	decode := func() (string, string, any, error) { return decodeBody(r.Header.Get("Content-Type"), text) }
	if r.StatusCode == http.StatusSwitchingProtocols {
		decode = func() (string, string, any, error) { return decodeFrames(text) }
	}
	kind, body, value, err := decode()
	if err != nil {
		body = fmt.Sprintf("%q (%v)", text, err)
	}
	p.last = value
	for name, path := range s.save {
		if header, ok := strings.CutPrefix(path, "header."); ok {
			p.vars[name] = r.Header.Get(header)
			continue
		}
		v, err := field(value, path)
		if err != nil {
			return "", fmt.Errorf("%w: %d %s", err, r.StatusCode, text)
		}
		p.vars[name] = fmt.Sprint(v)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n", r.StatusCode, kind)
	writeHeaders(&b, r.Header, p.names)
	switch {
	case value != nil:
		if body, err = p.names.render(value, s.without); err != nil {
			return "", err
		}
	case slices.Contains(s.without, "body"):
		body = "<text>"
	default:
		body = p.names.text(body)
	}
	b.WriteString(strings.TrimRight(body, "\n"))
	return strings.TrimRight(b.String(), "\n") + "\n", nil
}

// decodeNumbers keeps numbers as they are written.
func decodeNumbers(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}
