package serviceaccounttoken

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller"
	"github.com/proa-dev/proa/internal/controller/controllertest"
)

func account(name, uid string, secrets ...string) *corev1.ServiceAccount {
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(uid)}}
	for _, s := range secrets {
		a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: s})
	}
	return a
}

func secret(name, account, uid string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Type: corev1.SecretTypeServiceAccountToken}
	s.Annotations = map[string]string{corev1.ServiceAccountNameKey: account}
	if uid != "" {
		s.Annotations[corev1.ServiceAccountUIDKey] = uid
	}
	return s
}

func start(d controller.Deps) controller.Runner {
	d.RootCA = []byte("ca")
	d.Tokens = func(_ context.Context, a *corev1.ServiceAccount, s *corev1.Secret) (string, error) {
		return "token of " + a.Name + " in " + s.Name, nil
	}
	return Start(d)
}

func TestFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := secret("other", "a", "")
		other.Type = corev1.SecretTypeOpaque
		b := controllertest.New(t, []client.Object{account("a", "1"), secret("s", "a", ""), other}, start)
		got := clienttest.Get(b.Server, client.Secrets, "ns", "s")
		for k, want := range map[string]string{"token": "token of a in s", "ca.crt": "ca", "namespace": "ns"} {
			if string(got.Data[k]) != want {
				t.Errorf("%s is %q", k, got.Data[k])
			}
		}
		if got.Annotations[corev1.ServiceAccountUIDKey] != "1" {
			t.Errorf("annotations %v", got.Annotations)
		}
		if len(clienttest.Get(b.Server, client.Secrets, "ns", "other").Data) > 0 {
			t.Error("filled a Secret of another type")
		}
		b.Server.Actions()
		b.Pass(time.Hour)
		if a := b.Server.Actions(); len(a) > 0 {
			t.Errorf("again: %v", a)
		}
	})
}

func TestWithoutAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{
			account("a", "1"), secret("good", "a", "1"), secret("of-a-former-a", "a", "0"), secret("of-nobody", "x", ""), secret("unnamed", "", ""),
		}, start)
		names := func() (s string) {
			for _, x := range clienttest.List(b.Server, client.Secrets) {
				s += x.Name + " "
			}
			return s
		}
		if got := names(); got != "good unnamed " {
			t.Errorf("left %s", got)
		}
		b.Server.Remove(account("a", "1"))
		b.Settle()
		if got := names(); got != "unnamed " {
			t.Errorf("left %s after the account", got)
		}
	})
}

func TestMentions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{account("a", "1", "s", "another"), secret("s", "a", "1")}, start)
		b.Server.Remove(secret("s", "a", "1"))
		b.Settle()
		if got := clienttest.Get(b.Server, client.ServiceAccounts, "ns", "a").Secrets; len(got) != 1 || got[0].Name != "another" {
			t.Errorf("mentions %v", got)
		}
	})
}

func TestWithoutMaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{account("a", "1"), secret("s", "x", "")}, Start)
		if got := b.Server.Actions(); len(got) > 0 {
			t.Errorf("%v", got)
		}
	})
}
