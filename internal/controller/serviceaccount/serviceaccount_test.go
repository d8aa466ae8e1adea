package serviceaccount

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller/controllertest"
)

func namespace(name string, phase corev1.NamespacePhase) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NamespaceStatus{Phase: phase}}
}

func TestEveryNamespaceHasOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{namespace("a", corev1.NamespaceActive), namespace("b", corev1.NamespaceTerminating)}, Start)
		expect := func(when string, want ...string) {
			t.Helper()
			b.Settle()
			var got []string
			for _, a := range clienttest.List(b.Server, client.ServiceAccounts) {
				got = append(got, a.Namespace+"/"+a.Name)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		expect("at start", "a/default")
		b.Server.Put(namespace("c", corev1.NamespaceActive))
		expect("a new namespace", "a/default", "c/default")
		b.Server.Remove(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "default"}})
		expect("deleted by hand", "a/default", "c/default")
		b.Server.Put(namespace("a", corev1.NamespaceTerminating))
		b.Settle()
		b.Server.Remove(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "default"}})
		expect("deleted with its namespace", "c/default")
	})
}

// The informer may not know yet that a namespace ends. The server does, and is not asked again.
func TestNamespaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, nil, Start)
		b.Server.React(func(r *client.Request) (bool, *client.Response, error) {
			return r.Verb == "create", nil, &apierrors.StatusError{ErrStatus: metav1.Status{
				Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
				Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}},
			}}
		})
		b.Server.Put(namespace("a", corev1.NamespaceActive))
		b.Pass(time.Hour)
		if got := b.Server.Actions(); len(got) != 1 {
			t.Errorf("%v", got)
		}
	})
}
