package twin

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// The differences that scripts accept are told to users in docs/COMPATIBILITY.md, between these two lines.
const (
	differencesBegin = "<!-- What follows is made from the scripts: make twin DOCUMENT=1 -->"
	differencesEnd   = "<!-- What was made from the scripts ends here. -->"
)

// difference is one reason with the requests that it is given for.
type difference struct {
	reason string
	// fields are those that are not compared; empty if the whole answer is another one.
	fields   []string
	requests []string
	scripts  []string
}

// differences are those of scripts, in their order.
func differences(scripts []string) ([]*difference, error) {
	var all []*difference
	byReason := map[string]*difference{}
	add := func(script, reason, request string, fields []string) {
		key := fmt.Sprint(reason, len(fields) > 0)
		d := byReason[key]
		if d == nil {
			d = &difference{reason: reason}
			byReason[key] = d
			all = append(all, d)
		}
		for _, f := range fields {
			if !slices.Contains(d.fields, f) {
				d.fields = append(d.fields, f)
			}
		}
		d.requests = append(d.requests, request)
		if name := filepath.Base(script); len(d.scripts) == 0 || d.scripts[len(d.scripts)-1] != name {
			d.scripts = append(d.scripts, name)
		}
	}
	for _, script := range scripts {
		steps, err := parseScript(script)
		if err != nil {
			return nil, err
		}
		for _, s := range steps {
			if s.differs != "" {
				add(script, s.differs, s.title, nil)
			}
			if s.because != "" {
				add(script, s.because, s.title, s.without)
			}
		}
	}
	return all, nil
}

// describeDifferences is what users read.
func describeDifferences(all []*difference) string {
	var whole, parts strings.Builder
	for _, d := range all {
		b, about := &whole, ""
		if len(d.fields) > 0 {
			b, about = &parts, "`"+strings.Join(d.fields, "`, `")+"`: "
		}
		example := fmt.Sprintf("`%s`", d.requests[0])
		if more := len(d.requests) - 1; more > 0 {
			example += fmt.Sprintf(" and %d more", more)
		}
		fmt.Fprintf(b, "- %s%s\n  (%s, in %s)\n", about, d.reason, example, strings.Join(d.scripts, ", "))
	}
	return "Answers that are other ones:\n\n" + whole.String() + "\nFields of answers that are not the same:\n\n" + parts.String()
}

// withDifferences puts the description into a document.
func withDifferences(document, description string) (string, error) {
	head, rest, begins := strings.Cut(document, differencesBegin)
	_, tail, ends := strings.Cut(rest, differencesEnd)
	if !begins || !ends {
		return "", fmt.Errorf("the lines %q and %q are missing", differencesBegin, differencesEnd)
	}
	return head + differencesBegin + "\n\n" + description + "\n" + differencesEnd + tail, nil
}
