package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
)

// runKubectl runs the official kubectl. Without a kubeconfig of the user's choice it takes the one that
// `proa server` writes; preferOwn takes that even where there is a ~/.kube/config.
func runKubectl(args []string, preferOwn bool) int {
	if os.Getenv(clientcmd.RecommendedConfigPathEnvVar) == "" {
		own := filepath.Join(defaultDataDir(), "admin.kubeconfig")
		if readable(own) && (preferOwn || !readable(clientcmd.RecommendedHomeFile)) {
			os.Setenv(clientcmd.RecommendedConfigPathEnvVar, own)
		}
	}
	os.Args = append([]string{"kubectl"}, args[1:]...)
	return cli.Run(kubectl.NewDefaultKubectlCommand())
}

func readable(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// kubectlHelp is how `proa --help` tells of kubectl; main runs it before cobra sees it.
func kubectlHelp() *cobra.Command {
	return &cobra.Command{Use: "kubectl", Short: "The official kubectl; also when the binary is called kubectl", Run: func(*cobra.Command, []string) {}}
}
