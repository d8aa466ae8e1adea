package audit

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"
)

func TestID(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	first, second := ID(r), ID(r)
	if _, err := uuid.Parse(first); err != nil || first == second {
		t.Errorf("%s %s: %v", first, second, err)
	}
	r.Header.Set("audit-id", "mine")
	if id := ID(r); id != "mine" {
		t.Error(id)
	}
}

func TestEcho(t *testing.T) {
	h := http.Header{}
	Echo(h, "a")
	Echo(h, "b")
	if got := h.Values(Header); len(got) != 1 || got[0] != "a" {
		t.Error(got)
	}
}
