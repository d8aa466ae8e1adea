package ttlafterfinished

import (
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller/controllertest"
)

func job(name string, ttl *int32, finished bool) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: batchv1.JobSpec{TTLSecondsAfterFinished: ttl}}
	if finished {
		j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
	}
	return j
}

func TestDeletedWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := controllertest.New(t, []client.Object{
			job("now", ptr.To[int32](0), true), job("soon", ptr.To[int32](10), true), job("changed", ptr.To[int32](10), true),
			job("never", nil, true), job("running", ptr.To[int32](0), false),
		}, Start)
		expect := func(when string, want ...string) {
			t.Helper()
			got := ""
			for _, j := range clienttest.List(b.Server, client.Jobs) {
				if j.DeletionTimestamp == nil {
					got += j.Name + " "
				}
			}
			all := ""
			for _, w := range want {
				all += w + " "
			}
			if got != all {
				t.Errorf("%s: %s, want %s", when, got, all)
			}
		}
		expect("at once", "changed", "never", "running", "soon")
		controllertest.Each(b, client.Jobs, func(j *batchv1.Job) bool {
			j.Spec.TTLSecondsAfterFinished = ptr.To[int32](60)
			return j.Name == "changed"
		})
		b.Pass(10*time.Second - 1)
		expect("before", "changed", "never", "running", "soon")
		b.Server.Actions()
		b.Pass(1)
		expect("when due", "changed", "never", "running")
		if a := b.Server.Actions(); len(a) != 1 {
			t.Errorf("%v", a)
		}
		if j := clienttest.Get(b.Server, client.Jobs, "ns", "soon"); j == nil || j.Finalizers[0] != metav1.FinalizerDeleteDependents {
			t.Error("not deleted after its pods")
		}
		b.Pass(time.Hour)
		expect("long after", "never", "running")
	})
}
