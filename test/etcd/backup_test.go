package etcd

import (
	"bytes"
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/proa-dev/proa"
	engine "github.com/proa-dev/proa/internal/store/etcd"
)

// A backup of servers over one etcd goes into another: the administrator's credentials go on being good, for
// the keys are in it, and revisions go on.
func TestBackupIntoAnotherEtcd(t *testing.T) {
	t.Parallel()
	from, to := startCluster(t, 1), startCluster(t, 1)
	s, client := startServer(t, t.TempDir(), from.endpoints(), proa.Parts...)
	if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	admin := s.ClientConfig()
	overHTTP, err := rest.HTTPClientFor(admin)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := overHTTP.Get(admin.Host + proa.BackupPath)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	file, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	config := proa.Config{DataDir: t.TempDir(), Etcd: proa.Etcd{Servers: to.endpoints()}}
	found, err := proa.Restore(t.Context(), config, bytes.NewReader(file), proa.RestoreOptions{Ahead: 500})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proa.Restore(t.Context(), config, bytes.NewReader(file), proa.RestoreOptions{}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Fatalf("a second restore: %v", err)
	}
	rev, err := open(t, engine.Options{Endpoints: to.endpoints()}).Revision(t.Context())
	if err != nil || rev < found.Revision+500 {
		t.Fatalf("revision %d after a backup of %d, %v", rev, found.Revision, err)
	}
	restored, _ := startServer(t, t.TempDir(), to.endpoints(), proa.Parts...)
	admin.Host = restored.URL()
	m, err := clientOf(t, admin).CoreV1().ConfigMaps("default").Get(t.Context(), "m", metav1.GetOptions{})
	if err != nil || m.UID == "" {
		t.Fatal(err)
	}
}
