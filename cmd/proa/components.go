package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/proa-dev/proa"
	"github.com/proa-dev/proa/internal/footprint"
)

// apiserverCommand is the server without the parts that work on objects; they run as processes of their own.
func apiserverCommand() *cobra.Command {
	f := &serverFlags{}
	cmd := &cobra.Command{
		Use:   "apiserver",
		Short: "Run the API server alone",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.Config.Disable = proa.Parts
			f.Flags = shown(cmd.Flags())
			return f.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	f.add(cmd.Flags())
	return cmd
}

// componentFlags are those of a part in a process of its own.
type componentFlags struct {
	proa.ComponentConfig
	leaderElect bool
	verbosity   int
}

// componentCommand makes the command of a part. name is also that of its kubeconfig.
func componentCommand(name, short string, run func(context.Context, proa.ComponentConfig) error) (*cobra.Command, *componentFlags) {
	f := &componentFlags{}
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			f.NoLeaderElection = !f.leaderElect
			f.Logger, _ = newLogger(f.verbosity)
			slog.SetDefault(f.Logger)
			fmt.Fprintf(cmd.OutOrStdout(), "Proa %s: %s works for the server in %s.\n", proa.Version, name, f.Kubeconfig)
			go new(footprint.Keeper).Run(ctx)
			if err := run(ctx, f.ComponentConfig); err != nil && ctx.Err() == nil {
				return err
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&f.Kubeconfig, "kubeconfig", filepath.Join(defaultDataDir(), name+".kubeconfig"), "which API server to work for, and as whom")
	cmd.Flags().IntVarP(&f.verbosity, "v", "v", 0, "what to log: 0 warnings, 1 events, 4 everything")
	return cmd, f
}

func controllerManagerCommand() *cobra.Command {
	cmd, f := componentCommand("controller-manager", "Run the controllers for an API server", proa.RunControllerManager)
	cmd.Flags().BoolVar(&f.leaderElect, "leader-elect", true, "work only while holding the Lease kube-system/kube-controller-manager")
	cmd.Flags().StringVar(&f.ServiceAccountKeyFile, "service-account-private-key-file", "", "key that signs tokens kept in Secrets, pki/sa.key of the server's data directory; none are made without it")
	return cmd
}

func schedulerCommand() *cobra.Command {
	cmd, f := componentCommand("scheduler", "Run the scheduler for an API server", proa.RunScheduler)
	cmd.Flags().BoolVar(&f.leaderElect, "leader-elect", true, "work only while holding the Lease kube-system/kube-scheduler")
	return cmd
}

func kubeletCommand() *cobra.Command {
	cmd, f := componentCommand("kubelet", "Run simulated nodes for an API server", proa.RunNodes)
	cmd.Flags().IntVar(&f.Nodes, "nodes", 1, "number of simulated nodes, which run pods in name only")
	return cmd
}
