package bounce

import (
	"strings"
	"testing"
)

// checkRemedy holds a remedy against what all of them are: one sentence, short enough for a table.
func checkRemedy(t *testing.T, of, remedy string) {
	t.Helper()
	if remedy == "" || !strings.HasSuffix(remedy, ".") || strings.Contains(remedy, ". ") || len(remedy) > 160 {
		t.Errorf("%s: remedy %q", of, remedy)
	}
}

func TestCategoriesHaveRemedies(t *testing.T) {
	seen := map[string]Category{}
	for _, c := range Categories() {
		checkRemedy(t, string(c), c.Remedy())
		if other, ok := seen[c.Remedy()]; ok {
			t.Errorf("%s and %s have the same remedy", c, other)
		}
		seen[c.Remedy()] = c
	}
	if got := Category("weather").Remedy(); got != "" {
		t.Errorf("no category has %q", got)
	}
}

// Whatever the rule and the category, a verdict has a remedy; a rule's own goes before that of its category.
func TestVerdictsHaveRemedies(t *testing.T) {
	var rules []Rule
	for _, category := range Categories() {
		word := strings.ReplaceAll(string(category), "-", "")
		rules = append(rules,
			Rule{Name: "house/" + word, Tier: TierToken, All: []string{"sesame", "x" + word}, Category: category, Scope: ScopeMessage},
			Rule{Name: "house/own-" + word, Tier: TierToken, All: []string{"sesame", "y" + word}, Category: category, Scope: ScopeMessage, Remedy: "Say the word."})
	}
	c, err := NewClassifier(Config{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	for _, category := range Categories() {
		word := strings.ReplaceAll(string(category), "-", "")
		if v := c.Classify("", ParseReply("550 sesame x"+word)); v.Remedy != category.Remedy() || v.Category != category {
			t.Errorf("%s: got %+v, want the category's remedy", category, v)
		}
		if v := c.Classify("", ParseReply("550 sesame y"+word)); v.Remedy != "Say the word." || v.Category != category {
			t.Errorf("%s: got %+v, want the rule's remedy", category, v)
		}
	}
	for _, text := range []string{"550 gnarled", "450 gnarled", "gnarled", "550"} {
		v := c.Classify("", ParseReply(text))
		checkRemedy(t, text, v.Remedy)
	}
}
