package admission

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// picky refuses writes of a name, in one half of admission.
type picky struct{}

func (picky) Name() string                                                { return "Picky" }
func (picky) Handles(op Operation, _ schema.GroupResource, _ string) bool { return op == Create }
func (picky) Mutate(_ context.Context, r *Request) error {
	if r.Name == "bad" {
		return errors.New("no")
	}
	return nil
}

func TestTimedChainTellsWhatRan(t *testing.T) {
	timed := NewTimed(Chain{picky{}})
	for _, name := range []string{"good", "good", "bad"} {
		r := &Request{Operation: Create, Name: name}
		if err := timed.Mutate(t.Context(), r); (err != nil) != (name == "bad") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "good" {
			if err := timed.Validate(t.Context(), r); err != nil {
				t.Error(err)
			}
		}
	}
	if err := timed.Mutate(t.Context(), &Request{Operation: Delete}); err != nil {
		t.Error(err)
	}
	text := shown(timed)
	for _, want := range []string{
		`apiserver_admission_controller_admission_duration_seconds_count{name="Picky",operation="CREATE",rejected="false",type="admit"} 2`,
		`apiserver_admission_controller_admission_duration_seconds_count{name="Picky",operation="CREATE",rejected="true",type="admit"} 1`,
		`apiserver_admission_step_admission_duration_seconds_count{operation="CREATE",rejected="true",type="admit"} 1`,
		`apiserver_admission_step_admission_duration_seconds_count{operation="CREATE",rejected="false",type="validate"} 2`,
		`apiserver_admission_step_admission_duration_seconds_count{operation="DELETE",rejected="false",type="admit"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("metrics lack %s in\n%s", want, text)
		}
	}
	for _, not := range []string{`name="Picky",operation="DELETE"`, `name="Picky",operation="CREATE",rejected="false",type="validate"`} {
		if strings.Contains(text, not) {
			t.Errorf("metrics have %s, which did not run", not)
		}
	}
	timed.Reset()
	if text := shown(timed); text != "" {
		t.Errorf("after a reset:\n%s", text)
	}
}

// shown is what a reader of metrics gets.
func shown(c prometheus.Collector) string {
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestTimingAllocatesNothing(t *testing.T) {
	timed := NewTimed(Chain{picky{}})
	r := &Request{Operation: Create}
	if n := testing.AllocsPerRun(100, func() {
		if err := timed.Mutate(t.Context(), r); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations a write", n)
	}
}
