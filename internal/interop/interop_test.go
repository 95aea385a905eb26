package interop

import (
	"fmt"
	"strings"
	"testing"
)

// recorder notes what Need did.
type recorder struct {
	testing.TB
	did string
}

func (r *recorder) Helper()                      {}
func (r *recorder) Fatalf(f string, args ...any) { r.did = "fail: " + fmt.Sprintf(f, args...) }
func (r *recorder) Skipf(f string, args ...any)  { r.did = "skip: " + fmt.Sprintf(f, args...) }

func TestNeed(t *testing.T) {
	for _, test := range []struct {
		env  string
		ok   bool
		want string
	}{
		{"", true, ""},
		{"require", true, ""},
		{"", false, "skip: a thing is missing"},
		{"yes", false, "skip: a thing is missing"},
		{"require", false, "fail: a thing is missing"},
	} {
		t.Setenv(Variable, test.env)
		r := &recorder{TB: t}
		Need(r, "a thing", test.ok)
		if !strings.HasPrefix(r.did, test.want) || test.want == "" && r.did != "" {
			t.Errorf("%+v: %q", test, r.did)
		}
	}
}
