package deployment

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

var update = flag.Bool("update", false, "write what comes out into testdata")

// TestScripts runs the rollouts of testdata. A script's lines are:
//
//	deploy image=v2 replicas=5 ...   what a user changes of the Deployment
//	pods v1 5 4 3                    that the ReplicaSet with image v1 has 5 pods, 4 of them ready, 3 available
//	fails v1 quota                   that it cannot make pods
//	running v1 / stopped v1          whether it has pods that have not ended
//	pass 10s                         that time passes
//	sync                             that the loop decides, and what it decides is done
//
// and below a sync, indented, what it decided.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld()
			var got strings.Builder
			for line := range strings.Lines(string(want)) {
				if strings.HasPrefix(line, "  ") {
					continue
				}
				got.WriteString(line)
				for _, out := range w.run(strings.TrimSpace(line)) {
					got.WriteString("  " + out + "\n")
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got.String() != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
			}
		})
	}
}

// world is a Deployment and its sets, without a server.
type world struct {
	now     time.Time
	d       *appsv1.Deployment
	sets    []*appsv1.ReplicaSet
	running map[string]bool
}

func newWorld() *world {
	app := map[string]string{"app": "web"}
	return &world{
		now:     time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
		running: map[string]bool{},
		d: &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "web", Generation: 1},
			Spec: appsv1.DeploymentSpec{
				Replicas: ptr.To[int32](1), Selector: &metav1.LabelSelector{MatchLabels: app},
				RevisionHistoryLimit: ptr.To[int32](10), ProgressDeadlineSeconds: ptr.To[int32](600),
				Strategy: rollingStrategy("25%", "25%"),
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: app}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}},
				},
			},
		},
	}
}

func rollingStrategy(surge, unavailable string) appsv1.DeploymentStrategy {
	return appsv1.DeploymentStrategy{
		Type:          appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: ptr.To(intstr.Parse(surge)), MaxUnavailable: ptr.To(intstr.Parse(unavailable))},
	}
}

func (w *world) run(line string) []string {
	f := strings.Fields(line)
	if len(f) == 0 || strings.HasPrefix(line, "#") {
		return nil
	}
	switch f[0] {
	case "deploy":
		for _, change := range f[1:] {
			k, v, _ := strings.Cut(change, "=")
			w.deploy(k, v)
		}
		w.d.Generation++
	case "pods":
		rs := w.set(f[1])
		rs.Status.Replicas, rs.Status.ReadyReplicas, rs.Status.AvailableReplicas = number(f[2]), number(f[3]), number(f[4])
		rs.Status.ObservedGeneration = rs.Generation
	case "fails":
		w.set(f[1]).Status.Conditions = []appsv1.ReplicaSetCondition{{
			Type: appsv1.ReplicaSetReplicaFailure, Status: "True", Reason: "FailedCreate", Message: f[2], LastTransitionTime: metav1.NewTime(w.now),
		}}
	case "running", "stopped":
		w.running[f[1]] = f[0] == "running"
	case "pass":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			panic(err)
		}
		w.now = w.now.Add(d)
	case "sync":
		return w.sync()
	default:
		panic("no command " + line)
	}
	return nil
}

func number(s string) int32 {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return int32(n)
}

func (w *world) deploy(k, v string) {
	s := &w.d.Spec
	switch k {
	case "image":
		s.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: v}}
	case "replicas":
		s.Replicas = ptr.To(number(v))
	case "surge":
		s.Strategy.RollingUpdate.MaxSurge = ptr.To(intstr.Parse(v))
	case "unavailable":
		s.Strategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.Parse(v))
	case "strategy":
		s.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	case "history":
		s.RevisionHistoryLimit = ptr.To(number(v))
	case "deadline":
		s.ProgressDeadlineSeconds = ptr.To(number(v))
	case "minReady":
		s.MinReadySeconds = number(v)
	case "paused":
		s.Paused = v == "true"
	case "deleted":
		w.d.DeletionTimestamp = ptr.To(metav1.NewTime(w.now))
	case "cause":
		annotate(&w.d.ObjectMeta, map[string]string{"kubernetes.io/change-cause": v})
	case "rollback":
		annotate(&w.d.ObjectMeta, map[string]string{appsv1.DeprecatedRollbackTo: v})
	default:
		panic("no field " + k)
	}
}

func imageOf(rs *appsv1.ReplicaSet) string { return rs.Spec.Template.Spec.Containers[0].Image }

func (w *world) set(image string) *appsv1.ReplicaSet {
	for _, rs := range w.sets {
		if imageOf(rs) == image {
			return rs
		}
	}
	panic("no set " + image)
}

// sync decides, does it, and tells it.
func (w *world) sync() (out []string) {
	before := fmt.Sprint(w.d, w.sets)
	p := decide(w.d, w.sets, func(rs *appsv1.ReplicaSet) bool { return w.running[imageOf(rs)] }, w.now)
	if after := fmt.Sprint(w.d, w.sets); after != before {
		panic("what was decided on was changed: " + before + " is now " + after)
	}
	for _, s := range p.write {
		out = append(out, w.write(s))
	}
	for _, rs := range p.delete {
		out = append(out, "delete "+imageOf(rs))
		w.sets = slices.DeleteFunc(w.sets, func(other *appsv1.ReplicaSet) bool { return other == rs })
	}
	if p.update != nil {
		out = append(out, "update image="+p.update.Spec.Template.Spec.Containers[0].Image+" cause="+p.update.Annotations["kubernetes.io/change-cause"])
		w.d = p.update.DeepCopy()
		w.d.Generation++
	}
	if p.status != nil {
		out = append(out, w.writeStatus(p.status)...)
	}
	for _, e := range p.events {
		out = append(out, fmt.Sprintf("event %s %s: %s", e.kind, e.reason, e.message))
	}
	if p.again > 0 {
		out = append(out, "again in "+p.again.String())
	}
	return out
}

func (w *world) write(s *set) string {
	rs := s.DeepCopy()
	show := fmt.Sprintf("update %s %d", imageOf(rs), *rs.Spec.Replicas)
	if s.was == nil {
		show = fmt.Sprintf("create %s %d", imageOf(rs), *rs.Spec.Replicas)
		rs.UID = types.UID(rs.Name)
		rs.CreationTimestamp = metav1.NewTime(w.now)
		rs.Generation = 1
		w.sets = append(w.sets, rs)
	} else {
		if *s.was.Spec.Replicas != *rs.Spec.Replicas {
			show = fmt.Sprintf("scale %s %d to %d", imageOf(rs), *s.was.Spec.Replicas, *rs.Spec.Replicas)
		}
		rs.Generation++
		w.sets[slices.Index(w.sets, s.was)] = rs
	}
	keys := []string{}
	for k, v := range rs.Annotations {
		if s.was == nil || s.was.Annotations[k] != v {
			keys = append(keys, k[strings.Index(k, "/")+1:]+"="+v)
		}
	}
	slices.SortFunc(keys, cmp.Compare)
	return strings.TrimSpace(show + " " + strings.Join(keys, " "))
}

func (w *world) writeStatus(d *appsv1.Deployment) (out []string) {
	s, old := d.Status, w.d.Status
	counts := func(s appsv1.DeploymentStatus) string {
		return fmt.Sprintf("status %d replicas, %d updated, %d ready, %d available, %d unavailable",
			s.Replicas, s.UpdatedReplicas, s.ReadyReplicas, s.AvailableReplicas, s.UnavailableReplicas)
	}
	if counts(s) != counts(old) {
		out = append(out, counts(s))
	}
	if a, b := d.Annotations[RevisionAnnotation], w.d.Annotations[RevisionAnnotation]; a != b {
		out = append(out, "status revision "+a)
	}
	for _, c := range s.Conditions {
		was := condition(&old, c.Type)
		if was != nil && *was == c {
			continue
		}
		line := fmt.Sprintf("status %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
		if was != nil && was.Status == c.Status && was.LastTransitionTime != c.LastTransitionTime {
			line += " (a transition without one)"
		}
		out = append(out, line)
	}
	for _, c := range old.Conditions {
		if condition(&s, c.Type) == nil {
			out = append(out, "status no "+string(c.Type))
		}
	}
	if len(out) == 0 {
		out = append(out, "status")
	}
	w.d = d.DeepCopy()
	return out
}
