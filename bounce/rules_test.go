package bounce

import (
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
		if !r.Suppress {
			continue
		}
		// The texts that receivers write have no end: only what a rule has read to the end, or what nothing in it casts
		// doubt on, may suppress.
		switch r.tier() {
		case TierCode, TierHint:
			t.Errorf("%s: suppresses on the code or a hint", r.Name)
		case TierText, TierStatus:
			if len(r.None) < 30 && len(r.Only) == 0 || len(r.Statuses) == 0 && len(r.Codes) == 0 {
				t.Errorf("%s: suppresses without the doubts, or with any code", r.Name)
			}
		}
	}
	for _, c := range Categories() {
		if !categories[c] {
			t.Errorf("no rule for %s", c)
		}
	}
}
