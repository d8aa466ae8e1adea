package cronjob

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/utils/ptr"
)

func spec(schedule, zone string) *batchv1.CronJobSpec {
	s := &batchv1.CronJobSpec{Schedule: schedule}
	if zone != "" {
		s.TimeZone = ptr.To(zone)
	}
	return s
}

// The oracle goes from time to time, however long that takes.
func TestTimesAgreeWithPlainWalk(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	schedules := []string{
		"* * * * *", "*/7 * * * *", "30 2 * * *", "0 0 * * 0", "30 6-16/4 * * 1-5", "0 12 1 */2 *", "59 23 31 12 *",
		"@hourly", "@every 90s", "@every 1h30m", "15,45 1,2,3 * * *", "0 0 29 2 *", "* 3 * * 1-5",
	}
	// Not Lord Howe: what the library says there depends on where one comes from, see TestClockChanges.
	zones := []string{"", "UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Asia/Kathmandu",
		"America/St_Johns", "Africa/Casablanca", "Pacific/Kiritimati", "America/Sao_Paulo", "Asia/Tehran"}
	base := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 500 {
		s := spec(schedules[random.IntN(len(schedules))], zones[random.IntN(len(zones))])
		x, err := parse(s)
		if err != nil {
			t.Fatal(err)
		}
		since := base.Add(time.Duration(random.Int64N(int64(3 * 365 * 24 * time.Hour)))).Truncate(time.Second)
		span := []time.Duration{time.Hour, 24 * time.Hour, 5 * 24 * time.Hour}[random.IntN(3)]
		if random.IntN(3) == 0 && x.Next(x.Next(since)).Sub(x.Next(since)) > time.Hour {
			span = 6 * 365 * 24 * time.Hour
		}
		now := since.Add(time.Duration(random.Int64N(int64(span))))
		var want times
		for want.next = x.Next(since); !want.next.After(now); want.next = x.Next(want.next) {
			want.due = want.next
		}
		got, err := at(x, since, now)
		if err != nil || !got.due.Equal(want.due) || !got.next.Equal(want.next) {
			t.Fatalf("%q in %v, since %s, at %s: due %s, next %s (%v), want %s and %s", s.Schedule, ptr.Deref(s.TimeZone, "-"), since, now, got.due, got.next, err, want.due, want.next)
		}
	}
}

func TestClockChanges(t *testing.T) {
	for _, c := range []struct {
		schedule, zone, since string
		want                  [4]string // in UTC
	}{
		// 2026-03-29 02:00 to 03:00 does not exist in Berlin, 2026-10-25 02:00 to 03:00 is there twice.
		{"30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", [4]string{"2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z", "2026-04-01T00:30:00Z"}},
		{"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", [4]string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"}},
		{"0 * * * *", "Europe/Berlin", "2026-03-28T23:30:00Z", [4]string{"2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z", "2026-03-29T03:00:00Z"}},
		// Half an hour only, in Lord Howe. The library, and so Kubernetes, leaves out the day when it comes back.
		{"0 12 * * *", "Australia/Lord_Howe", "2026-04-03T12:00:00Z", [4]string{"2026-04-04T01:00:00Z", "2026-04-06T01:30:00Z", "2026-04-07T01:30:00Z", "2026-04-08T01:30:00Z"}},
		{"0 9 * * *", "America/New_York", "2026-03-07T00:00:00Z", [4]string{"2026-03-07T14:00:00Z", "2026-03-08T13:00:00Z", "2026-03-09T13:00:00Z", "2026-03-10T13:00:00Z"}},
		{"0 9 * * *", "Asia/Kathmandu", "2026-03-07T00:00:00Z", [4]string{"2026-03-07T03:15:00Z", "2026-03-08T03:15:00Z", "2026-03-09T03:15:00Z", "2026-03-10T03:15:00Z"}},
	} {
		s, err := parse(spec(c.schedule, c.zone))
		if err != nil {
			t.Fatal(err)
		}
		now, _ := time.Parse(time.RFC3339, c.since)
		for n, want := range c.want {
			x, err := at(s, now, now)
			if got := x.next.UTC().Format(time.RFC3339); err != nil || got != want {
				t.Errorf("%q in %s, %d: %s, want %s", c.schedule, c.zone, n, got, want)
			}
			now = x.next
		}
	}
}

func TestMany(t *testing.T) {
	x, _ := parse(spec("* * * * *", ""))
	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for minutes, want := range map[int]bool{0: false, 1: false, 99: false, 100: false, 101: true, 1e6: true} {
		got, err := at(x, since, since.Add(time.Duration(minutes)*time.Minute))
		if err != nil || got.many != want {
			t.Errorf("%d missed: many is %v (%v)", minutes, got.many, err)
		}
	}
}

func TestNever(t *testing.T) {
	x, err := parse(spec("59 23 31 2 *", ""))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := at(x, now.Add(-time.Hour), now); fmt.Sprint(err) != "time difference between two schedules is less than 1 second" {
		t.Error(err)
	}
}

func FuzzSchedule(f *testing.F) {
	for _, s := range []string{"* * * * *", "*/7 3-5 1,15 * 1-5", "@hourly", "@every 1s", "@every -1s", "0 0 31 2 *", "0 0 29 2 *", "61 * * * *", "*/0 * * * *", "@", ""} {
		f.Add(s, int64(0), int64(90))
	}
	begin := time.Date(2024, 2, 28, 23, 59, 30, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string, from, passed int64) {
		if strings.Contains(text, "TZ") {
			return // is refused, for it is not in the schedule that a time zone is told
		}
		s, err := parse(spec(text, ""))
		if err != nil {
			return
		}
		since := begin.Add(time.Duration(from%1_000_000) * time.Second)
		now := since.Add(time.Duration(max(passed, -passed)%100_000) * time.Second)
		got, err := at(s, since, now)
		if err != nil {
			return
		}
		if !got.next.After(now) || got.due.After(now) || !got.due.IsZero() && !got.due.After(since) {
			t.Errorf("%q since %v at %v: due %v, next %v", text, since, now, got.due, got.next)
		}
	})
}
