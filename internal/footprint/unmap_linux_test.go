package footprint

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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

func TestUnmapFile(t *testing.T) {
	const size = 8 << 20
	path := filepath.Join(t.TempDir(), "mapped file")
	if err := os.WriteFile(path, bytes.Repeat([]byte{7}, size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(data)
	for got, tries := 0, 0; got != size; tries++ { // a machine that is short of memory may take pages away
		if n := bytes.Count(data, []byte{7}); n != size { // reads every page
			t.Fatalf("%d bytes of the file are there", n)
		}
		if got = resident(t, path); got != size && tries == 100 {
			t.Fatalf("%d bytes are resident of a file that was read", got)
		}
	}
	unmapFile(path)
	if got := resident(t, path); got != 0 {
		t.Errorf("%d bytes are resident of a file that was let go", got)
	}
	if data[size-1] != 7 {
		t.Error("the file is not there any more")
	}
}

// The test runs on in the pages that it takes from itself, or the process ends here.
func TestUnmapBinary(t *testing.T) { unmapBinary() }

// resident is how many bytes of a mapped file are in memory.
func resident(t *testing.T, path string) int {
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	_, mapped, ok := strings.Cut(string(smaps), path+"\n")
	if !ok {
		t.Fatalf("%s is not mapped", path)
	}
	_, rss, _ := strings.Cut(mapped, "\nRss:")
	kB, err := strconv.Atoi(strings.Fields(rss)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kB << 10
}
