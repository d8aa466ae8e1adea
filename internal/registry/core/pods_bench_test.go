package core

import "testing"

func BenchmarkPod(b *testing.B) {
	for _, bb := range []struct{ name, spec string }{
		{"small", "volumes: [{name: v, emptyDir: {}}]"},
		{"full", fullPod},
	} {
		p := podOf(b, bb.spec)
		b.Run(bb.name+"/default", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				defaultPod(p)
			}
		})
		b.Run(bb.name+"/validate", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				validatePod(p)
			}
		})
		b.Run(bb.name+"/columns", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				podCells(p)
			}
		})
	}
}
