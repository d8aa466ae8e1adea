// Package batch defines work that ends: Jobs, and CronJobs that start them on a schedule.
package batch
