package etcd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/proa-dev/proa"
)

// Every kind of write that changes claims loses its request, or its answer. The client is told that nobody knows; what
// is there is all of the write or nothing of it; and the client that tries again gets there.
func TestClaimsOfLostAnswers(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	between := startCalls(t, c.endpoints()[0])
	_, client := startServer(t, t.TempDir(), []string{between.url}, proa.Parts...)
	_, other := startServer(t, t.TempDir(), c.endpoints(), proa.Parts...)
	services := client.CoreV1().Services("default")
	create := func(s *corev1.Service) error {
		_, err := services.Create(t.Context(), s.DeepCopy(), metav1.CreateOptions{})
		return err
	}
	update := func(name string, change func(*corev1.Service)) error {
		s, err := services.Get(t.Context(), name, metav1.GetOptions{})
		if err == nil {
			change(s)
			_, err = services.Update(t.Context(), s, metav1.UpdateOptions{})
		}
		return err
	}
	steps := []struct {
		name string
		do   func() error
		// again is what a client is told whose write has happened; nil is that it happened once more.
		again func(error) bool
		holds int // what the Service holds afterwards
	}{
		{"chosen", func() error { return create(loadBalancer("s", "", 0)) }, apierrors.IsAlreadyExists, 3},
		{"other type", func() error {
			return update("s", func(s *corev1.Service) {
				s.Spec.Type, s.Spec.ExternalTrafficPolicy = corev1.ServiceTypeClusterIP, ""
				s.Spec.HealthCheckNodePort, s.Spec.Ports[0].NodePort = 0, 0
			})
		}, nil, 1},
		{"no address", func() error {
			return update("s", func(s *corev1.Service) {
				s.Spec.Type, s.Spec.ExternalName = corev1.ServiceTypeExternalName, "example.com"
				s.Spec.ClusterIP, s.Spec.ClusterIPs = "", nil
			})
		}, nil, 0},
		{"removed", func() error { return services.Delete(t.Context(), "s", metav1.DeleteOptions{}) }, apierrors.IsNotFound, -1},
		// As kube-apiserver does, the server looks at the address before the name.
		{"by name", func() error { return create(loadBalancer("s", "10.0.0.77", 30077)) }, apierrors.IsInvalid, 3},
		{"removed with all", func() error { return services.Delete(t.Context(), "s", metav1.DeleteOptions{}) }, apierrors.IsNotFound, -1},
	}
	for _, fate := range []fate{requestLost, answerLost} {
		holds := -1
		for _, step := range steps {
			t.Run(fmt.Sprintf("%s: %s", fate, step.name), func(t *testing.T) {
				between.lose(fate, servicesAt+"default/s")
				err := step.do()
				if met := between.spare(); met != 1 || !apierrors.IsTimeout(err) {
					t.Fatalf("%d transactions were lost; the answer is %v", met, err)
				}
				want := holds
				if holds = step.holds; fate == answerLost {
					want = holds
				}
				expectHoldings(t, c, want)
				err = step.do()
				switch {
				case fate == answerLost && step.again != nil && !step.again(err),
					(fate == requestLost || step.again == nil) && err != nil:
					t.Fatalf("once more: %v", err)
				}
				expectHoldings(t, c, holds)
			})
		}
	}
	// What was given back is free, at the other server too, which may hear of it a little later.
	takes(t, other, loadBalancer("t", "10.0.0.77", 30077))
	takes(t, client, loadBalancer("u", "10.0.0.78", 30078))
	claimsAfter(t, c)
}

// A server that does not get to know whether what every cluster has was written starts all the same, once it knows.
func TestStartWithLostAnswers(t *testing.T) {
	t.Parallel()
	for _, fate := range []fate{requestLost, answerLost} {
		t.Run(string(fate), func(t *testing.T) {
			c := startCluster(t, 1)
			between := startCalls(t, c.endpoints()[0])
			between.lose(fate, "clusterroles/cluster-admin")
			go func() {
				for between.lost() == 0 && t.Context().Err() == nil {
					time.Sleep(time.Millisecond)
				}
				between.spare()
			}()
			_, client := startServer(t, t.TempDir(), []string{between.url}, proa.Parts...)
			if between.lost() == 0 {
				t.Error("it started, and nothing was lost")
			}
			if _, err := client.RbacV1().ClusterRoles().Get(t.Context(), "cluster-admin", metav1.GetOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func loadBalancer(name, ip string, port int32) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal,
		ClusterIP: ip, Ports: []corev1.ServicePort{{Port: 80, NodePort: port}},
	}}
}

func takes(t *testing.T, client *kubernetes.Clientset, s *corev1.Service) {
	t.Helper()
	eventually(t, "what "+s.Name+" asks for is free", func() (bool, error) {
		_, err := client.CoreV1().Services("default").Create(t.Context(), s, metav1.CreateOptions{})
		return err == nil, err
	})
}

// expectHoldings counts what Service s holds; -1 is that it is not there.
func expectHoldings(t *testing.T, c *cluster, want int) {
	t.Helper()
	w := claimsAfter(t, c)
	held, is := w.held[servicesAt+"default/s"]
	if is != (want >= 0) || is && len(held) != want {
		t.Fatalf("the Service is there: %v, and holds %v; want %d", is, held, want)
	}
	claims := slices.Collect(func(yield func(string) bool) {
		for _, claim := range w.claims {
			if strings.HasSuffix(claim, " default/s") && !yield(claim) {
				return
			}
		}
	})
	if len(claims) > 1 || want <= 0 && len(claims) > 0 {
		t.Fatalf("claimed: %v", claims)
	}
}
