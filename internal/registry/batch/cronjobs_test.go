package batch

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/randfill"

	"github.com/proa-dev/proa/internal/registry/registrytest"
)

type edit[T any] = registrytest.Edit[T]

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: "Never", Containers: []corev1.Container{
		{Name: "main", Image: "img:1", TerminationMessagePolicy: "File", ImagePullPolicy: "Always"},
	}}}
}

func cronJob() *batchv1.CronJob {
	return &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "tick", Namespace: "default"}, Spec: batchv1.CronJobSpec{
		Schedule:    "*/5 * * * *",
		JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template()}},
	}}
}

func TestCronJob(t *testing.T) {
	const zoneInSchedule = `cannot use TZ or CRON_TZ in schedule, use timeZone field instead`
	zone := func(zone string) func(*batchv1.CronJob) {
		return func(c *batchv1.CronJob) { c.Spec.TimeZone = &zone }
	}
	schedule := func(s string) func(*batchv1.CronJob) {
		return func(c *batchv1.CronJob) { c.Spec.Schedule = s }
	}
	registrytest.Create(t, CronJobs, cronJob, []edit[batchv1.CronJob]{
		{"no schedule", schedule(""), []string{"spec.schedule: Required value"}},
		{"descriptor", schedule("@hourly"), nil},
		{"interval", schedule("@every 5m"), nil},
		{"no cron", schedule("now and then"),
			[]string{`spec.schedule: Invalid value: "now and then": expected exactly 5 fields, found 3: [now and then]`}},
		{"seconds", schedule("0 0 0 * * *"),
			[]string{`spec.schedule: Invalid value: "0 0 0 * * *": expected exactly 5 fields, found 6: [0 0 0 * * *]`}},
		{"zone in the schedule", schedule("TZ=UTC 0 0 * * *"), []string{`spec.schedule: Invalid value: "TZ=UTC 0 0 * * *": ` + zoneInSchedule}},
		{"schedule that makes the parser panic", schedule("TZ=0"), []string{
			`spec.schedule: Invalid value: "TZ=0": invalid schedule format: runtime error: slice bounds out of range [:-1]`,
			`spec.schedule: Invalid value: "TZ=0": ` + zoneInSchedule,
		}},
		{"zone", zone("Europe/Berlin"), nil},
		{"fixed zone", zone("Etc/GMT+12"), nil},
		{"empty zone", zone(""), []string{`spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string`}},
		{"local zone", zone("LOCAL"), []string{
			`spec.timeZone: Invalid value: "LOCAL": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones`,
			`spec.timeZone: Invalid value: "LOCAL": unknown time zone LOCAL`,
		}},
		{"zone out of the database", zone("../etc/passwd"), []string{`spec.timeZone: Invalid value: "../etc/passwd": unknown time zone ../etc/passwd`}},
		{"zone with a space", zone(" UTC"), []string{`spec.timeZone: Invalid value: " UTC": unknown time zone  UTC`}},
		{"zone that starts with a dash", zone("Etc/-5"), []string{`spec.timeZone: Invalid value: "Etc/-5": unknown time zone Etc/-5`}},
		{"unknown zone", zone("Atlantis"), []string{`spec.timeZone: Invalid value: "Atlantis": unknown time zone Atlantis`}},
		{"concurrency", func(c *batchv1.CronJob) { c.Spec.ConcurrencyPolicy = "Maybe" },
			[]string{`spec.concurrencyPolicy: Unsupported value: "Maybe": supported values: "Allow", "Forbid", "Replace"`}},
		{"negative", func(c *batchv1.CronJob) {
			c.Spec.StartingDeadlineSeconds = ptr.To[int64](-1)
			c.Spec.SuccessfulJobsHistoryLimit, c.Spec.FailedJobsHistoryLimit = ptr.To[int32](-2), ptr.To[int32](-3)
		}, []string{
			"spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
			"spec.successfulJobsHistoryLimit: Invalid value: -2: must be greater than or equal to 0",
			"spec.failedJobsHistoryLimit: Invalid value: -3: must be greater than or equal to 0",
		}},
		{"longest name", func(c *batchv1.CronJob) { c.Name = strings.Repeat("a", 52) }, nil},
		{"long name", func(c *batchv1.CronJob) { c.Name = strings.Repeat("a", 53) },
			[]string{`metadata.name: Invalid value: "` + strings.Repeat("a", 53) + `": must be no more than 52 characters`}},
		{"selector", func(c *batchv1.CronJob) {
			c.Spec.JobTemplate.Spec.Selector = &metav1.LabelSelector{}
			c.Spec.JobTemplate.Spec.ManualSelector = ptr.To(true)
		}, []string{
			"spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated",
			`spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"`,
		}},
		{"restarts always", func(c *batchv1.CronJob) { c.Spec.JobTemplate.Spec.Template.Spec.RestartPolicy = "" },
			[]string{`spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"`}},
	}...)
	registrytest.Update(t, CronJobs, cronJob, []edit[batchv1.CronJob]{
		{"zone appears in the schedule", schedule("TZ=UTC 0 0 * * *"), []string{`spec.schedule: Invalid value: "TZ=UTC 0 0 * * *": ` + zoneInSchedule}},
		{"bad zone appears", zone("Atlantis"), []string{`spec.timeZone: Invalid value: "Atlantis": unknown time zone Atlantis`}},
	}...)
	older := func() *batchv1.CronJob {
		c := cronJob()
		c.Name = strings.Repeat("a", 60)
		c.Spec.Schedule = "CRON_TZ=UTC 0 0 * * *"
		return c
	}
	registrytest.Update(t, CronJobs, older, []edit[batchv1.CronJob]{
		{"older than the rules", func(c *batchv1.CronJob) { c.Spec.Suspend = ptr.To(true) }, nil},
		{"two zones", zone("UTC"), []string{`spec.schedule: Invalid value: "CRON_TZ=UTC 0 0 * * *": cannot use both timeZone field and TZ or CRON_TZ in schedule`}},
	}...)
	lost := func() *batchv1.CronJob {
		c := cronJob()
		zone("Atlantis")(c)
		return c
	}
	registrytest.Update(t, CronJobs, lost, []edit[batchv1.CronJob]{
		{"zone that the database lost", func(c *batchv1.CronJob) { c.Spec.Suspend = ptr.To(true) }, nil},
	}...)
}

func TestCronJobDefaultsAndColumns(t *testing.T) {
	c, typ := cronJob(), CronJobs.Erase()
	typ.Default(c)
	if c.Spec.ConcurrencyPolicy != "Allow" || *c.Spec.Suspend || *c.Spec.SuccessfulJobsHistoryLimit != 3 || *c.Spec.FailedJobsHistoryLimit != 1 ||
		c.Spec.JobTemplate.Spec.Parallelism != nil {
		t.Errorf("defaults: %+v", c.Spec)
	}
	registrytest.Columns(t, typ, c, map[string]any{
		"Schedule": "*/5 * * * *", "Timezone": "<none>", "Suspend": "False", "Active": int64(0), "Last Schedule": "<none>",
		"Containers": "main", "Images": "img:1", "Selector": "<none>",
	})
	c.Spec.TimeZone, c.Spec.Suspend, c.Status.Active = ptr.To("UTC"), ptr.To(true), make([]corev1.ObjectReference, 2)
	c.Status.LastScheduleTime = &metav1.Time{}
	registrytest.Columns(t, typ, c, map[string]any{
		"Schedule": "*/5 * * * *", "Timezone": "UTC", "Suspend": "True", "Active": int64(2), "Last Schedule": "<unknown>",
		"Containers": "main", "Images": "img:1", "Selector": "<none>",
	})
	old := c.DeepCopy()
	c.Spec.Schedule = "TZ=UTC @hourly"
	want := []string{"cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"}
	if got := typ.Warn(c, old); !slices.Equal(got, want) {
		t.Errorf("warnings %q, want %q", got, want)
	}
}

// TestCronJobVersions fills random CronJobs and takes them through each older version and back: nothing may
// be lost, and nothing may be left empty on the way that was not.
func TestCronJobVersions(t *testing.T) {
	typ := CronJobs.Erase()
	for version, warning := range map[string]string{
		"v1beta1":  "batch/v1beta1 CronJob is deprecated in v1.21+; use batch/v1 CronJob",
		"v2alpha1": "batch/v2alpha1 CronJob is deprecated in v1.8+; use batch/v1 CronJob",
	} {
		v := typ.Version(schema.GroupVersion{Group: "batch", Version: version})
		if v == nil || v.Deprecated != warning || v.IsHub {
			t.Fatalf("%s: %+v, want a deprecated version that warns %q", version, v, warning)
		}
		seed := rand.Int64()
		t.Logf("%s: seed %d", version, seed)
		fill := randfill.NewWithSeed(seed).NilChance(0.1).NumElements(1, 2).MaxDepth(12)
		for range 20 {
			hub := &batchv1.CronJob{}
			fill.Fill(&hub.Spec)
			fill.Fill(&hub.Status)
			hub.Name = "tick"
			spoke, err := v.FromHub(hub.DeepCopy())
			if err != nil {
				t.Fatal(err)
			}
			back, err := v.ToHub(spoke)
			if err != nil {
				t.Fatal(err)
			}
			if !equality.Semantic.DeepEqual(hub, back) {
				t.Fatalf("through %s\n got %+v\nwant %+v", version, back, hub)
			}
		}
	}
}
