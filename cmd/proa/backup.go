package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/proa-dev/proa"
)

func backupCommand() *cobra.Command {
	kubeconfig := ""
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all objects of a running server, at one revision, into a file",
		Args:  oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return takeBackup(ctx, kubeconfig, args[0], cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", filepath.Join(defaultDataDir(), "admin.kubeconfig"), "which server, and who asks: a member of system:masters")
	return cmd
}

func restoreCommand() *cobra.Command {
	f := &serverFlags{}
	var o proa.RestoreOptions
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Write a backup into an empty data directory or etcd, before the server is started",
		Args:  oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			f.Logger, _ = newLogger(0)
			if o.Ahead < 0 {
				return usageError{fmt.Errorf("--ahead %d is negative", o.Ahead)}
			}
			return restore(ctx, f.Config, o, args[0], cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&f.DataDir, "data-dir", defaultDataDir(), "directory of the server's data")
	f.addEtcd(cmd.Flags())
	cmd.Flags().Int64Var(&o.Ahead, "ahead", 0, "how many writes the lost server may have made after the backup (default 1000000)")
	return cmd
}

func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{fmt.Errorf("one file is needed; see '%s --help'", cmd.CommandPath())}
	}
	return nil
}

// takeBackup writes beside the file and renames at the end: the file is a whole backup or is not there.
func takeBackup(ctx context.Context, kubeconfig, file string, out io.Writer) (err error) {
	body, err := openBackup(ctx, kubeconfig)
	if err != nil {
		return err
	}
	defer body.Close()
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*") // 0600: every Secret is in it
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	p := newProgress(out)
	found, err := proa.VerifyBackup(io.TeeReader(body, io.MultiWriter(f, p)))
	p.end()
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), file); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %d keys at revision %d, %d bytes\n", file, found.Keys, found.Revision, found.Bytes)
	return nil
}

// openBackup asks the server. The answer may take longer than any timeout: there is none.
func openBackup(ctx context.Context, kubeconfig string) (io.ReadCloser, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+proa.BackupPath, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
	return nil, fmt.Errorf("the server says %s: %s", answer.Status, text)
}

func restore(ctx context.Context, c proa.Config, o proa.RestoreOptions, file string, out io.Writer) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	p := newProgress(out)
	o.Progress = p.tell
	found, err := proa.Restore(ctx, c, f, o)
	p.end()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d keys restored from %s, which was made by %s at %s, at revision %d\n",
		found.Keys, file, found.Server, found.Time.Format(time.RFC3339), found.Revision)
	return nil
}

// progress is a line on a terminal that changes once a second. Elsewhere nothing is shown.
type progress struct {
	out   io.Writer
	lines chan string
	done  chan struct{}
	bytes int64
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, lines: make(chan string, 1), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		shown, last := false, time.Now()
		for line := range p.lines {
			if now := time.Now(); terminal(out) && now.Sub(last) >= time.Second {
				fmt.Fprintf(out, "\r\033[K%s", line)
				shown, last = true, now
			}
		}
		if shown {
			fmt.Fprint(out, "\r\033[K")
		}
	}()
	return p
}

// show does not wait: a line that cannot be shown now is not worth being shown.
func (p *progress) show(line string) {
	select {
	case p.lines <- line:
	default:
	}
}

func (p *progress) tell(what string, done, all int64) {
	p.show(fmt.Sprintf("%s: %d of %d", what, done, all))
}

// Write counts what passes.
func (p *progress) Write(data []byte) (int, error) {
	p.bytes += int64(len(data))
	p.show(fmt.Sprintf("%.1f MB", float64(p.bytes)/1e6))
	return len(data), nil
}

func (p *progress) end() {
	close(p.lines)
	<-p.done
}

func terminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
