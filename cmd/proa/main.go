// Command proa is a Kubernetes control plane in one binary, with kubectl inside.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	_ "time/tzdata" // CronJobs name time zones, on machines that have no list of them too

	"github.com/spf13/cobra"

	"github.com/proa-dev/proa"
)

func main() {
	if strings.HasPrefix(filepath.Base(os.Args[0]), "kubectl") {
		os.Exit(runKubectl(os.Args, false))
	}
	if len(os.Args) > 1 && os.Args[1] == "kubectl" {
		os.Exit(runKubectl(os.Args[1:], true))
	}
	if err := command().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "proa:", err)
		os.Exit(exitCode(err))
	}
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func exitCode(err error) int {
	if errors.As(err, new(usageError)) {
		return 2
	}
	return 1
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "proa",
		Short:         "A Kubernetes control plane in one small, fast binary",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       proa.KubernetesVersion + "+proa" + proa.Version,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q; see 'proa --help'", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath())}
	})
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(serverCommand(), apiserverCommand(), controllerManagerCommand(), schedulerCommand(), kubeletCommand(), backupCommand(), restoreCommand(), kubectlHelp())
	return root
}
