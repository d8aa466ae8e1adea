package clientgo_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/proa-dev/proa/test/clients/cluster"
)

// TestTokens makes a service account, gives it a right, and works with its token until it is deleted.
func TestTokens(t *testing.T) {
	config := quiet(t).Config(t)
	admin := clientset(t, config)
	ctx := t.Context()
	accounts := admin.CoreV1().ServiceAccounts("default")
	account := must(accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}))(t)
	request := must(accounts.CreateToken(ctx, "robot", &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: pointer[int64](600)}}, metav1.CreateOptions{}))(t)
	if left := time.Until(request.Status.ExpirationTimestamp.Time); left < 9*time.Minute || left > 11*time.Minute {
		t.Errorf("ten minutes are %v", left)
	}

	robot := bearing(t, config, request.Status.Token)
	me := must(robot.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}))(t).Status.UserInfo
	if me.Username != "system:serviceaccount:default:robot" || me.UID != string(account.UID) || len(me.Groups) != 3 {
		t.Errorf("the robot is %+v", me)
	}
	foreign := must(admin.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: request.Status.Token, Audiences: []string{"elsewhere"}}}, metav1.CreateOptions{}))(t)
	if foreign.Status.Authenticated {
		t.Errorf("for another audience: %+v", foreign.Status)
	}
	review := must(admin.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: request.Status.Token}}, metav1.CreateOptions{}))(t)
	if !review.Status.Authenticated || review.Status.User.Username != me.Username {
		t.Errorf("reviewed: %+v", review.Status)
	}

	read := func() error {
		_, err := robot.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
		return err
	}
	if err := read(); !apierrors.IsForbidden(err) {
		t.Errorf("without a right: %v", err)
	}
	must(admin.RbacV1().Roles("default").Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		Rules: []rbacv1.PolicyRule{{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"configmaps"}}}}, metav1.CreateOptions{}))(t)
	must(admin.RbacV1().RoleBindings("default").Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "robot", Namespace: "default"}}}, metav1.CreateOptions{}))(t)
	cluster.Eventually(t, "the robot reads", read)
	for verb, want := range map[string]bool{"list": true, "delete": false} {
		answer := must(robot.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: verb, Resource: "configmaps"}}}, metav1.CreateOptions{}))(t)
		if answer.Status.Allowed != want {
			t.Errorf("may it %s: %+v", verb, answer.Status)
		}
	}
	rules := must(robot.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "default"}}, metav1.CreateOptions{}))(t).Status
	if !slices.ContainsFunc(rules.ResourceRules, func(r authorizationv1.ResourceRule) bool {
		return slices.Equal(r.Verbs, []string{"list"}) && slices.Equal(r.Resources, []string{"configmaps"})
	}) || len(rules.NonResourceRules) == 0 {
		t.Errorf("its rules: %+v", rules)
	}
	if _, err := robot.CoreV1().ConfigMaps("kube-system").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("elsewhere: %v", err)
	}

	if err := accounts.Delete(ctx, "robot", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, "the token ends with its account", func() error {
		if err := read(); !apierrors.IsUnauthorized(err) {
			return fmt.Errorf("still %v", err)
		}
		return nil
	})
	for what, token := range map[string]string{"garbage": "garbage", "a token cut short": request.Status.Token[:len(request.Status.Token)-4]} {
		if _, err := bearing(t, config, token).CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// bearing is a client that has a token and nothing else.
func bearing(t *testing.T, config *rest.Config, token string) kubernetes.Interface {
	t.Helper()
	config = rest.AnonymousClientConfig(config)
	config.BearerToken = token
	return clientset(t, config)
}

// TestImpersonation asks as someone else.
func TestImpersonation(t *testing.T) {
	config := rest.CopyConfig(quiet(t).Config(t))
	config.Impersonate = rest.ImpersonationConfig{UserName: "ann", Groups: []string{"crew"}, Extra: map[string][]string{"boat": {"proa"}}}
	ann := clientset(t, config)
	me := must(ann.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}))(t).Status.UserInfo
	if me.Username != "ann" || len(me.Groups) != 2 || me.Groups[0] != "crew" || me.Extra["boat"][0] != "proa" {
		t.Errorf("ann is %+v", me)
	}
	if _, err := ann.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("ann reads secrets: %v", err)
	}
}

// TestLeaderElection lets two candidates stand: one leads, and the other does when it goes.
func TestLeaderElection(t *testing.T) {
	k := clientset(t, quiet(t).Config(t))
	leads := make(chan string, 2)
	candidate := func(name string) context.CancelFunc {
		ctx, cancel := context.WithCancel(t.Context())
		e := must(leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{LeaseMeta: metav1.ObjectMeta{Name: "helm", Namespace: "default"}, Client: k.CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: name}},
			// A pause deposes nobody, and if the first does not get to release the lease, which a renewal under way can prevent,
			// the second outlasts it.
			LeaseDuration: cluster.Patience / 4, RenewDeadline: cluster.Patience / 5, RetryPeriod: 200 * time.Millisecond, ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { leads <- name }, OnStoppedLeading: func() {}},
		}))(t)
		done := make(chan struct{})
		go func() { defer close(done); e.Run(ctx) }()
		return func() { cancel(); <-done }
	}
	first := candidate("first")
	if who := <-leads; who != "first" {
		t.Fatalf("%s leads", who)
	}
	second := candidate("second")
	defer second()
	first()
	select {
	case who := <-leads:
		if who != "second" {
			t.Errorf("%s leads after the first", who)
		}
	case <-time.After(cluster.Patience):
		t.Fatal("nobody leads")
	}
	lease := must(k.CoordinationV1().Leases("default").Get(t.Context(), "helm", metav1.GetOptions{}))(t)
	if *lease.Spec.HolderIdentity != "second" || *lease.Spec.LeaseTransitions < 1 {
		t.Errorf("%+v", lease.Spec)
	}
}
