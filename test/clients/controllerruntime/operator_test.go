// Package controllerruntime_test runs an operator made with controller-runtime, against the built binary and
// against a control plane in the test's own process.
package controllerruntime_test

import (
	"fmt"
	"testing"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/proa-dev/proa/proatest"
	"github.com/proa-dev/proa/test/clients/cluster"
)

func TestOperator(t *testing.T) {
	t.Run("binary", func(t *testing.T) { operate(t, cluster.Start(t).Config(t)) })
	t.Run("proatest", func(t *testing.T) { operate(t, proatest.Start(t).ClientConfig()) })
}

// operate leads a fleet through its life.
func operate(t *testing.T, to *rest.Config) {
	ctrl.SetLogger(logr.Discard())
	manage(t, to)
	c, err := client.New(to, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fleet := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "armada", Namespace: "default", Labels: map[string]string{fleetLabel: "yes"}},
		Data: map[string]string{"boats": "2", "crew": "sailors"}}
	check(c.Create(ctx, fleet))
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "armada", Namespace: "default"}}
	becomes := func(what string, is func() error) {
		t.Helper()
		cluster.Eventually(t, what, func() error {
			if err := c.Get(ctx, client.ObjectKeyFromObject(deployment), deployment); err != nil {
				return err
			}
			return is()
		})
	}
	becomes("two boats, no crew", func() error { return seems(deployment, 2, "", corev1.ConditionFalse) })
	first := deployment.UID

	sailors := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sailors", Namespace: "default"}, StringData: map[string]string{"captain": "ann"}}
	check(c.Create(ctx, sailors))
	becomes("a crew", func() error { return seems(deployment, 2, "ann", corev1.ConditionTrue) })

	before := fleet.DeepCopy()
	fleet.Data["boats"] = "3"
	check(c.Patch(ctx, fleet, client.MergeFrom(before)))
	becomes("a third boat", func() error { return seems(deployment, 3, "ann", corev1.ConditionTrue) })

	// What someone else does away with comes back.
	check(c.Delete(ctx, deployment))
	becomes("the deployment, made anew", func() error {
		if deployment.UID == first {
			return fmt.Errorf("still %s", first)
		}
		return seems(deployment, 3, "ann", corev1.ConditionTrue)
	})

	check(c.Delete(ctx, fleet))
	cluster.Eventually(t, "the end", func() error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(fleet), fleet); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the fleet: %v", err)
		}
		if err := c.Get(ctx, client.ObjectKeyFromObject(deployment), deployment); !apierrors.IsNotFound(err) {
			return fmt.Errorf("its deployment: %v", err)
		}
		return c.Get(ctx, client.ObjectKey{Namespace: "default", Name: "armada-sank"}, &corev1.ConfigMap{})
	})
}

// seems compares a Deployment with what the operator should have made of it, and what Proa of that.
func seems(d *appsv1.Deployment, boats int32, captain string, manned corev1.ConditionStatus) error {
	var told corev1.ConditionStatus
	for _, c := range d.Status.Conditions {
		if c.Type == "Manned" {
			told = c.Status
		}
	}
	const form = "%v replicas, %v available, %v new, %q boats, crew %q, manned %v, %d owners"
	got := fmt.Sprintf(form, *d.Spec.Replicas, d.Status.AvailableReplicas, d.Status.UpdatedReplicas, d.Annotations["boats"], d.Spec.Template.Annotations["crew"], told, len(d.OwnerReferences))
	if want := fmt.Sprintf(form, boats, boats, boats, fmt.Sprint(boats), captain, manned, 1); got != want {
		return fmt.Errorf("%s, want %s", got, want)
	}
	return nil
}

// manage runs the operator in a manager that is its leader, until the test ends.
func manage(t *testing.T, to *rest.Config) {
	t.Helper()
	term, renewal := 2*cluster.Patience, cluster.Patience // a busy machine does not depose it
	again := true                                         // both subtests make a controller of this name
	m, err := ctrl.NewManager(to, ctrl.Options{
		Metrics:        server.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: "fleets", LeaderElectionNamespace: "default", LeaderElectionReleaseOnCancel: true,
		LeaseDuration: &term, RenewDeadline: &renewal,
		Controller: config.Controller{SkipNameValidation: &again},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := (&fleets{m.GetClient()}).add(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- m.Start(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Errorf("the manager: %v", err)
		}
	})
}
