package docstest

import (
	"testing"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/throttle"
)

// TestRulesProviders: the providers that rules are limited to are those of the table that names a receiver's provider. A
// rule with another name could never match. It stands here since neither package may import the other.
func TestRulesProviders(t *testing.T) {
	table, err := throttle.NewTable(throttle.TableConfig{})
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, p := range table.Providers() {
		known[p.Name] = true
	}
	classifier, err := bounce.NewClassifier(bounce.Config{})
	if err != nil {
		t.Fatal(err)
	}
	limited := 0
	for _, r := range classifier.Rules() {
		samples := append(append([]bounce.Sample(nil), r.Match...), r.Avoid...)
		for _, p := range r.Providers {
			limited++
			if !known[p] {
				t.Errorf("%s: no provider %q in the table", r.Name, p)
			}
		}
		for _, s := range samples {
			if s.Provider != "" && !known[s.Provider] {
				t.Errorf("%s: %q: no provider %q in the table", r.Name, s.Reply, s.Provider)
			}
		}
	}
	if limited == 0 {
		t.Error("no rule is limited to a provider")
	}
}
