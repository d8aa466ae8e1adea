// Package scripts_test runs clients that are programs, by scripts that a user could type. Each script in
// testdata has a control plane of its own. The language is testscript's, with three words more:
//
//	eventually PROGRAM ARG... -- RE  runs a program until its output matches, for two minutes at most
//	restart                          ends the server and starts it again
//	certificate NAME [WORD...]       makes NAME.crt and NAME.key, of the WORDs: 'expired', 'foreign' (of
//	                                 another CA than the cluster's)
//
// The programs are what ../fetch fetches; KUBECONFIG and URL name the cluster.
package scripts_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/proa-dev/proa/test/clients/cluster"
)

type key struct{}

func TestScripts(t *testing.T) {
	root, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	tools := filepath.Join(root, ".tools")
	if _, err := os.Stat(filepath.Join(tools, "helm-v4")); err != nil {
		t.Fatalf("run test/clients/fetch: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			c, err := cluster.Run(env.WorkDir)
			if err != nil {
				return err
			}
			env.Defer(func() {
				if err := c.Stop(); err != nil {
					t.Errorf("the server did not end well: %v", err)
				}
			})
			env.Values[key{}] = c
			env.Setenv("KUBECONFIG", c.Kubeconfig)
			env.Setenv("URL", c.URL)
			env.Setenv("DATA", c.Data)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("PATH", tools+string(filepath.ListSeparator)+env.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"eventually":  eventually,
			"certificate": certificate,
			"restart": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Check(ts.Value(key{}).(*cluster.Cluster).Restart())
			},
		},
	})
}

// eventually runs a program until its output matches.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	i := slices.Index(args, "--")
	if i < 1 || i != len(args)-2 {
		ts.Fatalf("usage: eventually PROGRAM ARG... -- REGEXP")
	}
	re, err := regexp.Compile("(?s)" + args[i+1])
	ts.Check(err)
	program, err := lookPath(ts, args[0])
	ts.Check(err)
	var out []byte
	for end := time.Now().Add(cluster.Patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		cmd := exec.Command(program, args[1:i]...)
		for _, name := range []string{"KUBECONFIG", "HOME", "PATH"} {
			cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
		}
		cmd.Dir = ts.MkAbs(".")
		out, err = cmd.CombinedOutput()
		if re.Match(out) != neg {
			return
		}
	}
	ts.Fatalf("%v never came to match %q (negated: %v), last: %v\n%s", args[:i], args[i+1], neg, err, out)
}

// lookPath finds a program as the script would.
func lookPath(ts *testscript.TestScript, name string) (string, error) {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no program %s", name)
}
