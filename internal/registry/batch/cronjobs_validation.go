package batch

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"github.com/proa-dev/proa/internal/registry/field"
)

// maxCronJobName leaves room for the suffix of the jobs' names: a dash and the time in minutes.
const maxCronJobName = validation.DNS1035LabelMaxLength - 11

func validateCronJob(c *batchv1.CronJob) field.ErrorList {
	path, s := field.NewPath("spec"), &c.Spec
	var errs field.ErrorList
	if s.Schedule == "" {
		errs = append(errs, field.Required(path.Child("schedule"), ""))
	} else if err := parseSchedule(s.Schedule); err != nil {
		errs = append(errs, field.Invalid(path.Child("schedule"), s.Schedule, err.Error()))
	}
	errs = append(errs, nonNegative(s.StartingDeadlineSeconds, path.Child("startingDeadlineSeconds"))...)
	switch s.ConcurrencyPolicy {
	case batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent:
	default:
		errs = append(errs, field.NotSupported(path.Child("concurrencyPolicy"), s.ConcurrencyPolicy, []batchv1.ConcurrencyPolicy{
			batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent,
		}))
	}
	errs = append(errs, validateJobTemplate(&s.JobTemplate.Spec, path.Child("jobTemplate", "spec"))...)
	errs = append(errs, nonNegative(s.SuccessfulJobsHistoryLimit, path.Child("successfulJobsHistoryLimit"))...)
	return append(errs, nonNegative(s.FailedJobsHistoryLimit, path.Child("failedJobsHistoryLimit"))...)
}

// validateCronJobCreate checks what older CronJobs may break, which must stay writable: a time zone inside
// the schedule, one that the server no longer knows, a name that makes the jobs' too long.
func validateCronJobCreate(c *batchv1.CronJob) field.ErrorList {
	path := field.NewPath("spec")
	errs := refuseZone(c.Spec.Schedule, path.Child("schedule"))
	errs = append(errs, validateTimeZone(c.Spec.TimeZone, path.Child("timeZone"))...)
	if len(c.Name) > maxCronJobName {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), c.Name, fmt.Sprintf("must be no more than %d characters", maxCronJobName)))
	}
	return errs
}

func validateCronJobUpdate(new, old *batchv1.CronJob) field.ErrorList {
	path := field.NewPath("spec")
	var errs field.ErrorList
	switch {
	case !strings.Contains(old.Spec.Schedule, "TZ"):
		errs = refuseZone(new.Spec.Schedule, path.Child("schedule"))
	case strings.Contains(new.Spec.Schedule, "TZ") && new.Spec.TimeZone != nil:
		errs = append(errs, field.Invalid(path.Child("schedule"), new.Spec.Schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))
	}
	if !ptr.Equal(old.Spec.TimeZone, new.Spec.TimeZone) {
		errs = append(errs, validateTimeZone(new.Spec.TimeZone, path.Child("timeZone"))...)
	}
	return errs
}

// parseSchedule tells what is wrong with a schedule. The parser panics on some: "TZ=0".
func parseSchedule(schedule string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("invalid schedule format: %v", r)
		}
	}()
	_, err = cron.ParseStandard(schedule)
	return err
}

func refuseZone(schedule string, path *field.Path) field.ErrorList {
	if !strings.Contains(schedule, "TZ") {
		return nil
	}
	return field.ErrorList{field.Invalid(path, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")}
}

// zonePart is a component of a zone's name as https://data.iana.org/time-zones/theory.html#naming has it;
// old names have digits and plus signs too.
var zonePart = regexp.MustCompile(`^[A-Za-z._0-9+][A-Za-z.\-_0-9+]{0,13}$`)

func validateTimeZone(zone *string, path *field.Path) field.ErrorList {
	if zone == nil {
		return nil
	}
	if *zone == "" {
		return field.ErrorList{field.Invalid(path, zone, "timeZone must be nil or non-empty string")}
	}
	// The parts become a path in the zone database, which must not be left.
	for part := range strings.SplitSeq(*zone, "/") {
		if part == "." || part == ".." || !zonePart.MatchString(part) {
			return field.ErrorList{field.Invalid(path, zone, "unknown time zone "+*zone)}
		}
	}
	var errs field.ErrorList
	if strings.EqualFold(*zone, "Local") {
		errs = append(errs, field.Invalid(path, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"))
	}
	if _, err := time.LoadLocation(*zone); err != nil {
		errs = append(errs, field.Invalid(path, zone, err.Error()))
	}
	return errs
}
