package batch

import "github.com/proa-dev/proa/internal/registry"

// cronJobV2alpha1 is the first version that CronJobs had under this name. Its shape was v1beta1's.
var cronJobV2alpha1 = registry.Spoke("v2alpha1", cronJobFromBeta, cronJobToBeta).
	DeprecatedWith("batch/v2alpha1 CronJob is deprecated in v1.8+; use batch/v1 CronJob").RemovedIn("1.21")
