package twin

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// step is one request of a script, with what its @ lines say.
type step struct {
	line   int
	title  string // as in the script, for golden files
	method string
	watch  string // the watch that WATCH opens or EVENTS reads
	path   string
	header http.Header
	body   string
	raw    bool // the body is sent as it stands

	as      string            // who asks
	save    map[string]string // variable to the field of this answer
	wait    time.Duration     // before the request
	differs string            // why Proa's answer is another one
	without []string          // fields that are not compared
	because string            // why they are not
	subset  bool
}

// timed tells whether the answer is what a server has ready within the time that the request gives it, and asking again
// changes nothing.
func (s *step) timed() bool {
	return s.method == "GET" && (strings.Contains(s.path, "timeoutSeconds=") || strings.Contains(s.path, "timeout="))
}

var patchTypes = map[string]string{
	"JSONPATCH": "application/json-patch+json",
	"MERGE":     "application/merge-patch+json",
	"STRATEGIC": "application/strategic-merge-patch+json",
	"APPLY":     "application/apply-patch+yaml",
}

func parseScript(path string) ([]*step, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := parser{next: &step{as: "admin"}}
	for i, line := range strings.Split(string(text), "\n") {
		if err := p.take(i+1, line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
	}
	if p.loop != nil {
		return nil, fmt.Errorf("%s: @each without @end", path)
	}
	for _, s := range p.steps {
		s.body = strings.TrimRight(s.body, "\n")
	}
	return p.steps, nil
}

type parser struct {
	steps []*step
	last  *step // nil before the first request
	next  *step // gathers what @ lines say
	loop  *loop // nil outside of @each
}

func (p *parser) take(number int, line string) error {
	switch {
	case strings.HasPrefix(line, "#"):
		return nil
	case p.loop != nil && strings.TrimSpace(line) == "@end":
		l := p.loop
		p.loop = nil
		return l.unroll(p.take)
	case p.loop != nil:
		return p.loop.take(number, line)
	case strings.HasPrefix(line, "@"):
		return p.directive(strings.TrimSpace(line[1:]))
	case strings.HasPrefix(line, "> "):
		return p.request(number, line[2:])
	case p.last == nil:
		if strings.TrimSpace(line) != "" {
			return fmt.Errorf("a body without a request: %q", line)
		}
		return nil
	case strings.HasPrefix(line, "| "):
		name, value, ok := strings.Cut(line[2:], ":")
		if !ok {
			return fmt.Errorf("not a header: %q", line)
		}
		p.last.header.Add(name, strings.TrimSpace(value))
		p.last.raw = p.last.raw || http.CanonicalHeaderKey(name) == "Content-Type"
		return nil
	}
	p.last.body += line + "\n"
	return nil
}

func (p *parser) request(number int, line string) error {
	s := p.next
	s.line, s.title, s.header = number, line, http.Header{}
	words := strings.Fields(line)
	s.method = words[0]
	switch {
	case s.method == "EVENTS" && len(words) == 2:
		s.watch = words[1]
	case s.method == "WATCH" && len(words) == 3:
		s.watch, s.path = words[1], words[2]
	case len(words) == 2:
		s.path = words[1]
	default:
		return fmt.Errorf("not a request: %q", line)
	}
	if t, ok := patchTypes[s.method]; ok {
		s.method, s.raw = "PATCH", s.method == "APPLY"
		s.header.Set("Content-Type", t)
	}
	p.steps = append(p.steps, s)
	p.last, p.next = s, &step{as: s.as}
	return nil
}

func (p *parser) directive(text string) error {
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case "as":
		p.next.as = rest
	case "save":
		name, field, ok := strings.Cut(rest, " ")
		if !ok || p.last == nil {
			return fmt.Errorf("@save needs a name, a field and a request before it")
		}
		if p.last.save == nil {
			p.last.save = map[string]string{}
		}
		p.last.save[name] = field
	case "wait":
		d, err := time.ParseDuration(rest)
		p.next.wait = d
		return err
	case "differs":
		p.next.differs = rest
	case "without":
		fields, why, _ := strings.Cut(rest, " ")
		if why == "" {
			return fmt.Errorf("@without needs a reason")
		}
		p.next.without, p.next.because = strings.Split(fields, ","), why
	case "subset":
		p.next.subset = true
	case "each":
		p.loop = &loop{names: strings.Fields(rest)}
	default:
		return fmt.Errorf("unknown directive @%s", word)
	}
	return nil
}
