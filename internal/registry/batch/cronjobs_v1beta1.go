package batch

import (
	batchv1 "k8s.io/api/batch/v1"
	batchv1beta1 "k8s.io/api/batch/v1beta1"

	"github.com/proa-dev/proa/internal/registry"
)

// cronJobV1beta1 is the version before v1. It has the same fields.
var cronJobV1beta1 = registry.Spoke("v1beta1", cronJobFromBeta, cronJobToBeta).
	DeprecatedWith("batch/v1beta1 CronJob is deprecated in v1.21+; use batch/v1 CronJob").RemovedIn("1.25")

func cronJobFromBeta(c *batchv1beta1.CronJob) (*batchv1.CronJob, error) {
	return &batchv1.CronJob{
		ObjectMeta: c.ObjectMeta,
		Spec: batchv1.CronJobSpec{
			Schedule:                   c.Spec.Schedule,
			TimeZone:                   c.Spec.TimeZone,
			StartingDeadlineSeconds:    c.Spec.StartingDeadlineSeconds,
			ConcurrencyPolicy:          batchv1.ConcurrencyPolicy(c.Spec.ConcurrencyPolicy),
			Suspend:                    c.Spec.Suspend,
			JobTemplate:                batchv1.JobTemplateSpec(c.Spec.JobTemplate),
			SuccessfulJobsHistoryLimit: c.Spec.SuccessfulJobsHistoryLimit,
			FailedJobsHistoryLimit:     c.Spec.FailedJobsHistoryLimit,
		},
		Status: batchv1.CronJobStatus(c.Status),
	}, nil
}

func cronJobToBeta(c *batchv1.CronJob) (*batchv1beta1.CronJob, error) {
	return &batchv1beta1.CronJob{
		ObjectMeta: c.ObjectMeta,
		Spec: batchv1beta1.CronJobSpec{
			Schedule:                   c.Spec.Schedule,
			TimeZone:                   c.Spec.TimeZone,
			StartingDeadlineSeconds:    c.Spec.StartingDeadlineSeconds,
			ConcurrencyPolicy:          batchv1beta1.ConcurrencyPolicy(c.Spec.ConcurrencyPolicy),
			Suspend:                    c.Spec.Suspend,
			JobTemplate:                batchv1beta1.JobTemplateSpec(c.Spec.JobTemplate),
			SuccessfulJobsHistoryLimit: c.Spec.SuccessfulJobsHistoryLimit,
			FailedJobsHistoryLimit:     c.Spec.FailedJobsHistoryLimit,
		},
		Status: batchv1beta1.CronJobStatus(c.Status),
	}, nil
}
