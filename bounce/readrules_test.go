package bounce

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadRules(t *testing.T) {
	rules, err := ReadRules(strings.NewReader(`[
		{"name": "house/partner", "codes": ["55x"], "any": ["partner limit"], "category": "rate-limited", "scope": "route", "temporary": true,
			"match": ["550 Partner limit reached"], "avoid": [{"reply": "550 user unknown", "stage": "rcpt"}]},
		{"name": "house/gone", "any": ["$no-mailbox"], "none": ["$doubt", "zebra"], "all": ["in the north"], "category": "bad-mailbox", "scope": "recipient", "shadow": true}
	]`))
	if err != nil {
		t.Fatal(err)
	}
	want := Rule{
		Name: "house/partner", Codes: []string{"55x"}, Any: []string{"partner limit"}, Category: RateLimited, Scope: ScopeRoute, Temporary: true,
		Match: []Sample{{Reply: "550 Partner limit reached"}}, Avoid: []Sample{{Reply: "550 user unknown", Stage: StageRcpt}},
	}
	if len(rules) != 2 || !reflect.DeepEqual(rules[0], want) {
		t.Fatalf("got %+v", rules)
	}
	if gone := rules[1]; !gone.Shadow || len(gone.Any) < 10 || len(gone.None) < 10 || gone.None[len(gone.None)-1] != "zebra" {
		t.Errorf("got %+v", gone)
	}
	c, err := NewClassifier(Config{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	if v := c.Classify("", ParseReply("550 No such user in the north")); v.Shadow == nil || v.Shadow.Rule != "house/gone" {
		t.Errorf("got %+v", v)
	}
}

// What the built-in files have can be read by everybody.
func TestReadRulesReadsBuiltin(t *testing.T) {
	for _, file := range []string{"rules/00-local.json", "rules/41-mailbox.json", "rules/60-hint.json"} {
		f, err := ruleFS.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		if rules, err := ReadRules(f); err != nil || len(rules) == 0 {
			t.Errorf("%s: %d rules, %v", file, len(rules), err)
		}
	}
}

func TestReadRulesRefuses(t *testing.T) {
	for in, want := range map[string][]string{
		``:                                   {"EOF"},
		`{}`:                                 {"object"},
		`[] []`:                              {"more behind"},
		`[5]`:                                {"rule number 1", "no object"},
		`[{}, 5]`:                            {"rule number 1", "field Name"},
		`[{"name": "a/b", "suppres": true}]`: {"rule a/b", "suppres"},
		`[{"name": "a/b", "codes": "550"}]`:  {"rule a/b", "codes"},
		`[{"name": "a", "any": ["x"], "category": "other", "scope": "message"}]`:                                                                           {"rule a", "field Name"},
		`[{"name": "a/b", "any": ["x"], "category": "odd", "scope": "message"}]`:                                                                           {"rule a/b", "field Category"},
		`[{"name": "a/b", "any": ["$odd"], "category": "other", "scope": "message"}]`:                                                                      {"rule a/b", "field Any", `"odd"`},
		`[{"name": "a/b", "any": ["x"], "none": ["X"], "category": "other", "scope": "message"}]`:                                                          {"rule a/b", "field None", "normal form"},
		`[{"name": "a/b", "all": ["x", "{y"], "category": "other", "scope": "message"}]`:                                                                   {"rule a/b", "field All", "braces"},
		`[{"name": "a/b", "codes": ["abc"], "category": "other", "scope": "message"}]`:                                                                     {"rule a/b", "field Codes"},
		`[{"name": "a/b", "any": ["x"], "category": "other", "scope": "message", "match": [5]}]`:                                                           {"rule a/b"},
		`[{"name": "a/b", "any": ["x"], "category": "other", "scope": "message"}, {"name": "a/b", "any": ["y"], "category": "other", "scope": "message"}]`: {"rule a/b", "twice"},
		"[" + strings.Repeat(" ", maxRules) + "]":                                                                                                          {"more than"},
	} {
		rules, err := ReadRules(strings.NewReader(in))
		if err == nil {
			t.Errorf("%.80q was taken: %+v", in, rules)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%.80q: got %v, want an error with %q", in, err, w)
			}
		}
	}
	if _, err := ReadRules(iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

// Rules that ReadRules takes are malformed in no way that NewClassifier finds: only their evidence may fail there.
func FuzzReadRules(f *testing.F) {
	f.Add(`[{"name": "a/b", "any": ["{x|y} ~2 z*"], "none": ["$doubt"], "only": ["x", "z"], "category": "other", "scope": "message"}]`)
	f.Add(`[{"name": "a/b", "codes": ["5xx", "none"], "statuses": ["x.1.1"], "category": "bad-mailbox", "scope": "recipient", "suppress": true, "match": ["550 5.1.1"]}]`)
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > 2000 {
			return
		}
		rules, err := ReadRules(strings.NewReader(in))
		if err != nil {
			return
		}
		for i := range rules {
			rules[i].Match, rules[i].Avoid = nil, nil
		}
		if len(rules) > 0 {
			if _, err := NewClassifier(Config{Rules: rules}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
