package proa_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/proa-dev/proa"
	"github.com/proa-dev/proa/internal/store/backup"
)

// start runs a server without the parts that would go on writing.
func start(t *testing.T, c proa.Config) (*proa.Server, *kubernetes.Clientset) {
	t.Helper()
	c.Disable = proa.Parts
	s, err := proa.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	client, err := kubernetes.NewForConfig(s.ClientConfig())
	if err != nil {
		t.Fatal(err)
	}
	return s, client
}

func takeBackup(t *testing.T, config *rest.Config) (int, []byte) {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Get(config.Host + proa.BackupPath)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	file, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, file
}

// secrets are "namespace/name=value uid" of those in a namespace.
func secrets(t *testing.T, client kubernetes.Interface) (all []string, revision string) {
	t.Helper()
	list, err := client.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Items {
		all = append(all, s.Namespace+"/"+s.Name+"="+string(s.Data["v"])+" "+string(s.UID))
	}
	return all, list.ResourceVersion
}

// A server is lost, and its backup goes into a new directory: everything is there, credentials work, and a
// watch that was open before is told to list anew.
func TestBackupAndRestore(t *testing.T) {
	old := t.TempDir()
	s, client := start(t, proa.Config{DataDir: old})
	for _, name := range []string{"a", "b", "c"} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"v": []byte(name)}}
		if _, err := client.CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	code, file := takeBackup(t, s.ClientConfig())
	if code != http.StatusOK {
		t.Fatalf("%d: %s", code, file)
	}
	want, _ := secrets(t, client)
	// What comes after the backup is lost, and its revisions must not be given out again.
	if err := client.CoreV1().Secrets("default").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, seen := secrets(t, client)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}

	fresh := t.TempDir()
	if err := os.CopyFS(filepath.Join(fresh, "pki"), os.DirFS(filepath.Join(old, "pki"))); err != nil {
		t.Fatal(err)
	}
	found, err := proa.Restore(t.Context(), proa.Config{DataDir: fresh}, bytes.NewReader(file), proa.RestoreOptions{Ahead: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if int(found.Bytes) != len(file) || found.Keys < 3 || !strings.Contains(found.Server, proa.Version) {
		t.Errorf("restored %+v", found)
	}
	if _, err := proa.Restore(t.Context(), proa.Config{DataDir: fresh}, bytes.NewReader(file), proa.RestoreOptions{}); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("a second restore: %v", err)
	}
	s, client = start(t, proa.Config{DataDir: fresh})
	got, revision := secrets(t, client)
	if !slices.Equal(got, want) {
		t.Errorf("restored %v, want %v", got, want)
	}
	if len(revision) < len(seen) || len(revision) == len(seen) && revision <= seen {
		t.Errorf("revision %s after %s", revision, seen)
	}
	expectExpired(t, client, seen)
}

func expectExpired(t *testing.T, client kubernetes.Interface, revision string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	w, err := client.CoreV1().Secrets("default").Watch(ctx, metav1.ListOptions{ResourceVersion: revision})
	if err != nil {
		if !strings.Contains(err.Error(), "too old") {
			t.Errorf("a watch from before the restore: %v", err)
		}
		return
	}
	defer w.Stop()
	e, ok := <-w.ResultChan()
	if status, _ := e.Object.(*metav1.Status); !ok || status == nil || status.Code != http.StatusGone {
		t.Errorf("a watch from before the restore: %+v", e)
	}
}

// Who may read every path is not given every Secret.
func TestBackupIsForMasters(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("secret,reader,1,system:monitoring\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, proa.Config{InMemory: true, TokenAuthFile: tokens})
	config := rest.AnonymousClientConfig(s.ClientConfig())
	for _, token := range []string{"", "secret"} {
		config.BearerToken = token
		if code, text := takeBackup(t, config); code != http.StatusForbidden {
			t.Errorf("token %q: %d %.80s", token, code, text)
		}
	}
}

// A restore that was cut off leaves a store that nobody serves by mistake.
func TestUnfinishedRestoreIsNotServed(t *testing.T) {
	s, _ := start(t, proa.Config{InMemory: true})
	_, file := takeBackup(t, s.ClientConfig())
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	o := proa.RestoreOptions{Ahead: 1 << 40, Progress: func(string, int64, int64) { cancel() }}
	if _, err := proa.Restore(ctx, proa.Config{DataDir: dir}, bytes.NewReader(file), o); !errors.Is(err, context.Canceled) {
		t.Fatalf("restore: %v", err)
	}
	if s, err := proa.Start(t.Context(), proa.Config{DataDir: dir}); err == nil {
		s.Stop()
		t.Fatal("a half restored store is served")
	} else if !strings.Contains(err.Error(), "not finished") {
		t.Fatal(err)
	}
}
