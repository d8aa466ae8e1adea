package twin

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const divider = "> "

// writeGolden keeps answers, each under the request that it answers.
func writeGolden(path string, all []answer) error {
	var b strings.Builder
	for _, a := range all {
		fmt.Fprintf(&b, "%s%s\n%s\n", divider, a.step.title, a.text)
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// readGolden gives the recorded answers in order.
func readGolden(path string) (titles, texts []string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	for _, block := range strings.Split("\n"+string(text), "\n"+divider)[1:] {
		title, answer, _ := strings.Cut(block, "\n")
		titles = append(titles, title)
		texts = append(texts, strings.TrimRight(answer, "\n")+"\n")
	}
	return titles, texts, nil
}

// common takes from a recorded answer the items of lists that Proa's answer lacks, and from Proa's those
// versions that Kubernetes has dropped.
func common(want, got string) (_, _ string, err error) {
	wantHead, wantValue, err := parseAnswer(want)
	if err != nil {
		return "", "", err
	}
	gotHead, gotValue, err := parseAnswer(got)
	if err != nil {
		return "", "", err
	}
	gotValue = withoutDropped(gotValue)
	if want, err = formatAnswer(wantHead, subset(wantValue, gotValue)); err != nil {
		return "", "", err
	}
	got, err = formatAnswer(gotHead, gotValue)
	return want, got, err
}

func formatAnswer(head string, value any) (string, error) {
	var b strings.Builder
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := e.Encode(value)
	return head + b.String(), err
}

// dropped are the versions that Proa serves beyond those of Kubernetes.
var dropped = []string{"batch/v1beta1", "batch/v2alpha1", "v1beta1", "v2alpha1"}

func withoutDropped(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = withoutDropped(v[key])
		}
	case []any:
		kept := []any{}
		for _, item := range v {
			if m, ok := item.(map[string]any); ok && slices.Contains(dropped, identity(m)) {
				continue
			}
			kept = append(kept, withoutDropped(item))
		}
		return kept
	}
	return v
}

// parseAnswer divides an answer into status and headers, and the body's value.
func parseAnswer(text string) (head string, value any, err error) {
	lines := strings.SplitAfter(text, "\n")
	i := 1
	for i < len(lines) && isHeader(lines[i]) {
		i++
	}
	err = yaml.Unmarshal([]byte(strings.Join(lines[i:], "")), &value)
	return strings.Join(lines[:i], ""), value, err
}

func isHeader(line string) bool {
	for _, h := range append(shown, "Audit-Id") {
		if strings.HasPrefix(line, h+": ") {
			return true
		}
	}
	return false
}

func subset(want, got any) any {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return want
		}
		for key := range w {
			w[key] = subset(w[key], g[key])
		}
		return w
	case []any:
		g, ok := got.([]any)
		if !ok {
			return want
		}
		present := map[string]any{}
		for _, item := range g {
			present[identity(item)] = item
		}
		kept := []any{}
		for _, item := range w {
			if _, named := item.(map[string]any); !named {
				return want
			}
			if other, ok := present[identity(item)]; ok {
				kept = append(kept, subset(item, other))
			}
		}
		return kept
	}
	return want
}

// identity is what names an item of a list in discovery documents.
func identity(item any) string {
	for _, path := range []string{"metadata.name", "name", "groupVersion", "version", "subresource", "resource"} {
		if v, err := field(item, path); err == nil {
			return fmt.Sprint(v)
		}
	}
	return "" // the core group has no name
}
