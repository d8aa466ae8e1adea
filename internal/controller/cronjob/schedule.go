package cronjob

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
)

// parse reads the schedule of a cron job in its time zone, which is known to exist.
func parse(s *batchv1.CronJobSpec) (cron.Schedule, error) {
	text := s.Schedule
	if s.TimeZone != nil && !strings.Contains(text, "TZ") {
		text = fmt.Sprintf("TZ=%s %s", *s.TimeZone, text)
	}
	return cron.ParseStandard(text)
}

// times is where a cron job stands in its schedule.
type times struct {
	due  time.Time // the last time that has come; zero if none has
	many bool      // so many have come that something is wrong
	next time.Time
}

// errNever is about schedules such as February 31.
var errNever = errors.New("time difference between two schedules is less than 1 second")

// tooMany is how many missed times make users wonder.
const tooMany = 100

// at finds the times of a schedule around now. Times up to since, exclusively, are over and done with.
func at(s cron.Schedule, since, now time.Time) (times, error) {
	first := s.Next(since)
	if first.IsZero() {
		return times{}, errNever
	}
	if first.After(now) {
		return times{next: first}, nil
	}
	second := s.Next(first)
	period := second.Sub(first)
	if period < time.Second {
		return times{}, errNever
	}
	t := times{due: first, next: second, many: now.Sub(first)/period+1 > tooMany}
	if every, ok := s.(cron.ConstantDelaySchedule); ok {
		t.due = first.Add(now.Sub(first) / every.Delay * every.Delay)
		t.next = t.due.Add(every.Delay)
		return t, nil
	}
	// Times need not be evenly spaced, so they are sought back from now, further and further.
	for back := period; ; back *= 2 {
		from := now.Add(-back)
		if from.Before(first) {
			from = first.Add(-time.Second)
		}
		if x := s.Next(from); !x.After(now) || from.Before(first) {
			t.due, t.next = walk(s, x, now)
			return t, nil
		}
	}
}

// walk goes from a time that has come to the last that has, and the one after it, which is zero if it is not in
// the next years.
func walk(s cron.Schedule, t, now time.Time) (due, next time.Time) {
	for next = s.Next(t); !next.IsZero() && !next.After(now); next = s.Next(t) {
		t = next
	}
	return t, next
}
