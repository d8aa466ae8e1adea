package allocate

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// What is stored of node ports may be another server's, or damaged: it is read or refused.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"", "{}", `{"range":"30000-32767","data":"gA=="}`, `{"range":"5-1"}`, `{"range":"0-65535","data":"AAEC"}`, "k8s\x00", "k8s\x00\x0a\x02\x0a\x00\x12\x05\x12\x031-2", `{"range":"x"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o := &corev1.RangeAllocation{}
		if err := decodeRange(data, o); err != nil {
			return
		}
		base, bits, err := rangeBits(o)
		if err == nil && (bits == nil || base < 0) {
			t.Errorf("%q: %d, %v", data, base, bits)
		}
	})
}
