package twin

import "strings"

// around is how many equal lines are shown around those that differ.
const around = 2

// diff shows two texts as the edits between them.
func diff(want, got []string) string {
	lines := edits(want, got)
	near := make([]bool, len(lines))
	for i, l := range lines {
		if l[0] == ' ' {
			continue
		}
		for j := max(0, i-around); j <= min(len(lines)-1, i+around); j++ {
			near[j] = true
		}
	}
	var b strings.Builder
	for i, l := range lines {
		if near[i] {
			b.WriteString(l + "\n")
		} else if i == 0 || near[i-1] {
			b.WriteString("  ...\n")
		}
	}
	return b.String()
}

// edits marks each line as common, of want alone, or of got alone, by their longest common subsequence.
func edits(want, got []string) []string {
	length := make([][]int, len(want)+1)
	for i := range length {
		length[i] = make([]int, len(got)+1)
	}
	for i := len(want) - 1; i >= 0; i-- {
		for j := len(got) - 1; j >= 0; j-- {
			if want[i] == got[j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(want) || j < len(got) {
		switch {
		case i < len(want) && j < len(got) && want[i] == got[j]:
			out, i, j = append(out, "  "+want[i]), i+1, j+1
		case j == len(got) || i < len(want) && length[i+1][j] >= length[i][j+1]:
			out, i = append(out, "- "+want[i]), i+1
		default:
			out, j = append(out, "+ "+got[j]), j+1
		}
	}
	return out
}
