// Package node_test runs the tests of the JavaScript client, which are beside it in JavaScript.
package node_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/proa-dev/proa/test/clients/cluster"
)

func TestJavaScriptClient(t *testing.T) {
	if _, err := os.Stat("node_modules/@kubernetes/client-node"); err != nil {
		t.Fatalf("run test/clients/fetch: %v", err)
	}
	c := cluster.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "--test", "client.test.mjs")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
