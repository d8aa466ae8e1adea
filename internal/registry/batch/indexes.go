package batch

import (
	"fmt"
	"strconv"
	"strings"
)

// Indexes of an Indexed Job are written as increasing numbers and intervals: "1,3-5,7".

// interval is a run of indexes, both ends included.
type interval struct{ first, last int }

// parseInterval reads "3" or "3-5" with indexes below completions.
func parseInterval(text string, completions int32) (interval, error) {
	ends := strings.Split(text, "-")
	if len(ends) > 2 {
		return interval{}, fmt.Errorf("the fragment %q violates the requirement that an index interval can have at most two parts separated by '-'", text)
	}
	first, err := parseIndex(ends[0], completions)
	if err != nil || len(ends) == 1 {
		return interval{first, first}, err
	}
	last, err := parseIndex(ends[1], completions)
	if err != nil {
		return interval{}, err
	}
	if first >= last {
		return interval{}, fmt.Errorf("non-increasing order, previous: %d, current: %d", first, last)
	}
	return interval{first, last}, nil
}

func parseIndex(text string, completions int32) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("cannot convert string to integer for index: %q", text)
	}
	if n >= int(completions) {
		return 0, fmt.Errorf("too large index: %q", text)
	}
	return n, nil
}

// countIndexes checks the whole text and tells how many indexes it has.
func countIndexes(text string, completions int32) (int, error) {
	if text == "" {
		return 0, nil
	}
	total, previous := 0, -1
	for part := range strings.SplitSeq(text, ",") {
		i, err := parseInterval(part, completions)
		if err != nil {
			return 0, err
		}
		if i.first <= previous {
			return 0, fmt.Errorf("non-increasing order, previous: %d, current: %d", previous, i.first)
		}
		total += i.last - i.first + 1
		previous = i.last
	}
	return total, nil
}

// overlap finds an index that both texts have. Parts that do not parse are passed over: countIndexes
// reports them.
func overlap(a, b string, completions int32) (index int, found bool) {
	as, bs := parsedIntervals(a, completions), parsedIntervals(b, completions)
	for len(as) > 0 && len(bs) > 0 {
		x, y := as[0], bs[0]
		if x.first <= y.last && y.first <= x.last {
			return max(x.first, y.first), true
		}
		if x.first < y.first {
			as = as[1:]
		} else {
			bs = bs[1:]
		}
	}
	return 0, false
}

func parsedIntervals(text string, completions int32) []interval {
	var all []interval
	for part := range strings.SplitSeq(text, ",") {
		if i, err := parseInterval(part, completions); err == nil {
			all = append(all, i)
		}
	}
	return all
}
