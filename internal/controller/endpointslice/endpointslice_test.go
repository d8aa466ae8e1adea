package endpointslice

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller/controllertest"
)

func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		objects := []client.Object{aService(), aNode("n1")}
		for n := range 250 {
			objects = append(objects, aPod(n))
		}
		foreign := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "foreign", Labels: map[string]string{discoveryv1.LabelServiceName: "web", discoveryv1.LabelManagedBy: "me"},
		}}
		b := controllertest.New(t, append(objects, foreign), New)
		count := func() (all, endpoints int) {
			for _, s := range clienttest.List(b.Server, client.EndpointSlices) {
				all++
				endpoints += len(s.Endpoints)
			}
			return all, endpoints
		}
		if all, n := count(); all != 4 || n != 250 {
			t.Fatalf("%d slices with %d endpoints", all, n)
		}
		// What a pod does that does not show is no reason to write; what shows is one write.
		b.Server.Actions()
		p := aPod(7)
		p.Status.Message = "hello"
		b.Server.Put(p)
		b.Pass(time.Minute)
		if a := b.Server.Actions(); len(a) > 0 {
			t.Errorf("wrote %s", a)
		}
		p = aPod(7)
		p.Status.Conditions[0].Status = corev1.ConditionFalse
		p.Status.Conditions[0].LastTransitionTime = metav1.Now()
		b.Server.Put(p)
		b.Pass(time.Minute)
		a := b.Server.Actions()
		if len(a) != 1 || a[0].Verb != "update" || a[0].Object.GetAnnotations()[corev1.EndpointsLastChangeTriggerTime] == "" {
			t.Errorf("wrote %v", a)
		}
		// What another deletes is made again.
		for _, s := range clienttest.List(b.Server, client.EndpointSlices) {
			if s.Name != "foreign" {
				b.Server.Remove(s)
			}
		}
		b.Pass(time.Minute)
		if all, n := count(); all != 4 || n != 250 {
			t.Errorf("%d slices with %d endpoints after all were deleted", all, n)
		}
		for n := range 250 {
			b.Server.Remove(aPod(n))
		}
		b.Pass(time.Minute)
		if all, n := count(); all != 2 || n != 0 {
			t.Errorf("%d slices with %d endpoints without pods", all, n)
		}
	})
}
