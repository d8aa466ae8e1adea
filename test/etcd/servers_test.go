package etcd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/proa-dev/proa"
)

func startServer(t *testing.T, dir string, etcd []string, disable ...string) (*proa.Server, *kubernetes.Clientset) {
	t.Helper()
	s, err := proa.Start(t.Context(), proa.Config{
		DataDir: dir, Etcd: proa.Etcd{Servers: etcd}, Disable: disable,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s, clientOf(t, s.ClientConfig())
}

func clientOf(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// eventually waits for what must come true.
func eventually(t *testing.T, what string, holds func() (bool, error)) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ok := false
		if ok, err = holds(); ok && err == nil {
			return
		}
	}
	t.Fatalf("%s did not come true: %v", what, err)
}

func deployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	replicas := int32(2)
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "nginx"}},
		}},
	}}
}

func running(ctx context.Context, client kubernetes.Interface, app string) (n int, err error) {
	pods, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		return 0, err
	}
	for _, p := range pods.Items {
		if p.Status.Phase == corev1.PodRunning {
			n++
		}
	}
	return n, nil
}

// Two servers start at once over one empty etcd, are one control plane, and one goes.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	var servers [2]*proa.Server
	var clients [2]*kubernetes.Clientset
	dirs := [2]string{t.TempDir(), t.TempDir()}
	var starting sync.WaitGroup
	for i := range servers {
		starting.Go(func() { servers[i], clients[i] = startServer(t, dirs[i], c.endpoints()) })
	}
	starting.Wait()
	if t.Failed() {
		return
	}
	one, two := clients[0], clients[1]

	// The credentials of one are good at the other.
	config := servers[0].ClientConfig()
	config.Host = servers[1].URL()
	if _, err := clientOf(t, config).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatalf("the administrator of one, at the other: %v", err)
	}
	var token *authv1.TokenRequest
	eventually(t, "the default service account", func() (bool, error) {
		var err error
		token, err = one.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "default", &authv1.TokenRequest{}, metav1.CreateOptions{})
		return err == nil, err
	})
	config = rest.AnonymousClientConfig(servers[1].ClientConfig())
	config.BearerToken = token.Status.Token
	who, err := clientOf(t, config).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || who.Status.UserInfo.Username != "system:serviceaccount:default:default" {
		t.Fatalf("a token of one, at the other: %+v, %v", who, err)
	}

	// What one acknowledged the other lists, at once, and a watch at the other tells.
	w, err := two.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=m0"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for i := range 20 {
		name := fmt.Sprintf("m%d", i)
		if _, err := one.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		list, err := two.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
		if err != nil || len(list.Items) != 1 {
			t.Fatalf("%s was created at one; the other lists %d, %v", name, len(list.Items), err)
		}
	}
	select {
	case e := <-w.ResultChan():
		if m, ok := e.Object.(*corev1.ConfigMap); !ok || m.Name != "m0" {
			t.Fatalf("event %+v", e)
		}
	case <-time.After(patience):
		t.Fatal("no event")
	}

	// Two write one object: one of them is told.
	races(t, one, two)

	addresses(t, one, two)

	// Whoever leads does the work; when it goes the other does.
	if _, err := one.AppsV1().Deployments("default").Create(t.Context(), deployment("before"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two pods run", func() (bool, error) {
		n, err := running(t.Context(), two, "before")
		return n == 2, err
	})
	lease, err := two.CoordinationV1().Leases("kube-system").Get(t.Context(), "kube-controller-manager", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := servers[0].Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := two.AppsV1().Deployments("default").Create(t.Context(), deployment("after"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two more pods run", func() (bool, error) {
		n, err := running(t.Context(), two, "after")
		return n == 2, err
	})
	t.Logf("%s led at first", *lease.Spec.HolderIdentity)
}

func races(t *testing.T, clients ...*kubernetes.Clientset) {
	t.Helper()
	const rounds = 25
	var writers sync.WaitGroup
	var mu sync.Mutex
	wins := 0
	for i, client := range clients {
		writers.Go(func() {
			for n := 0; n < rounds; {
				m, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "m1", metav1.GetOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				if m.Data == nil {
					m.Data = map[string]string{}
				}
				m.Data[fmt.Sprintf("w%d-%d", i, n)] = "x"
				_, err = client.CoreV1().ConfigMaps("default").Update(t.Context(), m, metav1.UpdateOptions{})
				if apierrors.IsConflict(err) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				wins++
				mu.Unlock()
				n++
			}
		})
	}
	writers.Wait()
	m, err := clients[0].CoreV1().ConfigMaps("default").Get(t.Context(), "m1", metav1.GetOptions{})
	if err != nil || len(m.Data) != wins {
		t.Fatalf("%d updates were acknowledged, %d are there, %v", wins, len(m.Data), err)
	}
}

// A server whose own keys are others does not change them behind its clients' backs.
func TestForeignKeysAreRefused(t *testing.T) {
	t.Parallel()
	own := t.TempDir()
	s, err := proa.Start(t.Context(), proa.Config{DataDir: own, Disable: proa.Parts})
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	c := startCluster(t, 1)
	startServer(t, t.TempDir(), c.endpoints(), proa.Parts...)
	s, err = proa.Start(t.Context(), proa.Config{DataDir: own, Etcd: proa.Etcd{Servers: c.endpoints()}})
	if err == nil {
		s.Stop()
		t.Fatal("it started")
	}
	t.Log(err)
}

// addresses: what one server gives a Service, the other does not give to another, until it is free again.
func addresses(t *testing.T, clients ...*kubernetes.Clientset) {
	t.Helper()
	const most = 120 // of 254, so that a server that did not know would choose one twice
	held := map[string]string{}
	for i := range most {
		name := fmt.Sprintf("s%d", i)
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
		s, err := clients[i%2].CoreV1().Services("default").Create(t.Context(), s, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := held[s.Spec.ClusterIP]; taken {
			t.Fatalf("%s and %s both have %s", other, name, s.Spec.ClusterIP)
		}
		held[s.Spec.ClusterIP] = name
		time.Sleep(5 * time.Millisecond) // the event's way to the other server
	}
	for address, name := range held {
		if err := clients[0].CoreV1().Services("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		again := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "again"}, Spec: corev1.ServiceSpec{ClusterIP: address, Ports: []corev1.ServicePort{{Port: 80}}}}
		eventually(t, address+" is free at the other server", func() (bool, error) {
			_, err := clients[1].CoreV1().Services("default").Create(t.Context(), again, metav1.CreateOptions{})
			return err == nil, err
		})
		break
	}
}
