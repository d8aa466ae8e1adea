package report

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// Machine is what the figures were taken on.
type Machine struct {
	CPU    string
	Cores  int
	Memory int64 // bytes
	Kernel string
	Go     string // that built the load generator
	Date   string
	Peers  string // versions
	Rounds int
}

// ThisMachine describes the one that this runs on.
func ThisMachine() Machine {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	var kilobytes int64
	fmt.Sscanf(lineOf("/proc/meminfo", "MemTotal"), "%d kB", &kilobytes)
	return Machine{
		CPU: lineOf("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Memory: kilobytes << 10,
		Kernel: strings.TrimSpace(string(release)), Go: runtime.Version(), Date: time.Now().UTC().Format(time.DateOnly),
	}
}

// lineOf is the value of the first line of a file that has a name, a colon and a value.
func lineOf(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %d GB, Linux %s, %s, %d rounds, %s", m.CPU, m.Cores, (m.Memory+1<<29)>>30, m.Kernel, m.Go, m.Rounds, m.Date)
}
