package bounce

import (
	"encoding/json"
	"fmt"
	"slices"
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
		"single word":            func(r *Rule) { r.Only = []string{"two words"} },
		"no single word":         func(r *Rule) { r.Only = []string{"Upper"} },
		"normal form":            func(r *Rule) { r.Any = []string{"Partner-limit"} },
		"braces":                 func(r *Rule) { r.Any = []string{"{partner limit"} },
		"alternatives":           func(r *Rule) { r.Any = []string{strings.Repeat("{a|b} ", 12)} },
		"only a recipient":       func(r *Rule) { r.Suppress = true },
		"address is dead":        func(r *Rule) { r.Suppress, r.Scope = true, ScopeRecipient },
		"suppresses nobody":      func(r *Rule) { r.Suppress, r.Scope, r.Category = true, ScopeRecipient, BadMailbox },
		"wins \"550 5.1.1 other": func(r *Rule) { r.Match = append(r.Match, Sample{Reply: "550 5.1.1 other"}) },
		"must avoid":             func(r *Rule) { r.Avoid = append(r.Avoid, r.Match...) },
		"house/partner: default/permanent": func(r *Rule) { // cannot match
			r.Any, r.None, r.Match = []string{"partner gnarled"}, []string{"gnarled"}, []Sample{{Reply: "550 partner gnarled"}}
		},
		"house/partner: rate/volume wins": func(r *Rule) { r.Tier = TierHint }, // is shadowed by a stronger rule
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

// A Classifier does not change, whatever becomes of the rules that it was made from, or gave away.
func TestRulesAreCopies(t *testing.T) {
	given := house()
	given.Providers, given.Stages, given.Codes = []string{"google"}, []Stage{StageRcpt}, []string{"550"}
	given.Statuses, given.With, given.All = []string{"5.7.1"}, []string{"reached"}, []string{"limit"}
	given.None, given.Only = []string{"never"}, []string{"partner", "limit", "reached"}
	rules := []Rule{given}
	c, err := NewClassifier(Config{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	find := func() Rule {
		all := c.Rules()
		return all[slices.IndexFunc(all, func(r Rule) bool { return r.Name == "house/partner" })]
	}
	want := fmt.Sprint(find())
	for _, r := range []Rule{rules[0], find()} {
		r.Providers[0], r.Stages[0], r.Codes[0], r.Statuses[0] = "x", "x", "x", "x"
		r.Any[0], r.With[0], r.All[0], r.None[0], r.Only[0] = "x", "x", "x", "x", "x"
		r.Match[0], r.Avoid[0] = Sample{}, Sample{}
		if got := fmt.Sprint(find()); got != want {
			t.Fatalf("the rule is now %s, was %s", got, want)
		}
	}
	reply := ParseReply("550 5.7.1 Partner limit reached")
	reply.Stage = StageRcpt
	if v := c.Classify("google", reply); v.Rule != "house/partner" {
		t.Errorf("%s decides", v.Rule)
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
	for _, bad := range []string{`[5]`, `[{"reply": "550 no", "stagee": "rcpt"}]`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
