package cache

import (
	"strings"
	"testing"
	"unsafe"
)

func TestFieldsByPosition(t *testing.T) {
	for _, values := range [][]string{
		nil, {""}, {"a"}, {"", "b", ""}, {"node-1", "", "Running"}, {strings.Repeat("x", 127), strings.Repeat("y", 128), strings.Repeat("z", 20000)},
	} {
		f := MakeFields(values...)
		for n, want := range values {
			if got := f.At(n); got != want {
				t.Errorf("%.20q: at %d is %.20q", values, n, got)
			}
		}
		if got := f.At(len(values)); got != "" {
			t.Errorf("%.20q: beyond the end is %.20q", values, got)
		}
	}
}

func TestAnItemsTextIsOneString(t *testing.T) {
	i := &Item{
		Key: "test/web", UID: "u-1", Labels: MakeLabels(map[string]string{"app": "web"}), Fields: MakeFields("node-1", ""),
	}
	want := [...]string{i.Key, i.UID, i.Labels.packed, i.Fields.packed}
	i.pack()
	at := uintptr(unsafe.Pointer(unsafe.StringData(i.Key)))
	for n, part := range [...]string{i.Key, i.UID, i.Labels.packed, i.Fields.packed} {
		if part != want[n] {
			t.Errorf("part %d was %q and is %q", n, want[n], part)
		}
		if start := uintptr(unsafe.Pointer(unsafe.StringData(part))); start != at {
			t.Errorf("part %d, %q, does not follow the one before it", n, part)
		}
		at += uintptr(len(part))
	}
	empty := &Item{}
	if empty.pack(); empty.Key+empty.UID+empty.Labels.packed+empty.Fields.packed != "" {
		t.Errorf("%+v", empty)
	}
}
