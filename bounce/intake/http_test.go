package intake_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/intake"
)

func TestHTTP(t *testing.T) {
	c, s := tokens(t), &sink{}
	in := newIntake(t, intake.Config{Sink: s, Tokens: c})
	to, err := c.AddressAt(time.Now(), "m1/1", "bounces.example.org")
	if err != nil {
		t.Fatal(err)
	}
	do := func(method, target, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		in.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
		return w
	}
	data := string(notice("anna@example.com", "5.1.1", "550 5.1.1 user unknown"))
	w := do(http.MethodPost, "/?from=&to="+to, data)
	var r bounce.Report
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || w.Code != http.StatusOK || r.Delivery != "m1/1" || r.Kind != bounce.KindBounce {
		t.Errorf("%d, %+v, %v", w.Code, r, err)
	}
	for name, tt := range map[string]struct {
		method, body string
		want         int
	}{
		"GET":       {http.MethodGet, "", http.StatusMethodNotAllowed},
		"empty":     {http.MethodPost, "", http.StatusBadRequest},
		"too large": {http.MethodPut, strings.Repeat("a", 10<<20+1), http.StatusRequestEntityTooLarge},
		"again":     {http.MethodPost, data, http.StatusOK},
	} {
		if w := do(tt.method, "/?to="+to, tt.body); w.Code != tt.want {
			t.Errorf("%s: %d, want %d", name, w.Code, tt.want)
		}
	}
	if len(s.all()) != 1 {
		t.Errorf("told %d times", len(s.all()))
	}
	s.fail(errors.New("store is away"))
	if w := do(http.MethodPost, "/", string(complaint("f@x.example"))); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "store") {
		t.Errorf("a sink that is away: %d, %s", w.Code, w.Body)
	}
}
