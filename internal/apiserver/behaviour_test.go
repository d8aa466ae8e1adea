package apiserver

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Behaviour is told in testdata/behaviour/*.txt. A case begins with "== title" and has its own namespaces:
// $ns stands for /api/v1/namespaces/N, $apps and $batch for the same under their groups. An unindented line
// is a request, "METHOD PATH [BODY]", a body beginning with { or [; PATCH names its kind as in PATCH.merge.
// Indented lines below are its headers ("Name: value", before the code), the code expected, and checks:
//
//	.metadata.name = "a"    the JSON at the path
//	.metadata.uid = *       anything
//	.spec = -               nothing
//	.metadata.uid = $uid    the same wherever $uid stands; the first one says what it is
//	.metadata.uid != $uid   another
//	.message ~ text         contains the text
//	#.items = 3             the length
//	Retry-After: 1          a header of the answer, below the code
func TestBehaviour(t *testing.T) {
	files, err := filepath.Glob("testdata/behaviour/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no behaviour: %v", err)
	}
	w := newWorld(t)
	number := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range strings.Split("\n"+string(data), "\n== ")[1:] {
			title, body, _ := strings.Cut(text, "\n")
			number++
			namespace := fmt.Sprintf("n%d", number)
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+title, func(t *testing.T) {
				s := &script{world: w, t: t, vars: map[string]string{
					"ns": "/api/v1/namespaces/" + namespace, "apps": "/apis/apps/v1/namespaces/" + namespace,
					"batch": "/apis/batch/v1/namespaces/" + namespace, "N": namespace,
				}}
				s.run(body)
			})
		}
	}
}

// script is one case.
type script struct {
	world *world
	t     *testing.T
	vars  map[string]string
	// of the request that is being gathered, "" at the beginning
	request string
	headers []string
	reply   *reply
}

func (s *script) run(text string) {
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || strings.HasPrefix(trimmed, "//"):
		case line[0] != ' ':
			s.request, s.headers, s.reply = trimmed, nil, nil
		case s.reply == nil && strings.Contains(trimmed, ": "):
			s.headers = append(s.headers, trimmed)
		case s.reply == nil:
			s.send(trimmed)
		default:
			s.check(i, trimmed)
		}
		if s.t.Failed() {
			s.t.Fatalf("line %d: %s\n  request: %s\n  answer: %s", i+1, trimmed, s.request, s.shown())
		}
	}
}

func (s *script) shown() string {
	if s.reply == nil {
		return "none"
	}
	return fmt.Sprint(s.reply.code, " ", string(s.reply.body))
}

var patchMedia = map[string]string{
	"json": "application/json-patch+json", "merge": "application/merge-patch+json",
	"strategic": "application/strategic-merge-patch+json", "apply": "application/apply-patch+yaml",
}

func (s *script) send(code string) {
	parts := strings.SplitN(s.fill(s.request), " ", 3)
	body := ""
	if len(parts) == 3 {
		body = parts[2]
	}
	method, kind, _ := strings.Cut(parts[0], ".")
	if kind != "" {
		s.headers = append(s.headers, "Content-Type: "+patchMedia[kind])
	}
	s.reply = s.world.do(method, parts[1], body, s.headers...)
	if fmt.Sprint(s.reply.code) != code {
		s.t.Errorf("got %d", s.reply.code)
	}
}

var variable = regexp.MustCompile(`\$[A-Za-z0-9]+`)

func (s *script) fill(text string) string {
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		if v, ok := s.vars[name[1:]]; ok {
			return v
		}
		return name
	})
}

func (s *script) check(_ int, line string) {
	if !strings.HasPrefix(line, ".") && !strings.HasPrefix(line, "#") {
		name, want, _ := strings.Cut(line, ": ")
		if got := strings.Join(s.reply.header.Values(name), ", "); !strings.Contains(got, s.fill(want)) {
			s.t.Errorf("header %s is %q", name, got)
		}
		return
	}
	parts := strings.SplitN(line, " ", 3)
	path, operator, want := parts[0], parts[1], s.fill(parts[2])
	length := strings.HasPrefix(path, "#")
	got := lookUp(s.reply.tree(s.t), strings.TrimPrefix(path, "#"))
	if length {
		switch v := got.(type) {
		case []any:
			got = json.Number(strconv.Itoa(len(v)))
		case map[string]any:
			got = json.Number(strconv.Itoa(len(v)))
		default:
			got = json.Number("0")
		}
	}
	s.compare(got, operator, want)
}

func (s *script) compare(got any, operator, want string) {
	data, _ := json.Marshal(got)
	text := string(data)
	if str, ok := got.(string); ok && (operator == "~" || !strings.HasPrefix(want, `"`)) {
		text = str
	}
	switch {
	case operator == "~":
		if !strings.Contains(text, want) {
			s.t.Errorf("%q does not contain %q", text, want)
		}
	case want == "*":
		if got == nil {
			s.t.Error("nothing there")
		}
	case want == "-":
		if got != nil {
			s.t.Errorf("there is %s", text)
		}
	case operator == "=" && strings.HasPrefix(want, "$"):
		s.vars[want[1:]] = text
	case operator == "=":
		if text != want {
			s.t.Errorf("got %s", text)
		}
	case operator == "!=":
		if text == want {
			s.t.Errorf("got %s", text)
		}
	default:
		s.t.Errorf("no such check: %s %s", operator, want)
	}
}

var step = regexp.MustCompile(`^(?:\.([A-Za-z0-9_:-]+)|\["([^"]+)"\]|\[(\d+)\])`)

// lookUp follows a path such as .a["b.c"][0].d, and returns nil where it leads nowhere.
func lookUp(v any, path string) any {
	for path != "" {
		m := step.FindStringSubmatch(path)
		if m == nil {
			panic("bad path " + path)
		}
		path = path[len(m[0]):]
		switch at := v.(type) {
		case map[string]any:
			v = at[m[1]+m[2]]
		case []any:
			i, _ := strconv.Atoi(m[3])
			if m[3] == "" || i >= len(at) {
				return nil
			}
			v = at[i]
		default:
			return nil
		}
	}
	return v
}
