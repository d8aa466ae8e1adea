package report

import (
	"fmt"
	"os"
	"strings"
)

// Insert puts a text between the two lines of a document that mark its place: <!-- NAME --> and <!-- end -->.
func Insert(document, name, text string) error {
	data, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	begin := "<!-- " + name + " -->\n"
	head, rest, found := strings.Cut(string(data), begin)
	_, tail, ended := strings.Cut(rest, "<!-- end -->\n")
	if !found || !ended {
		return fmt.Errorf("%s has no place for %s", document, name)
	}
	return os.WriteFile(document, []byte(head+begin+"\n"+strings.TrimSpace(text)+"\n\n<!-- end -->\n"+tail), 0o644)
}
