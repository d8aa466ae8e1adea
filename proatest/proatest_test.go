package proatest_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/proa-dev/proa"
	"github.com/proa-dev/proa/proatest"
)

func TestClientGoWorks(t *testing.T) {
	s := proatest.Start(t, proatest.Without(proa.Scheduler, proa.Nodes))
	c, err := kubernetes.NewForConfig(s.ClientConfig())
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	version, err := c.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if version.GitVersion != proa.KubernetesVersion+"+proa"+proa.Version {
		t.Errorf("version is %q", version.GitVersion)
	}
	maps := c.CoreV1().ConfigMaps("default")
	made, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-"}, Data: map[string]string{"k": "v"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	read, err := maps.Get(ctx, made.Name, metav1.GetOptions{})
	if err != nil || read.Data["k"] != "v" || read.ResourceVersion != made.ResourceVersion {
		t.Errorf("read %+v, %v; made %+v", read, err, made)
	}
	if _, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "no such NAME"}}, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a bad name gives %v", err)
	}
}

func TestClustersAreApart(t *testing.T) {
	ctx := context.Background()
	var uids []string
	for range 2 {
		s := proatest.Start(t, proatest.Without(proa.Parts...))
		c, err := kubernetes.NewForConfig(s.ClientConfig())
		if err != nil {
			t.Fatal(err)
		}
		ns, err := c.CoreV1().Namespaces().Get(ctx, "kube-system", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		uids = append(uids, string(ns.UID))
	}
	if uids[0] == uids[1] {
		t.Errorf("two control planes share namespace %s", uids[0])
	}
}
