package job

import (
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// indexes is a set of completion indexes: spans in order that neither overlap nor touch. It is written as
// "0,2-5,7,8".
type indexes []span

type span struct{ first, last int }

// parseIndexes reads those below a limit. What makes no sense is left out.
func parseIndexes(text string, below int) (x indexes) {
	for part := range strings.SplitSeq(text, ",") {
		from, to, isSpan := strings.Cut(part, "-")
		first, err := strconv.Atoi(from)
		if err != nil || first >= below {
			continue
		}
		last := first
		if isSpan {
			if last, err = strconv.Atoi(to); err != nil || last < first {
				continue
			}
		}
		x = x.union(indexes{{first, min(last, below-1)}})
	}
	return x
}

func (x indexes) String() string {
	var b strings.Builder
	for n, s := range x {
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(s.first))
		switch {
		case s.last == s.first+1:
			b.WriteString("," + strconv.Itoa(s.last))
		case s.last > s.first:
			b.WriteString("-" + strconv.Itoa(s.last))
		}
	}
	return b.String()
}

func (x indexes) len() (n int) {
	for _, s := range x {
		n += s.last - s.first + 1
	}
	return n
}

func (x indexes) has(n int) bool {
	_, found := slices.BinarySearchFunc(x, n, func(s span, n int) int {
		switch {
		case s.last < n:
			return -1
		case s.first > n:
			return 1
		}
		return 0
	})
	return found
}

func (x indexes) with(all ...int) indexes {
	slices.Sort(all)
	spans := make(indexes, 0, len(all))
	for _, n := range all {
		spans = append(spans, span{n, n})
	}
	return x.union(spans)
}

// union takes spans in order, which may touch.
func (x indexes) union(y indexes) (all indexes) {
	for len(x)+len(y) > 0 {
		if len(x) == 0 || len(y) > 0 && y[0].first < x[0].first {
			x, y = y, x
		}
		next := x[0]
		x = x[1:]
		if n := len(all) - 1; n >= 0 && next.first <= all[n].last+1 {
			all[n].last = max(all[n].last, next.last)
			continue
		}
		all = append(all, next)
	}
	return all
}

// common is how many are in both.
func (x indexes) common(y indexes) (n int) {
	for len(x) > 0 && len(y) > 0 {
		if both := min(x[0].last, y[0].last) - max(x[0].first, y[0].first) + 1; both > 0 {
			n += both
		}
		if x[0].last < y[0].last {
			x = x[1:]
		} else {
			y = y[1:]
		}
	}
	return n
}

// firstMissing is the first n below a limit that are not in the set.
func (x indexes) firstMissing(n, below int) (free []int) {
	next := 0
	for _, s := range append(slices.Clone(x), span{below, below}) {
		for ; next < min(s.first, below) && len(free) < n; next++ {
			free = append(free, next)
		}
		next = max(next, s.last+1)
	}
	return free
}

const noIndex = -1

// indexOf is a pod's completion index, or noIndex.
func indexOf(p *corev1.Pod) int {
	n, err := strconv.Atoi(p.Annotations[batchv1.JobCompletionIndexAnnotation])
	if err != nil || n < 0 {
		return noIndex
	}
	return n
}

func indexesOf(all []*corev1.Pod) indexes {
	var found []int
	for _, p := range all {
		if n := indexOf(p); n != noIndex {
			found = append(found, n)
		}
	}
	return indexes(nil).with(found...)
}
