package apiserver

import (
	"context"
	"errors"
	"net/http"
	"testing"
)

func TestComponentStatuses(t *testing.T) {
	w := newWorld(t, func(s *setting) {
		s.Components = map[string]func(context.Context) error{
			"scheduler":          func(context.Context) error { return nil },
			"controller-manager": func(context.Context) error { return errors.New("asleep") },
		}
	})
	const path = "/api/v1/componentstatuses"
	r := w.must("GET", path, "", "Accept: application/json;as=Table;v=v1;g=meta.k8s.io")
	for i, want := range [][]string{
		{"controller-manager", "Unhealthy", "asleep", ""}, {"etcd-0", "Healthy", "ok", ""}, {"scheduler", "Healthy", "ok", ""},
	} {
		for n, cell := range want {
			if got := lookUp(r.tree(t), ".rows").([]any)[i].(map[string]any)["cells"].([]any)[n]; got != cell {
				t.Errorf("row %d: %v, want %q", i, got, cell)
			}
		}
	}
	if got := r.header.Get("Warning"); got != `299 - "v1 ComponentStatus is deprecated in v1.19+"` {
		t.Errorf("warning %q", got)
	}
	r = w.must("GET", path+"/scheduler", "")
	if r.at(t, ".kind") != "ComponentStatus" || r.at(t, ".metadata.resourceVersion") != nil {
		t.Errorf("%s", r.body)
	}
	if r := w.must("GET", path+"?fieldSelector=metadata.name%3Detcd-0", ""); len(r.at(t, ".items").([]any)) != 1 {
		t.Errorf("by name: %s", r.body)
	}
	if r := w.must("GET", path+"?labelSelector=a", ""); len(r.at(t, ".items").([]any)) != 0 {
		t.Errorf("by label: %s", r.body)
	}
	for _, c := range []struct {
		method, path string
		code         int
	}{
		{"GET", path + "/none", http.StatusNotFound},
		{"GET", path + "?watch=1", http.StatusMethodNotAllowed},
		{"DELETE", path + "/scheduler", http.StatusMethodNotAllowed},
		{"POST", path, http.StatusMethodNotAllowed},
	} {
		if r := w.do(c.method, c.path, ""); r.code != c.code {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.code, r.body)
		}
	}
}
