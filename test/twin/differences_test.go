package twin

import (
	"os"
	"path/filepath"
	"testing"
)

const document = "../../docs/COMPATIBILITY.md"

// TestDifferencesAreTold sees that users are told of every difference that a script accepts, and of no other.
func TestDifferencesAreTold(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	all, err := differences(scripts)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	after, err := withDifferences(string(before), describeDifferences(all))
	if err != nil {
		t.Fatal(err)
	}
	if after == string(before) {
		return
	}
	if !*tell {
		t.Fatalf("%s does not tell of the %d differences that the scripts accept: make twin DOCUMENT=1", document, len(all))
	}
	if err := os.WriteFile(document, []byte(after), 0o644); err != nil {
		t.Fatal(err)
	}
}
