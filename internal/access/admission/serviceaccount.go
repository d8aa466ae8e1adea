package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/access/podrefs"
)

var serviceAccounts = schema.GroupResource{Resource: "serviceaccounts"}

const (
	defaultAccount  = "default"
	tokenVolume     = "kube-api-access-"
	tokenMountPath  = "/var/run/secrets/kubernetes.io/serviceaccount"
	tokenSeconds    = 60*60 + 7
	rootCertificate = "kube-root-ca.crt"

	// A new namespace's default account comes from a controller, moments after the namespace.
	accountWait = 1500 * time.Millisecond
	accountPoll = 20 * time.Millisecond
)

// ServiceAccount gives each pod a service account that exists, and its containers the account's token.
// Mirror pods, which a kubelet made from files, get neither and may not ask for either.
type ServiceAccount struct {
	Objects access.Objects
}

var (
	_ Mutator   = ServiceAccount{}
	_ Validator = ServiceAccount{}
)

// Name implements Plugin.
func (ServiceAccount) Name() string { return "ServiceAccount" }

// Handles implements Plugin.
func (ServiceAccount) Handles(op Operation, resource schema.GroupResource, subresource string) bool {
	return resource == pods && (op == Create && subresource == "" || op == Update && subresource == "ephemeralcontainers")
}

// Mutate implements Mutator.
func (s ServiceAccount) Mutate(ctx context.Context, r *Request) error {
	pod, ok := r.Object.(*corev1.Pod)
	if !ok || r.Operation != Create || isMirror(pod) {
		return nil
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = defaultAccount
	}
	pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName
	account, err := s.account(ctx, r, pod)
	if err != nil {
		return err
	}
	if automounts(account, pod) {
		mountToken(pod)
	}
	if len(pod.Spec.ImagePullSecrets) == 0 && len(account.ImagePullSecrets) > 0 {
		pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
	return nil
}

// Validate implements Validator.
func (s ServiceAccount) Validate(ctx context.Context, r *Request) error {
	pod, ok := r.Object.(*corev1.Pod)
	if !ok {
		return nil
	}
	if r.Operation == Create && isMirror(pod) {
		return checkMirror(r, pod)
	}
	if pod.Spec.ServiceAccountName == "" {
		return Forbidden(r, fmt.Errorf("no service account specified for pod %s/%s", r.Namespace, pod.Name))
	}
	account, err := s.account(ctx, r, pod)
	if err != nil {
		return err
	}
	if !limitsSecrets(account) {
		return nil
	}
	check := checkSecrets
	if r.Subresource == "ephemeralcontainers" {
		check = checkEphemeralSecrets
	}
	if err := check(account, pod); err != nil {
		return Forbidden(r, err)
	}
	return nil
}

func isMirror(pod *corev1.Pod) bool {
	_, ok := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

func checkMirror(r *Request, pod *corev1.Pod) error {
	if pod.Spec.ServiceAccountName != "" {
		return Forbidden(r, errors.New("a mirror pod may not reference service accounts"))
	}
	if len(podrefs.Of(pod).Secrets) > 0 {
		return Forbidden(r, errors.New("a mirror pod may not reference secrets"))
	}
	for _, v := range pod.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.ServiceAccountToken != nil {
				return Forbidden(r, errors.New("a mirror pod may not use ServiceAccountToken volume projections"))
			}
		}
	}
	return nil
}

// account reads the pod's account. For the default one it waits a moment, if need be.
func (s ServiceAccount) account(ctx context.Context, r *Request, pod *corev1.Pod) (*corev1.ServiceAccount, error) {
	name := pod.Spec.ServiceAccountName
	deadline := time.Now().Add(accountWait)
	for {
		account, err := access.Get[corev1.ServiceAccount](ctx, s.Objects, serviceAccounts, r.Namespace, name)
		if err == nil {
			return account, nil
		}
		if apierrors.IsNotFound(err) {
			err = apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccount"}, name)
		}
		if !apierrors.IsNotFound(err) || name != defaultAccount || !time.Now().Before(deadline) {
			return nil, Forbidden(r, fmt.Errorf("error looking up service account %s/%s: %w", r.Namespace, name, err))
		}
		select {
		case <-ctx.Done():
			return nil, Forbidden(r, fmt.Errorf("error looking up service account %s/%s: %w", r.Namespace, name, err))
		case <-time.After(accountPoll):
		}
	}
}

// automounts: the pod's wish comes first, then the account's.
func automounts(account *corev1.ServiceAccount, pod *corev1.Pod) bool {
	if pod.Spec.AutomountServiceAccountToken != nil {
		return *pod.Spec.AutomountServiceAccountToken
	}
	return ptr.Deref(account.AutomountServiceAccountToken, true)
}

// mountToken mounts the token's volume into each container that has nothing else at its place.
func mountToken(pod *corev1.Pod) {
	volume := tokenVolume + rand.String(5)
	i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return strings.HasPrefix(v.Name, tokenVolume) })
	if i >= 0 {
		volume = pod.Spec.Volumes[i].Name
	}
	mounted := false
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for j := range list {
			c := &list[j]
			taken := func(m corev1.VolumeMount) bool { return m.MountPath == tokenMountPath }
			if slices.ContainsFunc(c.VolumeMounts, taken) {
				continue
			}
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, ReadOnly: true, MountPath: tokenMountPath})
			mounted = true
		}
	}
	if i < 0 && mounted {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
			Name: volume, VolumeSource: corev1.VolumeSource{Projected: tokenSource()},
		})
	}
}

func tokenSource() *corev1.ProjectedVolumeSource {
	return &corev1.ProjectedVolumeSource{
		DefaultMode: ptr.To(corev1.ProjectedVolumeSourceDefaultMode),
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr.To[int64](tokenSeconds)}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: rootCertificate},
				Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
				Path:     "namespace",
				FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
			}}}},
		},
	}
}
