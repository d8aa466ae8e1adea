package footprint

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// unmapBinary lets go of the pages of the binary's code and constants.
func unmapBinary() {
	if binary, err := os.Executable(); err == nil {
		unmapFile(binary)
	}
}

// unmapFile lets go of the pages of a file that are mapped. A mapping is left alone if it may be written, or has
// pages that differ from the file, as relocated constants do.
func unmapFile(path string) {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	var at mapping
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if m, ok := parseMapping(lines.Text()); ok {
			at = m
		}
		if at.path == path && at.unwritable && cleanPages(lines.Text()) {
			// What the kernel refuses stays where it is.
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, at.start, at.end-at.start, syscall.MADV_DONTNEED)
		}
	}
}

// mapping is a stretch of the address space.
type mapping struct {
	start, end uintptr
	unwritable bool
	path       string
}

// parseMapping reads the line of smaps that begins a mapping: addresses, permissions, offset, device, inode, path.
func parseMapping(line string) (mapping, bool) {
	parts := strings.Fields(line)
	if len(parts) < 5 || len(parts[1]) != 4 {
		return mapping{}, false
	}
	from, to, ok := strings.Cut(parts[0], "-")
	start, err := strconv.ParseUint(from, 16, 64)
	end, err2 := strconv.ParseUint(to, 16, 64)
	if !ok || err != nil || err2 != nil {
		return mapping{}, false
	}
	m := mapping{start: uintptr(start), end: uintptr(end), unwritable: parts[1] == "r-xp" || parts[1] == "r--p"}
	if len(parts) > 5 {
		m.path = strings.Join(parts[5:], " ")
	}
	return m, true
}

// cleanPages tells whether the line says that all pages of the mapping are the file's.
func cleanPages(line string) bool {
	value, ok := strings.CutPrefix(line, "Anonymous:")
	return ok && strings.TrimSpace(value) == "0 kB"
}
