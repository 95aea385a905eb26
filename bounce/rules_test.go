package bounce

import (
	"slices"
	"strings"
	"testing"
)

// newBuiltin is a Classifier of the built-in rules.
func newBuiltin(t testing.TB) *Classifier {
	t.Helper()
	c, err := NewClassifier(Config{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Each rule wins its own evidence and none of what it must avoid: a rule that cannot match or is shadowed fails here.
func TestRulesHoldAgainstTheirEvidence(t *testing.T) {
	if err := newBuiltin(t).Verify(); err != nil {
		t.Error(err)
	}
}

func TestRulesAreComplete(t *testing.T) {
	providers := []string{"google", "yahoo", "outlook", "office365", "apple", "docomo", "au", "softbank", "comcast", "mimecast",
		"orange", "gmx", "qq", "netease", "yahoo-jp", "barracuda", "cox"}
	names := map[string]bool{}
	categories := map[Category]bool{Other: true}
	for _, r := range newBuiltin(t).Rules() {
		if names[r.Name] {
			t.Errorf("%s: the name is there twice", r.Name)
		}
		names[r.Name] = true
		categories[r.Category] = true
		if len(r.Match) == 0 || len(r.Avoid) == 0 {
			t.Errorf("%s: %d replies to match, %d to avoid: both are needed", r.Name, len(r.Match), len(r.Avoid))
		}
		if r.Remedy == "" || !strings.HasSuffix(r.Remedy, ".") || r.Source == "" {
			t.Errorf("%s: remedy %q, source %q", r.Name, r.Remedy, r.Source)
		}
		for _, p := range r.Providers {
			if !slices.Contains(providers, p) {
				t.Errorf("%s: unknown provider %q", r.Name, p)
			}
		}
		if r.tier() == TierCode && r.Suppress {
			t.Errorf("%s: suppresses on the code alone", r.Name)
		}
	}
	for _, c := range Categories() {
		if !categories[c] {
			t.Errorf("no rule for %s", c)
		}
	}
}
