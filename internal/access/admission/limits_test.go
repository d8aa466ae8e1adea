package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/proa-dev/proa/internal/access/accesstest"
)

func quantities(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

func TestLimitRanger(t *testing.T) {
	container := func(requests, limits corev1.ResourceList) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.InitContainers = nil
			p.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: requests, Limits: limits}
		}
	}
	per := func(kind corev1.LimitType, minimum, maximum, ratio corev1.ResourceList) corev1.LimitRangeItem {
		return corev1.LimitRangeItem{Type: kind, Min: minimum, Max: maximum, MaxLimitRequestRatio: ratio}
	}
	const c, p = corev1.LimitTypeContainer, corev1.LimitTypePod
	for _, x := range []struct {
		name   string
		limits corev1.LimitRangeItem
		pod    func(*corev1.Pod)
		want   string
	}{
		{"within", per(c, quantities("cpu", "50m"), quantities("cpu", "2"), quantities("cpu", "10")), container(quantities("cpu", "100m"), quantities("cpu", "1")), ""},
		{"no request", per(c, quantities("cpu", "50m"), nil, nil), container(nil, nil), "minimum cpu usage per Container is 50m.  No request is specified"},
		{"small request", per(c, quantities("cpu", "50m"), nil, nil), container(quantities("cpu", "40m"), nil), "minimum cpu usage per Container is 50m, but request is 40m"},
		{"small limit", per(c, quantities("cpu", "50m"), nil, nil), container(quantities("cpu", "50m"), quantities("cpu", "40m")), "minimum cpu usage per Container is 50m, but limit is 40m"},
		{"no limit", per(c, nil, quantities("memory", "1Gi"), nil), container(quantities("memory", "1Mi"), nil), "maximum memory usage per Container is 1Gi.  No limit is specified"},
		{"big limit", per(c, nil, quantities("memory", "1Gi"), nil), container(nil, quantities("memory", "2Gi")), "maximum memory usage per Container is 1Gi, but limit is 2Gi"},
		{"big request", per(c, nil, quantities("memory", "1Gi"), nil), container(quantities("memory", "2Gi"), quantities("memory", "1Gi")), "maximum memory usage per Container is 1Gi, but request is 2Gi"},
		{"ratio", per(c, nil, nil, quantities("cpu", "2")), container(quantities("cpu", "100m"), quantities("cpu", "1")), "cpu max limit to request ratio per Container is 2, but provided ratio is 10.000000"},
		{"fractional ratio", per(c, nil, nil, quantities("cpu", "1500m")), container(quantities("cpu", "100m"), quantities("cpu", "160m")), "cpu max limit to request ratio per Container is 1500m, but provided ratio is 1.600000"},
		{"ratio without limit", per(c, nil, nil, quantities("cpu", "2")), container(quantities("cpu", "1"), nil), "cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0"},
		{"ratio without request", per(c, nil, nil, quantities("cpu", "2")), container(nil, quantities("cpu", "1")), "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"},
		{"several", per(c, quantities("cpu", "1", "memory", "1Gi"), nil, nil), container(quantities("cpu", "500m"), nil),
			"[minimum cpu usage per Container is 1, but request is 500m, minimum memory usage per Container is 1Gi.  No request is specified]"},
		{"init containers", per(c, nil, quantities("cpu", "1"), nil), func(p *corev1.Pod) {
			container(nil, quantities("cpu", "1"))(p)
			p.Spec.InitContainers = []corev1.Container{{Name: "i", Resources: corev1.ResourceRequirements{Limits: quantities("cpu", "2")}}}
		}, "maximum cpu usage per Container is 1, but limit is 2"},
		{"the pod as a whole", per(p, nil, quantities("cpu", "1"), nil), func(p *corev1.Pod) {
			container(quantities("cpu", "600m"), quantities("cpu", "600m"))(p)
			p.Spec.Containers = append(p.Spec.Containers, p.Spec.Containers[0])
		}, "maximum cpu usage per Pod is 1, but limit is 1200m"},
		{"init and main do not add up", per(p, nil, quantities("cpu", "1"), nil), func(p *corev1.Pod) {
			container(quantities("cpu", "600m"), quantities("cpu", "600m"))(p)
			p.Spec.InitContainers = []corev1.Container{p.Spec.Containers[0]}
		}, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			store := &accesstest.Objects{}
			store.Put(limitRanges, &corev1.LimitRange{ObjectMeta: named("ns", "l"), Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{x.limits}}},
				&corev1.LimitRange{ObjectMeta: named("elsewhere", "l"), Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{per(c, quantities("x", "1"), nil, nil)}}})
			want := x.want
			if want != "" {
				want = `pods "p" is forbidden: ` + want
			}
			checkText(t, run(t, LimitRanger{store}, create(pods, "ns", "p", onePod(x.pod))), want)
		})
	}
}

func TestLimitRangerDefaults(t *testing.T) {
	store := &accesstest.Objects{}
	store.Put(limitRanges, &corev1.LimitRange{ObjectMeta: named("ns", "l"), Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type: corev1.LimitTypeContainer, Default: quantities("cpu", "1", "memory", "1Gi"), DefaultRequest: quantities("cpu", "100m"),
	}}}})
	pod := onePod(func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Limits = quantities("cpu", "3") })
	if err := run(t, LimitRanger{store}, create(pods, "ns", "p", pod)); err != nil {
		t.Fatal(err)
	}
	const note = "LimitRanger plugin set: cpu request for container main; memory limit for container main; cpu request for init container init; cpu, memory limit for init container init"
	if got := pod.Annotations["kubernetes.io/limit-ranger"]; got != note {
		t.Error(got)
	}
	r := pod.Spec.Containers[0].Resources
	if r.Limits.Cpu().String() != "3" || r.Limits.Memory().String() != "1Gi" || r.Requests.Cpu().String() != "100m" {
		t.Errorf("%+v", r)
	}
	bare := onePod(nil)
	if err := run(t, LimitRanger{&accesstest.Objects{}}, create(pods, "ns", "p", bare)); err != nil || bare.Annotations != nil {
		t.Errorf("%v %v", err, bare.Annotations)
	}
}

func TestLimitRangerClaims(t *testing.T) {
	store := &accesstest.Objects{}
	store.Put(limitRanges, &corev1.LimitRange{ObjectMeta: named("ns", "l"), Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type: corev1.LimitTypePersistentVolumeClaim, Min: quantities("storage", "1Gi"), Max: quantities("storage", "2Gi"),
	}}}})
	for size, want := range map[string]string{
		"1Gi":   "",
		"3Gi":   `persistentvolumeclaims "c" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi`,
		"500Mi": `persistentvolumeclaims "c" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi`,
	} {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: named("ns", "c")}
		claim.Spec.Resources.Requests = quantities("storage", size)
		checkText(t, run(t, LimitRanger{store}, create(claims, "ns", "c", claim)), want)
	}
}
