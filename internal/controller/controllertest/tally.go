package controllertest

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Counted sees that the controllers have counted this, by names and values of labels; of histograms it is how many
// values they have.
func (b *Bench) Counted(t *testing.T, want map[string]float64) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(b.Deps.Tally)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s is %v, want %v; there are %v", name, got[name], v, got)
		}
	}
}
