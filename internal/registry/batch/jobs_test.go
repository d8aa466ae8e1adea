package batch

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/registrytest"
)

func job() *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "pi", Namespace: "default", UID: "u1"}, Spec: batchv1.JobSpec{Template: template()}}
}

func indexed() *batchv1.Job {
	j := job()
	j.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
	j.Spec.Completions, j.Spec.Parallelism = ptr.To[int32](10), ptr.To[int32](10)
	return j
}

func TestJob(t *testing.T) {
	const nonNegative = "must be greater than or equal to 0"
	const generated = `{"batch.kubernetes.io/controller-uid":"u1","batch.kubernetes.io/job-name":"pi","controller-uid":"u1","job-name":"mine"}`
	manual := func(j *batchv1.Job) {
		j.Spec.ManualSelector = ptr.To(true)
		j.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "pi"}}
		j.Spec.Template.Labels = map[string]string{"app": "pi"}
	}
	registrytest.Create(t, Jobs, job, []edit[batchv1.Job]{
		{"negative", func(j *batchv1.Job) {
			s := &j.Spec
			s.Parallelism, s.Completions, s.BackoffLimit, s.TTLSecondsAfterFinished = ptr.To[int32](-1), ptr.To[int32](-2), ptr.To[int32](-4), ptr.To[int32](-5)
			s.ActiveDeadlineSeconds = ptr.To[int64](-3)
		}, []string{
			"spec.parallelism: Invalid value: -1: " + nonNegative,
			"spec.completions: Invalid value: -2: " + nonNegative,
			"spec.activeDeadlineSeconds: Invalid value: -3: " + nonNegative,
			"spec.backoffLimit: Invalid value: -4: " + nonNegative,
			"spec.ttlSecondsAfterFinished: Invalid value: -5: " + nonNegative,
		}},
		{"restarts always", func(j *batchv1.Job) { j.Spec.Template.Spec.RestartPolicy = "" },
			[]string{`spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"`}},
		{"label of the user's", func(j *batchv1.Job) { j.Spec.Template.Labels = map[string]string{"job-name": "mine"} }, []string{
			`spec.template.metadata.labels[job-name]: Invalid value: ` + generated + `: must be 'pi'`,
		}},
		{"selector of the user's", func(j *batchv1.Job) {
			j.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "pi"}}
			j.Spec.Template.Labels = map[string]string{"app": "pi"}
		}, []string{"spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"pi\",\"batch.kubernetes.io/controller-uid\":\"u1\"}}: `selector` not auto-generated"}},
		{"manual selector", manual, nil},
		{"manual selector that is missing", func(j *batchv1.Job) { j.Spec.ManualSelector = ptr.To(true) }, []string{
			"spec.selector: Required value", "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
		}},
		{"manual selector that fits nothing", func(j *batchv1.Job) {
			manual(j)
			j.Spec.Template.Labels = nil
		}, []string{"spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`"}},
		{"unknown completion mode", func(j *batchv1.Job) { j.Spec.CompletionMode = ptr.To(batchv1.CompletionMode("Random")) },
			[]string{`spec.completionMode: Unsupported value: "Random": supported values: "NonIndexed", "Indexed"`}},
		{"limit per index of none", func(j *batchv1.Job) {
			j.Spec.BackoffLimitPerIndex, j.Spec.MaxFailedIndexes = ptr.To[int32](1), ptr.To[int32](1)
		}, []string{
			"spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
			"spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode",
		}},
		{"success policy of none", func(j *batchv1.Job) {
			j.Spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededCount: ptr.To[int32](1)}}}
		}, []string{`spec.successPolicy: Invalid value: {"rules":[{"succeededCount":1}]}: requires indexed completion mode`}},
		{"managed by", func(j *batchv1.Job) { j.Spec.ManagedBy = ptr.To("example.com/queue") }, nil},
		{"managed by nobody", func(j *batchv1.Job) { j.Spec.ManagedBy = ptr.To("queue") },
			[]string{`spec.managedBy: Invalid value: "queue": must be a domain-prefixed path (such as "acme.io/foo")`}},
		{"managed by too many", func(j *batchv1.Job) { j.Spec.ManagedBy = ptr.To("example.com/" + strings.Repeat("a", 60)) },
			[]string{`spec.managedBy: Too long: may not be more than 63 bytes`}},
		{"replacement", func(j *batchv1.Job) { j.Spec.PodReplacementPolicy = ptr.To(batchv1.PodReplacementPolicy("Soon")) },
			[]string{`spec.podReplacementPolicy: Unsupported value: "Soon": supported values: "Failed", "TerminatingOrFailed"`}},
	}...)
}

func TestIndexedJob(t *testing.T) {
	success := func(rules ...batchv1.SuccessPolicyRule) func(*batchv1.Job) {
		return func(j *batchv1.Job) { j.Spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: rules} }
	}
	registrytest.Create(t, Jobs, indexed, []edit[batchv1.Job]{
		{"no completions", func(j *batchv1.Job) { j.Spec.Completions = nil },
			[]string{"spec.completions: Required value: when completion mode is Indexed"}},
		{"too parallel", func(j *batchv1.Job) { j.Spec.Parallelism = ptr.To[int32](100_001) },
			[]string{"spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed"}},
		{"failed indexes without their limit", func(j *batchv1.Job) { j.Spec.MaxFailedIndexes = ptr.To[int32](11) }, []string{
			"spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
			"spec.maxFailedIndexes: Invalid value: 11: must be less than or equal to completions",
		}},
		{"many completions", func(j *batchv1.Job) {
			j.Spec.Completions, j.Spec.Parallelism, j.Spec.BackoffLimitPerIndex = ptr.To[int32](100_001), ptr.To[int32](10_001), ptr.To[int32](1)
		}, []string{
			"spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
			"spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index",
		}},
		{"host name too long", func(j *batchv1.Job) { j.Name = strings.Repeat("a", 62) },
			[]string{fmt.Sprintf("metadata.name: Invalid value: %q: will not able to create pod with invalid DNS label: %s-9", strings.Repeat("a", 62), strings.Repeat("a", 62))}},
		{"success", success(batchv1.SuccessPolicyRule{SucceededIndexes: ptr.To("0,2-4"), SucceededCount: ptr.To[int32](3)}), nil},
		{"success without rules", success(), []string{"spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified"}},
		{"success without words", success(batchv1.SuccessPolicyRule{}),
			[]string{"spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified"}},
		{"success of more than there are", success(batchv1.SuccessPolicyRule{SucceededIndexes: ptr.To("0,2-4"), SucceededCount: ptr.To[int32](11)}), []string{
			"spec.successPolicy.rules[0].succeededCount: Invalid value: 11: must be less than or equal to 10 (the number of specified completions)",
			"spec.successPolicy.rules[0].succeededCount: Invalid value: 11: must be less than or equal to 4 (the number of indexes in the specified succeededIndexes field)",
		}},
		{"success beyond the end", success(batchv1.SuccessPolicyRule{SucceededIndexes: ptr.To("8-10")}),
			[]string{`spec.successPolicy.rules[0].succeededIndexes: Invalid value: "8-10": error parsing succeededIndexes: too large index: "10"`}},
	}...)
}

func TestPodFailurePolicy(t *testing.T) {
	rule := func(r batchv1.PodFailurePolicyRule) func(*batchv1.Job) {
		return func(j *batchv1.Job) {
			j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{r}}
		}
	}
	codes := func(op batchv1.PodFailurePolicyOnExitCodesOperator, values ...int32) *batchv1.PodFailurePolicyOnExitCodesRequirement {
		return &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: op, Values: values}
	}
	named := codes("In", 1)
	named.ContainerName = ptr.To("other")
	disrupted := []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: "DisruptionTarget"}}
	const path = "spec.podFailurePolicy.rules[0]"
	registrytest.Create(t, Jobs, job, []edit[batchv1.Job]{
		{"codes", rule(batchv1.PodFailurePolicyRule{Action: "FailJob", OnExitCodes: codes("In", 1, 42)}), nil},
		{"conditions", rule(batchv1.PodFailurePolicyRule{Action: "Ignore", OnPodConditions: disrupted}), nil},
		{"no action", rule(batchv1.PodFailurePolicyRule{OnPodConditions: disrupted}),
			[]string{path + `.action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]`}},
		{"unknown action", rule(batchv1.PodFailurePolicyRule{Action: "Wait", OnPodConditions: disrupted}),
			[]string{path + `.action: Unsupported value: "Wait": supported values: "Count", "FailIndex", "FailJob", "Ignore"`}},
		{"index of none", rule(batchv1.PodFailurePolicyRule{Action: "FailIndex", OnPodConditions: disrupted}),
			[]string{path + `.action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set`}},
		{"nothing", rule(batchv1.PodFailurePolicyRule{Action: "Count"}),
			[]string{path + ": Invalid value: specifying one of OnExitCodes and OnPodConditions is required"}},
		{"both", rule(batchv1.PodFailurePolicyRule{Action: "Count", OnExitCodes: codes("In", 1), OnPodConditions: disrupted}),
			[]string{path + ": Invalid value: specifying both OnExitCodes and OnPodConditions is not supported"}},
		{"bad codes", rule(batchv1.PodFailurePolicyRule{Action: "Count", OnExitCodes: codes("In", 3, 0, 3)}), []string{
			path + ".onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator",
			path + ".onExitCodes.values[2]: Duplicate value: 3",
			path + ".onExitCodes.values: Invalid value: [3,0,3]: must be ordered",
		}},
		{"no codes", rule(batchv1.PodFailurePolicyRule{Action: "Count", OnExitCodes: codes("NotIn")}),
			[]string{path + ".onExitCodes.values: Invalid value: null: at least one value is required"}},
		{"unknown operator", rule(batchv1.PodFailurePolicyRule{Action: "Count", OnExitCodes: codes("Near", 1)}),
			[]string{path + `.onExitCodes.operator: Unsupported value: "Near": supported values: "In", "NotIn"`}},
		{"other container", rule(batchv1.PodFailurePolicyRule{Action: "Count", OnExitCodes: named}),
			[]string{path + `.onExitCodes.containerName: Invalid value: "other": must be one of the container or initContainer names in the pod template`}},
		{"restarts in place", func(j *batchv1.Job) {
			rule(batchv1.PodFailurePolicyRule{Action: "FailJob", OnExitCodes: codes("In", 1)})(j)
			j.Spec.Template.Spec.RestartPolicy = "OnFailure"
		}, []string{`spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified`}},
		{"replaces early", func(j *batchv1.Job) {
			rule(batchv1.PodFailurePolicyRule{Action: "FailJob", OnExitCodes: codes("In", 1)})(j)
			j.Spec.PodReplacementPolicy = ptr.To(batchv1.TerminatingOrFailed)
		}, []string{`spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"`}},
	}...)
}

func TestJobDefaults(t *testing.T) {
	typ := Jobs.Erase()
	j := job()
	typ.Default(j)
	s := j.Spec
	if *s.Completions != 1 || *s.Parallelism != 1 || *s.BackoffLimit != 6 || *s.CompletionMode != "NonIndexed" || *s.Suspend || *s.ManualSelector || *s.PodReplacementPolicy != "TerminatingOrFailed" {
		t.Errorf("defaults: %+v", s)
	}
	typ.PrepareCreate(j)
	generated := map[string]string{"batch.kubernetes.io/controller-uid": "u1", "batch.kubernetes.io/job-name": "pi", "controller-uid": "u1", "job-name": "pi"}
	if !maps.Equal(j.Spec.Template.Labels, generated) || !maps.Equal(j.Labels, generated) {
		t.Errorf("labels of the template %v, of the job %v, want %v", j.Spec.Template.Labels, j.Labels, generated)
	}
	if got := j.Spec.Selector.MatchLabels; !maps.Equal(got, map[string]string{"batch.kubernetes.io/controller-uid": "u1"}) {
		t.Errorf("selector %v", got)
	}

	queue := job()
	queue.Labels = map[string]string{"own": "yes"}
	queue.Spec.Parallelism = ptr.To[int32](3)
	queue.Spec.BackoffLimitPerIndex = ptr.To[int32](1)
	queue.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
		{OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: "Ready"}}},
	}}
	typ.Default(queue)
	typ.PrepareCreate(queue)
	s = queue.Spec
	if s.Completions != nil || *s.BackoffLimit != 2147483647 || *s.PodReplacementPolicy != "Failed" || s.PodFailurePolicy.Rules[0].OnPodConditions[0].Status != "True" {
		t.Errorf("defaults: %+v", s)
	}
	if !maps.Equal(queue.Labels, map[string]string{"own": "yes"}) {
		t.Errorf("the job's own labels became %v", queue.Labels)
	}
}

func TestJobUpdate(t *testing.T) {
	affinity := func(j *batchv1.Job) {
		j.Spec.Template.Spec.NodeSelector = map[string]string{"zone": "a"}
		j.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
		j.Spec.Template.Annotations = map[string]string{"queue": "a"}
		j.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("1")}
	}
	registrytest.Update(t, Jobs, indexed, []edit[batchv1.Job]{
		{"scaled whole", func(j *batchv1.Job) { j.Spec.Completions, j.Spec.Parallelism = ptr.To[int32](5), ptr.To[int32](5) }, nil},
		{"scaled in half", func(j *batchv1.Job) { j.Spec.Completions = ptr.To[int32](5) },
			[]string{"spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism"}},
		{"mode", func(j *batchv1.Job) { j.Spec.CompletionMode = nil }, []string{`spec.completionMode: Invalid value: "NonIndexed": field is immutable`}},
		{"managed by", func(j *batchv1.Job) { j.Spec.ManagedBy = ptr.To("a.b/c") }, []string{`spec.managedBy: Invalid value: "a.b/c": field is immutable`}},
		{"limit per index", func(j *batchv1.Job) { j.Spec.BackoffLimitPerIndex = ptr.To[int32](3) }, []string{"spec.backoffLimitPerIndex: Invalid value: 3: field is immutable"}},
		{"what may change", func(j *batchv1.Job) {
			j.Spec.Suspend, j.Spec.BackoffLimit, j.Spec.ActiveDeadlineSeconds = ptr.To(true), ptr.To[int32](9), ptr.To[int64](9)
		}, nil},
		{"selector", func(j *batchv1.Job) {
			delete(j.Spec.Selector.MatchLabels, "batch.kubernetes.io/controller-uid")
		}, []string{"spec.selector: Invalid value: {}: field is immutable"}},
	}...)
	registrytest.Update(t, Jobs, job, []edit[batchv1.Job]{
		{"completions", func(j *batchv1.Job) { j.Spec.Completions = ptr.To[int32](5) }, []string{"spec.completions: Invalid value: 5: field is immutable"}},
	}...)

	typ := Jobs.Erase()
	suspended := func() *batchv1.Job {
		j := job()
		j.Spec.Suspend = ptr.To(true)
		return j
	}
	started := func() *batchv1.Job {
		j := suspended()
		j.Status.StartTime = &metav1.Time{Time: time.Unix(1, 0)}
		return j
	}
	stopped := func() *batchv1.Job {
		j := started()
		j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobSuspended, Status: "True"}}
		return j
	}
	for _, row := range []struct {
		name   string
		stored func() *batchv1.Job
		edit   func(*batchv1.Job)
		want   string // the path of the error
	}{
		{"placed while it runs", job, affinity, "spec.template"},
		{"placed while it waits", suspended, affinity, ""},
		{"placed while its pods stop", started, affinity, "spec.template"},
		{"placed after they stopped", stopped, affinity, ""},
		{"image while it waits", suspended, func(j *batchv1.Job) { j.Spec.Template.Spec.Containers[0].Image = "img:2" }, "spec.template.spec"},
		{"pod affinity while it waits", suspended, func(j *batchv1.Job) {
			j.Spec.Template.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{}}
		}, "spec.template.spec"},
		{"label dropped while it waits", suspended, func(j *batchv1.Job) { delete(j.Spec.Template.Labels, "batch.kubernetes.io/job-name") },
			"spec.template.metadata.labels[batch.kubernetes.io/job-name]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			old := row.stored()
			typ.Default(old)
			typ.PrepareCreate(old)
			j := old.DeepCopy()
			row.edit(j)
			errs := append(typ.Validate(j), typ.ValidateUpdate(j, old)...)
			switch {
			case row.want == "" && len(errs) > 0, row.want != "" && (len(errs) != 1 || errs[0].Field != row.want):
				t.Errorf("errors %v, want one at %q", errs, row.want)
			}
		})
	}
}

func TestJobStatus(t *testing.T) {
	at := func(seconds int64) *metav1.Time { return &metav1.Time{Time: time.Unix(seconds, 0)} }
	conditions := func(types ...batchv1.JobConditionType) []batchv1.JobCondition {
		var all []batchv1.JobCondition
		for _, t := range types {
			all = append(all, batchv1.JobCondition{Type: t, Status: "True"})
		}
		return all
	}
	complete := batchv1.JobStatus{StartTime: at(1), CompletionTime: at(2), Succeeded: 1, Conditions: conditions("SuccessCriteriaMet", "Complete")}
	failed := batchv1.JobStatus{StartTime: at(1), Failed: 1, Conditions: conditions("FailureTarget", "Failed")}
	running := batchv1.JobStatus{StartTime: at(1), Active: 2, Failed: 1}
	for _, row := range []struct {
		name     string
		old, new batchv1.JobStatus
		edit     func(*batchv1.Job)
		want     []string
	}{
		{name: "starts", new: running},
		{name: "completes", old: batchv1.JobStatus{StartTime: at(1)}, new: complete},
		{name: "fails", old: running, new: failed},
		{name: "completes without success", old: batchv1.JobStatus{StartTime: at(1)},
			new:  batchv1.JobStatus{StartTime: at(1), CompletionTime: at(2), Conditions: conditions("Complete")},
			want: []string{"status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition"}},
		{name: "completes at no time", old: batchv1.JobStatus{StartTime: at(1)},
			new:  batchv1.JobStatus{StartTime: at(1), Conditions: conditions("SuccessCriteriaMet", "Complete")},
			want: []string{"status.completionTime: Required value: completionTime is required for Complete jobs"}},
		{name: "completes before it starts", old: batchv1.JobStatus{StartTime: at(9)},
			new:  batchv1.JobStatus{StartTime: at(9), CompletionTime: at(2), Conditions: conditions("SuccessCriteriaMet", "Complete")},
			want: []string{`status.completionTime: Invalid value: "1970-01-01T00:00:02Z": must be equal to or after ` + "`startTime`"}},
		{name: "completes without a start", new: batchv1.JobStatus{CompletionTime: at(2), Conditions: conditions("SuccessCriteriaMet", "Complete")},
			want: []string{"status.startTime: Required value: startTime is required for finished job"}},
		{name: "completes suspended with nothing to do", new: batchv1.JobStatus{CompletionTime: at(2), Conditions: conditions("SuccessCriteriaMet", "Complete")},
			edit: func(j *batchv1.Job) { j.Spec.Suspend, j.Spec.Completions = ptr.To(true), ptr.To[int32](0) }},
		{name: "fails without a reason", old: running, new: batchv1.JobStatus{StartTime: at(1), Failed: 1, Conditions: conditions("Failed")},
			want: []string{"status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition"}},
		{name: "comes back", old: complete, new: running, want: []string{
			"status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
			"status.succeeded: Invalid value: 0: cannot decrease the succeeded counter",
			"status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
		}},
		{name: "completes and fails", old: batchv1.JobStatus{StartTime: at(1)},
			new: batchv1.JobStatus{StartTime: at(1), CompletionTime: at(2), Conditions: conditions("SuccessCriteriaMet", "Complete", "FailureTarget", "Failed")},
			want: []string{
				"status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions",
				"status.conditions: Invalid value: cannot set Complete=True and FailureTarget=true conditions",
				"status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and Failed=true conditions",
				"status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
			}},
		{name: "finishes with pods", old: running,
			new: batchv1.JobStatus{StartTime: at(1), Failed: 1, Active: 1, Terminating: ptr.To[int32](1), Conditions: conditions("FailureTarget", "Failed"),
				UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{Failed: []types.UID{"a"}}},
			want: []string{
				"status.active: Invalid value: 1: active>0 is invalid for finished job",
				`status.uncountedTerminatedPods: Invalid value: {"failed":["a"]}: must be empty for finished job`,
				"status.terminating: Invalid value: 1: terminating>0 is invalid for finished job",
			}},
		{name: "counts a pod twice", old: running,
			new:  batchv1.JobStatus{StartTime: at(1), Failed: 1, UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{Succeeded: []types.UID{"a", ""}, Failed: []types.UID{"a"}}},
			want: []string{`status.uncountedTerminatedPods.succeeded[1]: Invalid value: "": must not be empty`, `status.uncountedTerminatedPods.failed[0]: Duplicate value: "a"`}},
		{name: "forgets failures", old: running, new: batchv1.JobStatus{StartTime: at(1)},
			want: []string{"status.failed: Invalid value: 0: cannot decrease the failed counter"}},
		{name: "starts again", old: running, new: batchv1.JobStatus{StartTime: at(5), Failed: 1},
			want: []string{`status.startTime: Invalid value: "1970-01-01T00:00:05Z": field is immutable for unsuspended job once set`}},
		{name: "resumes", old: batchv1.JobStatus{StartTime: at(1), Conditions: conditions("Suspended")},
			new: batchv1.JobStatus{StartTime: at(5), Conditions: []batchv1.JobCondition{{Type: "Suspended", Status: "False"}}}},
		{name: "more ready than active", new: batchv1.JobStatus{StartTime: at(1), Active: 1, Ready: ptr.To[int32](2)},
			want: []string{"status.ready: Invalid value: 2: cannot set more ready pods than active"}},
		{name: "indexes of none", new: batchv1.JobStatus{CompletedIndexes: "0", FailedIndexes: ptr.To("1")}, want: []string{
			`status.completedIndexes: Invalid value: "0": cannot set non-empty completedIndexes when non-indexed completion mode`,
			`status.failedIndexes: Invalid value: "1": cannot set non-null failedIndexes when backoffLimitPerIndex is null`,
		}, edit: func(j *batchv1.Job) { j.Spec.Completions = ptr.To[int32](5) }},
		{name: "indexes overlap", new: batchv1.JobStatus{CompletedIndexes: "0,3-5", FailedIndexes: ptr.To("1,5-7")}, edit: func(j *batchv1.Job) {
			*j = *indexed()
			j.Spec.BackoffLimitPerIndex = ptr.To[int32](0)
		}, want: []string{`status.failedIndexes: Invalid value: "1,5-7": failedIndexes and completedIndexes overlap at index: 5`}},
		{name: "what was wrong stays", old: batchv1.JobStatus{CompletedIndexes: "x", Active: 1, Ready: ptr.To[int32](2), Conditions: conditions("Complete")},
			new: batchv1.JobStatus{CompletedIndexes: "x", Active: 1, Ready: ptr.To[int32](2), Failed: 3, Conditions: conditions("Complete")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			j := job()
			if row.edit != nil {
				row.edit(j)
			}
			Jobs.Erase().Default(j)
			old, new := j.DeepCopy(), j.DeepCopy()
			old.Status, new.Status = row.old, row.new
			registrytest.Errors(t, validateJobStatus(new, old), row.want...)
		})
	}
}

func TestJobColumns(t *testing.T) {
	typ := Jobs.Erase()
	j := job()
	typ.Default(j)
	typ.PrepareCreate(j)
	row := map[string]any{"Status": "Running", "Completions": "0/1", "Duration": "", "Containers": "main", "Images": "img:1", "Selector": "batch.kubernetes.io/controller-uid=u1"}
	registrytest.Columns(t, typ, j, row)

	j.Spec.Completions, j.Spec.Parallelism = nil, ptr.To[int32](3)
	j.Status = batchv1.JobStatus{Succeeded: 2, StartTime: &metav1.Time{Time: time.Unix(0, 0)}, CompletionTime: &metav1.Time{Time: time.Unix(90, 0)}}
	row["Completions"], row["Duration"] = "2/1 of 3", "90s"
	registrytest.Columns(t, typ, j, row)
	if f := typ.Fields[0]; f.Name != "status.successful" || f.Value(j) != "2" {
		t.Errorf("field %s is %q", f.Name, f.Value(j))
	}
	for _, step := range []struct {
		condition batchv1.JobConditionType
		state     string
	}{{"SuccessCriteriaMet", "SuccessCriteriaMet"}, {"FailureTarget", "FailureTarget"}, {"Suspended", "Suspended"}, {"", "Terminating"}, {"Failed", "Failed"}, {"Complete", "Complete"}} {
		if step.condition == "" {
			j.DeletionTimestamp = &metav1.Time{}
		} else {
			j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: step.condition, Status: "True"})
		}
		if got := jobState(j); got != step.state {
			t.Errorf("state %s, want %s", got, step.state)
		}
	}
}

// TestIndexes compares with sets of indexes written out one by one.
func TestIndexes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func() (map[int]bool, string) {
		set, text := map[int]bool{}, []string{}
		for i := random.IntN(4); i < 30; i += 2 + random.IntN(5) {
			last := min(29, i+random.IntN(4))
			for k := i; k <= last; k++ {
				set[k] = true
			}
			if last == i {
				text = append(text, fmt.Sprint(i))
			} else {
				text = append(text, fmt.Sprintf("%d-%d", i, last))
			}
			i = last
		}
		return set, strings.Join(text, ",")
	}
	for range 1000 {
		a, aText := pick()
		b, bText := pick()
		if n, err := countIndexes(aText, 30); err != nil || n != len(a) {
			t.Fatalf("%q has %d indexes, %v; want %d", aText, n, err, len(a))
		}
		first, want := 0, false
		for i := 29; i >= 0; i-- {
			if a[i] && b[i] {
				first, want = i, true
			}
		}
		if got, found := overlap(aText, bText, 30); found != want || got != first {
			t.Fatalf("%q and %q overlap at %d, %v; want %d, %v", aText, bText, got, found, first, want)
		}
	}
	for text, want := range map[string]string{
		"1-2-3": `the fragment "1-2-3" violates the requirement that an index interval can have at most two parts separated by '-'`,
		"a":     `cannot convert string to integer for index: "a"`,
		"1,":    `cannot convert string to integer for index: ""`,
		"30":    `too large index: "30"`,
		"5-3":   "non-increasing order, previous: 5, current: 3",
		"4,4":   "non-increasing order, previous: 4, current: 4",
	} {
		if _, err := countIndexes(text, 30); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// What is refused or counted must not depend on how a controller reads it: indexes rise and are in range.
func FuzzCountIndexes(f *testing.F) {
	for _, s := range []string{"", "0", "1,3-5,7", "3-3", "5-3", "-1", "1-2-3", "1,", "0-4,4", "9999999999999999999", " 1", "+1"} {
		f.Add(s, s, int32(10))
	}
	f.Fuzz(func(t *testing.T, a, b string, completions int32) {
		n, err := countIndexes(a, completions)
		if err == nil && (n < 0 || n > max(int(completions), 0)) {
			t.Errorf("%q has %d of %d", a, n, completions)
		}
		if at, found := overlap(a, b, completions); found && at >= int(completions) {
			t.Errorf("%q and %q have %d of %d", a, b, at, completions)
		}
		if _, found := overlap(a, a, completions); err == nil && found != (n > 0) {
			t.Errorf("%q overlaps itself: %v", a, found)
		}
	})
}

func FuzzParseSchedule(f *testing.F) {
	for _, s := range []string{"* * * * *", "TZ=0", "CRON_TZ=", "TZ=UTC * * * * *", "@every 99999999999h", "*/-1 * * * *", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if err := parseSchedule(text); err == nil && strings.TrimSpace(text) == "" {
			t.Errorf("%q is a schedule", text)
		}
	})
}
