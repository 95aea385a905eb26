package bounce

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// ruleFiles is a file system with one rule and shared lists of phrases.
func ruleFiles(rules, shared string) fstest.MapFS {
	return fstest.MapFS{
		"rules/10-a.json": {Data: []byte(rules)},
		sharedFile:        {Data: []byte(shared)},
	}
}

func TestSharedPhrases(t *testing.T) {
	rules, err := rulesIn(ruleFiles(`[{"name": "a/b", "any": ["one", "$list", "four"], "none": ["$list"], "only": ["$list"], "category": "other", "scope": "message"}]`,
		`{"list": ["two", "three"]}`))
	if err != nil {
		t.Fatal(err)
	}
	r := rules[0]
	if want := []string{"one", "two", "three", "four"}; !slices.Equal(r.Any, want) {
		t.Errorf("Any is %q, want %q", r.Any, want)
	}
	for _, list := range [][]string{r.None, r.Only} {
		if want := []string{"two", "three"}; !slices.Equal(list, want) {
			t.Errorf("got %q, want %q", list, want)
		}
	}
}

func TestRuleFilesAreStrict(t *testing.T) {
	for name, tt := range map[string]struct{ rules, shared, want string }{
		"unknown field":           {`[{"name": "a/b", "suppres": true}]`, `{}`, `unknown field "suppres"`},
		"unknown field of sample": {`[{"name": "a/b", "match": [{"reply": "550", "stagee": "rcpt"}]}]`, `{}`, `unknown field "stagee"`},
		"two values":              {`[] []`, `{}`, "more behind"},
		"no list":                 {`[{"name": "a/b", "any": ["$none"]}]`, `{}`, `no list "none"`},
		"unused list":             {`[{"name": "a/b", "any": ["one"]}]`, `{"list": ["two"]}`, `no rule uses "list"`},
		"bad lists":               {`[]`, `[]`, sharedFile},
	} {
		if _, err := rulesIn(ruleFiles(tt.rules, tt.shared)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tt.want)
		}
	}
}
