// Package internal_test keeps the rules of the house: what docs/ARCHITECTURE.md says of imports, package
// comments and hidden state is what the code does.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/proa-dev/proa/"

// rule says what a folder may not import, and why.
type rule struct {
	folder string
	// not is what it must not import; only, if set, is all it may import of this module.
	not, only []string
	why       string
}

var rules = []rule{
	{folder: "internal/store", not: []string{"internal/"}, why: "the store is the lowest layer"},
	{folder: "internal/cache", only: []string{"internal/store", "internal/cache"}, why: "the cache knows the store and nothing above it"},
	{
		folder: "internal/registry", only: []string{"internal/registry", "internal/store"},
		not: []string{"internal/store/embedded", "internal/store/etcd", "internal/store/backup"},
		why: "what resources are depends on nobody who serves them, and claims know the store by its contract alone",
	},
	{folder: "internal/access", not: []string{"internal/apiserver", "internal/cache", "internal/store", "internal/controller"}, why: "access control reads through access.Objects"},
	{folder: "internal/client", only: []string{"internal/client"}, why: "components see the API only through the client"},
	{folder: "internal/informer", only: []string{"internal/client", "internal/informer"}, why: "the client's half of list-watch stands on the client alone"},
	{folder: "internal/controller", only: []string{"internal/client", "internal/informer", "internal/controller", "internal/access/authz/aggregate"}, why: "a controller runs in any process"},
	{folder: "internal/scheduler", only: []string{"internal/client", "internal/informer", "internal/controller", "internal/scheduler"}, why: "the scheduler runs in any process"},
	{folder: "internal/node", only: []string{"internal/client", "internal/informer", "internal/controller", "internal/node"}, why: "the node agent runs in any process"},
}

// forbidden modules are the designs that Proa replaces: they belong to tests and benchmarks with go.mod
// files of their own.
var forbidden = []string{
	"k8s.io/kubernetes", "k8s.io/apiserver/pkg/server", "k8s.io/apiserver/pkg/registry", "k8s.io/apiserver/pkg/endpoints",
}

type source struct {
	path, folder string
	test         bool
	file         *ast.File
	imports      []string
}

// sources parses every Go file of the product.
func sources(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var all []source
	set := token.NewFileSet()
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || hasModule(path)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		s := source{path: rel, folder: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(path, "_test.go"), file: f}
		for _, i := range f.Imports {
			s.imports = append(s.imports, strings.Trim(i.Path.Value, `"`))
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("found %d files only: is this still the project's root?", len(all))
	}
	return all
}

func hasModule(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return false
	}
	abs, _ := filepath.Abs("..")
	return dir != abs
}

func under(path string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool {
		return path == strings.TrimSuffix(f, "/") || strings.HasPrefix(path, strings.TrimSuffix(f, "/")+"/")
	})
}

func TestImportsPointDown(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, r := range rules {
			if !under(s.folder, []string{r.folder}) {
				continue
			}
			for _, imported := range s.imports {
				own, ok := strings.CutPrefix(imported, module)
				if !ok {
					continue
				}
				if r.only != nil && !under(own, r.only) || under(own, r.not) && !under(own, []string{r.folder}) {
					t.Errorf("%s imports %s: %s", s.path, own, r.why)
				}
			}
		}
	}
}

func TestForbiddenModules(t *testing.T) {
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			if under(imported, forbidden) {
				t.Errorf("%s imports %s, which is the design that Proa replaces", s.path, imported)
			}
		}
	}
}

func TestOneCommentAPackage(t *testing.T) {
	comments := map[string][]string{}
	folders := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		folders[s.folder] = true
		if s.file.Doc != nil {
			comments[s.folder] = append(comments[s.folder], s.path)
		}
	}
	for folder := range folders {
		if n := len(comments[folder]); n != 1 {
			t.Errorf("%s has %d package comments %v: a reader looks for one", folder, n, comments[folder])
		}
	}
}

// A package that does something when it is merely imported cannot be reasoned about, nor be left out.
func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function: wire in plane.go instead", s.path)
			}
		}
	}
}
