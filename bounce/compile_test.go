package bounce

import "testing"

// Codes and Statuses can ask for none, and Only for nothing else.
func TestConditions(t *testing.T) {
	for _, tt := range []struct {
		rule  Rule
		text  string
		match bool
	}{
		{Rule{Codes: []string{"none"}}, "sesame", true},
		{Rule{Codes: []string{"none"}}, "550 sesame", false},
		{Rule{Codes: []string{"none", "55x"}}, "550 sesame", true},
		{Rule{Codes: []string{"none", "55x"}}, "450 sesame", false},
		{Rule{Statuses: []string{"none"}}, "550 sesame", true},
		{Rule{Statuses: []string{"none"}}, "550 5.1.1 sesame", false},
		{Rule{Statuses: []string{"none", "x.1.1"}}, "550 5.1.1 sesame", true},
		{Rule{Statuses: []string{"x.x.x"}}, "550 sesame", false},
		{Rule{Only: []string{"open", "sesame", "@"}}, "550 Open <a@example.com>: sesame!", true},
		{Rule{Only: []string{"open", "sesame", "@"}}, "550 open, sesame, open", true},
		{Rule{Only: []string{"open", "sesame", "@"}}, "550 sesame opened", false},
		{Rule{Only: []string{"open", "sesame"}}, "550 sesame <a@example.com>", false},
	} {
		r := tt.rule
		r.Name, r.Tier, r.Any, r.Category, r.Scope = "house/door", TierToken, []string{"sesame"}, Policy, ScopeMessage
		c, err := NewClassifier(Config{Rules: []Rule{r}})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Classify("", ParseReply(tt.text)).Rule == r.Name; got != tt.match {
			t.Errorf("codes %q, statuses %q, only %q: %q matches: %v, want %v", r.Codes, r.Statuses, r.Only, tt.text, got, tt.match)
		}
	}
}

// URLs, names of hosts, numbers and identifiers are no words that Only counts, and what looks like them is.
func TestOnlySkips(t *testing.T) {
	c, err := NewClassifier(Config{Rules: []Rule{{
		Name: "house/door", Tier: TierToken, Any: []string{"sesame"}, Only: []string{"open", "sesame", "@"}, Category: Policy, Scope: ScopeMessage,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"550 open sesame https://www.example.com/help?door=3#top now": false,
		"550 open sesame <https://www.example.com/help?door=3#top>":   true,
		"550 open sesame HTTP://example.com/a/b (www.example.com/c)":  true,
		"550 open sesame - mx1.example.com":                           true,
		"550 open sesame example.com":                                 true,
		"550 MX1.Example.COM: open sesame":                            true,
		"550 open sesame.Now":                                         false,
		"550 open sesame 12 34567":                                    true,
		"550 open sesame c18si2365148hub":                             true,
		"550 open sesame S77719":                                      false,
		"550 open sesame blocked99x":                                  false,
		"550 open sesame 192.0.2.1":                                   false,
		"550 open sesame a..b":                                        false,
	} {
		if got := c.Classify("", ParseReply(text)).Rule == "house/door"; got != want {
			t.Errorf("%q matches: %v, want %v", text, got, want)
		}
	}
}
