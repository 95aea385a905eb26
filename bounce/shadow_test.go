package bounce

import (
	"encoding/json"
	"strings"
	"testing"
)

// trial is a rule that is tried without acting upon it.
func trial() Rule {
	return Rule{
		Name: "house/relocated", Tier: TierToken, Any: []string{"relocated"}, Category: BadMailbox, Scope: ScopeRecipient, Suppress: true, Shadow: true,
		Remedy: "Look for the new address.",
		Match:  []Sample{{Reply: "550 5.1.1 relocated, user unknown"}}, Avoid: []Sample{{Reply: "550 5.1.1 user unknown"}},
	}
}

func TestShadow(t *testing.T) {
	weak := trial()
	weak.Name, weak.Tier, weak.Category, weak.Suppress = "house/weak", TierHint, Policy, false
	weak.Any, weak.Match, weak.Avoid = []string{"relocated", "gnarled"}, []Sample{{Reply: "550 gnarled"}}, nil
	c, err := NewClassifier(Config{Rules: []Rule{weak, trial()}})
	if err != nil {
		t.Fatal(err)
	}
	plain := newBuiltin(t)
	for _, tt := range []struct {
		text, shadow string
	}{
		{"550 5.2.2 the mailbox is full since it was relocated", "house/relocated"}, // another category
		{"450 relocated", "house/relocated"},
		{"550 5.1.1 user unknown", ""},                   // does not match
		{"550 gnarled", "house/weak"},                    // only a default rule decides
		{"550 5.1.1 user unknown and gnarled", ""},       // a stronger rule decides
		{"550 relocated and gnarled", "house/relocated"}, // the stronger one of both
		{"250 relocated", ""},                            // accepted
	} {
		r := ParseReply(tt.text)
		got, want := c.Classify("", r), plain.Classify("", r)
		shadow := got.Shadow
		got.Shadow = nil
		if got != want {
			t.Errorf("%q: got %+v, want %+v as without the rules", tt.text, got, want)
		}
		switch {
		case shadow == nil:
			if tt.shadow != "" {
				t.Errorf("%q: no shadow, want %s", tt.text, tt.shadow)
			}
		case shadow.Rule != tt.shadow || shadow.Shadow != nil || shadow.Remedy == "":
			t.Errorf("%q: shadow %+v, want %s", tt.text, shadow, tt.shadow)
		default:
			checkVerdict(t, r, *shadow)
		}
	}
	v := c.Classify("", ParseReply("550 relocated"))
	if v.Suppress || v.Shadow == nil || !v.Shadow.Suppress || v.Shadow.Category != BadMailbox || !v.Shadow.Permanent {
		t.Errorf("got %+v, shadow %+v", v, v.Shadow)
	}
	if b, err := json.Marshal(v); err != nil || !strings.Contains(string(b), `"shadow":{"category":"bad-mailbox"`) {
		t.Errorf("in JSON: %s, %v", b, err)
	}
	if b, err := json.Marshal(c.Classify("", ParseReply("550 user unknown"))); err != nil || strings.Contains(string(b), "shadow") {
		t.Errorf("in JSON: %s, %v", b, err)
	}
}

// With the name of a built-in rule, which stays in force.
func TestShadowOverride(t *testing.T) {
	const text = "550 user unknown"
	before := newBuiltin(t).Classify("", ParseReply(text))
	r := Rule{
		Name: before.Rule, Any: []string{"user unknown"}, Category: Policy, Scope: ScopeMessage, Shadow: true,
		Match: []Sample{{Reply: text}}, Avoid: []Sample{{Reply: "550 no such user"}},
	}
	c, err := NewClassifier(Config{Rules: []Rule{r}})
	if err != nil {
		t.Fatal(err)
	}
	v := c.Classify("", ParseReply(text))
	if v.Category != before.Category || !v.Suppress || v.Shadow == nil || v.Shadow.Category != Policy || v.Shadow.Rule != before.Rule {
		t.Errorf("got %+v, shadow %+v", v, v.Shadow)
	}
	if err := c.Verify(); err != nil {
		t.Error(err)
	}
}

// A shadow is held against its evidence as a rule that decides: what is stronger wins, other shadows do not.
func TestShadowEvidence(t *testing.T) {
	first, second := trial(), trial()
	first.Name, first.Any, first.Match, first.Avoid = "house/first", []string{"{relocated|user}"}, nil, nil
	if _, err := NewClassifier(Config{Rules: []Rule{first, second}}); err != nil {
		t.Errorf("one shadow hides another: %v", err)
	}
	for want, change := range map[string]func(r *Rule){
		"wins \"550 5.1.1 other": func(r *Rule) { r.Match = append(r.Match, Sample{Reply: "550 5.1.1 other"}) },
		"must avoid":             func(r *Rule) { r.Avoid = append(r.Avoid, r.Match...) },
		"postfix/unknown wins": func(r *Rule) {
			r.Tier, r.Match = TierText, []Sample{{Reply: "550 relocated: user unknown in virtual alias table"}}
		},
	} {
		r := trial()
		change(&r)
		if _, err := NewClassifier(Config{Rules: []Rule{r}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func TestShadowAllocatesWhenItHits(t *testing.T) {
	c, err := NewClassifier(Config{Rules: []Rule{trial()}})
	if err != nil {
		t.Fatal(err)
	}
	s := c.scratch.Get().(*scratch)
	for text, want := range map[string]float64{"550 5.1.1 user unknown": 0, "550 5.1.1 relocated": 1} {
		r := ParseReply(text)
		if got := testing.AllocsPerRun(100, func() { c.decide("", &r, s, nil) }); got > want {
			t.Errorf("%q costs %v allocations, want %v", text, got, want)
		}
	}
}
