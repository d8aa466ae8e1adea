package footprint

import (
	"bytes"
	"os"
	"strconv"
	"testing"
)

func TestParseMapping(t *testing.T) {
	for line, want := range map[string]mapping{
		"00400000-02d3a000 r-xp 00000000 fe:01 1234 /opt/my proa":                  {0x400000, 0x2d3a000, true, "/opt/my proa"},
		"02d3a000-05f00000 r--p 0293a000 fe:01 1234                     /opt/proa": {0x2d3a000, 0x5f00000, true, "/opt/proa"},
		"05f00000-06000000 rw-p 05b00000 fe:01 1234 /opt/proa":                     {0x5f00000, 0x6000000, false, "/opt/proa"},
		"c000000000-c004000000 rw-p 00000000 00:00 0":                              {0xc000000000, 0xc004000000, false, ""},
	} {
		if got, ok := parseMapping(line); !ok || got != want {
			t.Errorf("%s: %+v, %v", line, got, ok)
		}
	}
	for _, line := range []string{"Anonymous:             0 kB", "VmFlags: rd ex mr mw me", "THPeligible:    0", ""} {
		if got, ok := parseMapping(line); ok {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestOnlyCleanPages(t *testing.T) {
	for line, want := range map[string]bool{
		"Anonymous:             0 kB": true, "Anonymous:             4 kB": false,
		"AnonHugePages:         0 kB": false, "Rss:                   0 kB": false,
	} {
		if cleanPages(line) != want {
			t.Error(line)
		}
	}
}

// The test runs on in the pages that it takes from itself.
func TestUnmapBinary(t *testing.T) {
	before := filePages(t)
	unmapBinary()
	if after := filePages(t); after > before*3/4 {
		t.Errorf("%d kB of files resident before, %d kB after", before, after)
	}
}

func filePages(t *testing.T) int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("RssFile:"))
	kB, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
	if err != nil {
		t.Fatal(err)
	}
	return kB
}
