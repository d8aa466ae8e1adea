package twin

import (
	"fmt"
	"strings"
)

// loop is what stands between @each and @end: lines that are read once for each row.
type loop struct {
	names []string
	rows  [][]string
	lines []string
	at    []int // the numbers of lines
}

func (l *loop) take(number int, line string) error {
	row, ok := strings.CutPrefix(line, "= ")
	if !ok {
		l.lines, l.at = append(l.lines, line), append(l.at, number)
		return nil
	}
	values := strings.Split(row, " | ")
	if len(values) > len(l.names) {
		return fmt.Errorf("%d values for %d names: %q", len(values), len(l.names), line)
	}
	for i := range values {
		values[i] = strings.TrimSpace(values[i])
	}
	l.rows = append(l.rows, values)
	return nil
}

// unroll gives the lines of all rows to f, with the values in place of the names.
func (l *loop) unroll(f func(number int, line string) error) error {
	for _, row := range l.rows {
		var pairs []string
		for i, name := range l.names {
			value := "" // those that a row leaves out at its end
			if i < len(row) {
				value = row[i]
			}
			pairs = append(pairs, "${"+name+"}", value)
		}
		r := strings.NewReplacer(pairs...)
		for i, line := range l.lines {
			if err := f(l.at[i], r.Replace(line)); err != nil {
				return err
			}
		}
	}
	return nil
}
