package batch

import (
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// CronJobs run Jobs on a schedule.
var CronJobs = registry.Resource[batchv1.CronJob]{
	Group: "batch", Kind: "CronJob", Name: "cronjobs", Short: []string{"cj"}, Categories: []string{"all"},
	Namespaced:     true,
	Versions:       []registry.Version[batchv1.CronJob]{registry.Hub[batchv1.CronJob]("v1"), cronJobV1beta1, cronJobV2alpha1},
	Default:        defaultCronJob,
	Validate:       validateCronJob,
	ValidateCreate: validateCronJobCreate,
	ValidateUpdate: validateCronJobUpdate,
	Warn:           warnCronJob,
	Status:         func(c *batchv1.CronJob) any { return &c.Status },
	Spec:           func(c *batchv1.CronJob) any { return &c.Spec },
	Columns: []registry.Column[batchv1.CronJob]{
		{
			Name: "Schedule", Description: batchv1.CronJobSpec{}.SwaggerDoc()["schedule"],
			Value: func(c *batchv1.CronJob) any { return c.Spec.Schedule },
		},
		{
			Name: "Timezone", Description: batchv1.CronJobSpec{}.SwaggerDoc()["timeZone"],
			Value: func(c *batchv1.CronJob) any {
				if c.Spec.TimeZone == nil {
					return "<none>"
				}
				return *c.Spec.TimeZone
			},
		},
		{
			Name: "Suspend", Type: "boolean", Description: batchv1.CronJobSpec{}.SwaggerDoc()["suspend"],
			Value: func(c *batchv1.CronJob) any {
				if *c.Spec.Suspend {
					return "True"
				}
				return "False"
			},
		},
		{
			Name: "Active", Type: "integer", Description: batchv1.CronJobStatus{}.SwaggerDoc()["active"],
			Value: func(c *batchv1.CronJob) any { return int64(len(c.Status.Active)) },
		},
		{
			Name: "Last Schedule", Description: batchv1.CronJobStatus{}.SwaggerDoc()["lastScheduleTime"],
			Value: func(c *batchv1.CronJob) any {
				if c.Status.LastScheduleTime == nil {
					return "<none>"
				}
				return registry.Since(*c.Status.LastScheduleTime)
			},
		},
		registry.Age[batchv1.CronJob](),
		registry.Containers(cronJobTemplate),
		registry.Images(cronJobTemplate),
		{
			Name: "Selector", Description: batchv1.JobSpec{}.SwaggerDoc()["selector"], Wide: true,
			Value: func(c *batchv1.CronJob) any { return metav1.FormatLabelSelector(c.Spec.JobTemplate.Spec.Selector) },
		},
	},
}

func cronJobTemplate(c *batchv1.CronJob) *corev1.PodTemplateSpec {
	return &c.Spec.JobTemplate.Spec.Template
}

func defaultCronJob(c *batchv1.CronJob) {
	if c.Spec.ConcurrencyPolicy == "" {
		c.Spec.ConcurrencyPolicy = batchv1.AllowConcurrent
	}
	setDefault(&c.Spec.Suspend, false)
	setDefault(&c.Spec.SuccessfulJobsHistoryLimit, 3)
	setDefault(&c.Spec.FailedJobsHistoryLimit, 1)
	// The rest of the job's spec is defaulted when it becomes a Job.
	defaultTemplates(&c.Spec.JobTemplate.Spec)
}

func warnCronJob(new, old *batchv1.CronJob) []string {
	path := field.NewPath("spec", "jobTemplate", "spec")
	if old == nil {
		return append(registry.PodNameWarnings(new.Name), warnJobSpec(&new.Spec.JobTemplate.Spec, path)...)
	}
	var warnings []string
	if new.Generation != old.Generation {
		warnings = warnJobSpec(&new.Spec.JobTemplate.Spec, path)
	}
	if strings.Contains(new.Spec.Schedule, "TZ") {
		warnings = append(warnings, "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details")
	}
	return warnings
}
