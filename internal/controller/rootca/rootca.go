// Package rootca publishes in every namespace what pods trust the API server by: the ConfigMap
// kube-root-ca.crt.
package rootca

import (
	"context"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/informer"
)

const (
	name       = "kube-root-ca.crt"
	annotation = "kubernetes.io/description"
	// description is what Kubernetes says, word for word.
	description = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
		"No other usage is guaranteed across distributions of Kubernetes clusters."
)

// Start makes the controller. Its keys are namespaces.
func Start(d controller.Deps) controller.Runner {
	namespaces := informer.For(d.Informers, client.Namespaces)
	published := informer.ForSelected(d.Informers, client.ConfigMaps, "", "metadata.name="+name)
	l := &controller.Loop{
		Name: "root-ca-certificate-publisher-controller", Workers: 1, Logger: d.Logger, Metrics: d.Metrics,
		Needs: []informer.Syncer{namespaces, published}, Queue: informer.QueueOptions{Name: "root_ca_cert_publisher"},
	}
	data := map[string]string{"ca.crt": string(d.RootCA)}
	l.Sync = func(ctx context.Context, k controller.Key) (time.Duration, error) {
		n, ok := namespaces.Get("", k.Name)
		if !ok || n.Status.Phase != corev1.NamespaceActive || len(d.RootCA) == 0 {
			return 0, nil
		}
		present, ok := published.Get(k.Name, name)
		if !ok {
			return 0, create(ctx, d.Client, k.Name, data)
		}
		return 0, update(ctx, d.Client, present, data)
	}
	namespaces.Handle(controller.Enqueue[corev1.Namespace](l))
	published.Handle(controller.EnqueueBy(l, func(c *corev1.ConfigMap) []controller.Key {
		return []controller.Key{{Name: c.Namespace}}
	}))
	return l
}

func create(ctx context.Context, t client.Transport, namespace string, data map[string]string) error {
	_, err := client.ConfigMaps.Create(ctx, t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{annotation: description}},
		Data:       data,
	})
	if apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return err
}

func update(ctx context.Context, t client.Transport, c *corev1.ConfigMap, data map[string]string) error {
	if maps.Equal(c.Data, data) && c.Annotations[annotation] != "" {
		return nil
	}
	c = c.DeepCopy()
	c.Data = data
	metav1.SetMetaDataAnnotation(&c.ObjectMeta, annotation, description)
	_, err := client.ConfigMaps.Update(ctx, t, c)
	return err
}
