package bounce

import (
	"encoding/json"
	"strings"
	"testing"
)

// house is a rule as a host would write one.
func house() Rule {
	return Rule{
		Name: "house/partner", Any: []string{"partner limit"}, Category: RateLimited, Scope: ScopeRoute, Temporary: true,
		Match: []Sample{{Reply: "550 5.7.1 Partner limit reached"}}, Avoid: []Sample{{Reply: "550 5.1.1 user unknown"}},
	}
}

func TestConfigRules(t *testing.T) {
	c, err := NewClassifier(Config{Rules: []Rule{house()}})
	if err != nil {
		t.Fatal(err)
	}
	v := c.Classify("", ParseReply("550 5.7.1 partner limit: user unknown"))
	if v.Rule != "house/partner" || v.Permanent || v.Suppress {
		t.Errorf("got %+v", v)
	}
}

func TestConfigRulesOverride(t *testing.T) {
	name := newBuiltin(t).Classify("", ParseReply("550 user unknown")).Rule
	r := Rule{Name: name, Any: []string{"user unknown"}, Category: Policy, Scope: ScopeMessage}
	c, err := NewClassifier(Config{Rules: []Rule{r}})
	if err != nil {
		t.Fatal(err)
	}
	if v := c.Classify("", ParseReply("550 user unknown")); v.Category != Policy {
		t.Errorf("got %+v", v)
	}
	n := 0
	for _, r := range c.Rules() {
		if r.Name == name {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d rules of the name %s", n, name)
	}
}

func TestConfigRefusesRules(t *testing.T) {
	for want, change := range map[string]func(r *Rule){
		"Name":                   func(r *Rule) { r.Name = "partner" },
		"reserved":               func(r *Rule) { r.Name = "default/partner" },
		"Tier":                   func(r *Rule) { r.Tier = "strong" },
		"Category":               func(r *Rule) { r.Category = "spam" },
		"Scope":                  func(r *Rule) { r.Scope = "" },
		"match everything":       func(r *Rule) { r.Any = nil },
		"Stages":                 func(r *Rule) { r.Stages = []Stage{"RCPT"} },
		"Codes":                  func(r *Rule) { r.Codes = []string{"5x0"} },
		"Statuses":               func(r *Rule) { r.Statuses = []string{"5.1"} },
		"normal form":            func(r *Rule) { r.Any = []string{"Partner-limit"} },
		"braces":                 func(r *Rule) { r.Any = []string{"{partner limit"} },
		"alternatives":           func(r *Rule) { r.Any = []string{strings.Repeat("{a|b} ", 12)} },
		"only a recipient":       func(r *Rule) { r.Suppress = true },
		"address is dead":        func(r *Rule) { r.Suppress, r.Scope = true, ScopeRecipient },
		"suppresses nobody":      func(r *Rule) { r.Suppress, r.Scope, r.Category = true, ScopeRecipient, BadMailbox },
		"wins \"550 5.1.1 other": func(r *Rule) { r.Match = append(r.Match, Sample{Reply: "550 5.1.1 other"}) },
		"must avoid":             func(r *Rule) { r.Avoid = append(r.Avoid, r.Match...) },
	} {
		r := house()
		change(&r)
		if _, err := NewClassifier(Config{Rules: []Rule{r}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	if _, err := NewClassifier(Config{Rules: []Rule{house(), house()}}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("the same name twice: %v", err)
	}
}

func TestSampleJSON(t *testing.T) {
	var got []Sample
	if err := json.Unmarshal([]byte(`["550 no", {"reply": "550 no", "provider": "google", "stage": "rcpt"}]`), &got); err != nil {
		t.Fatal(err)
	}
	if want := (Sample{Reply: "550 no", Provider: "google", Stage: StageRcpt}); len(got) != 2 || got[0] != (Sample{Reply: "550 no"}) || got[1] != want {
		t.Errorf("got %+v", got)
	}
	if err := json.Unmarshal([]byte(`[5]`), &got); err == nil {
		t.Error("a number was taken")
	}
}
