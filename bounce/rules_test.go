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
		checkRemedy(t, r.Name, r.Remedy)
		if r.Source == "" {
			t.Errorf("%s: no source", r.Name)
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

// Every phrase can match: in at least one of its forms, and in the company of the rule's other phrases, nothing in the rule itself forbids
// it. A phrase that None or Only shuts out is there in vain, and samples would not tell. What "*" stands for may be in Only, so those are left out.
func TestPhrasesCanMatch(t *testing.T) {
	c := newBuiltin(t)
	s := c.scratch.Get().(*scratch)
	for i := range c.rules {
		r := &c.rules[i]
		reply, provider := Reply{Local: r.Local}, ""
		if k := c.compiled[i]; len(k.codes) > 0 {
			reply.Code = k.codes[0].lo
		}
		if k := c.compiled[i]; len(k.statuses) > 0 && k.statuses[0] != (statusPattern{}) {
			for _, n := range []struct {
				to                *int
				from, replacement int
			}{{&reply.Status.Class, k.statuses[0].class, 5}, {&reply.Status.Subject, k.statuses[0].subject, 1}, {&reply.Status.Detail, k.statuses[0].detail, 1}} {
				if *n.to = n.from; n.from < 0 {
					*n.to = n.replacement
				}
			}
		}
		if len(r.Stages) > 0 {
			reply.Stage = r.Stages[0]
		}
		if len(r.Providers) > 0 {
			provider = r.Providers[0]
		}
		can := func(phrases ...string) bool {
			for _, text := range textsOf(t, phrases) {
				reply.Lines = []string{text}
				s.scan(c.auto, &reply)
				if c.holds(i, provider, &reply, s) {
					return true
				}
			}
			return false
		}
		any, with := r.Any, r.With
		if len(any) == 0 {
			any = []string{""}
		}
		if len(with) == 0 {
			with = []string{""}
		}
		for _, p := range any {
			ok := false
			for _, w := range with {
				ok = ok || can(append([]string{p, w}, r.All...)...)
			}
			if !ok && (len(r.Only) == 0 || !strings.Contains(p, "*")) {
				t.Errorf("%s: Any: %q cannot match", r.Name, p)
			}
		}
		for _, w := range with {
			ok := false
			for _, p := range any {
				ok = ok || can(append([]string{p, w}, r.All...)...)
			}
			if !ok {
				t.Errorf("%s: With: %q cannot match", r.Name, w)
			}
		}
	}
}

// textsOf is texts that have one form of each phrase: the n-th text has the n-th form of each, over and over for those that have fewer.
func textsOf(t *testing.T, phrases []string) []string {
	t.Helper()
	var forms [][]string
	most := 1
	for _, p := range phrases {
		if p == "" {
			continue
		}
		left, right, _, err := expandSides(p)
		if err != nil {
			t.Fatal(err)
		}
		all := left
		if right != nil {
			all = nil
			for i := range max(len(left), len(right)) {
				all = append(all, left[i%len(left)]+right[i%len(right)])
			}
		}
		forms, most = append(forms, all), max(most, len(all))
	}
	texts := make([]string, most)
	for n := range texts {
		for _, f := range forms {
			texts[n] += " " + f[n%len(f)]
		}
		texts[n] = strings.NewReplacer("@", "a@example.com", "#", "192.0.2.1").Replace(strings.TrimLeft(texts[n], " "))
	}
	return texts
}
