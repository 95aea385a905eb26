package bounce

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The automaton finds exactly the strings that strings.Contains finds.
func TestAutomatonFindsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.StringOfN(rapid.SampledFrom([]rune("ab ")), 1, 5, -1)
		texts := rapid.SliceOfN(words, 1, 100).Draw(t, "strings")
		in := rapid.StringOf(rapid.SampledFrom([]rune("abc "))).Draw(t, "text")
		var patterns []pattern
		for i, s := range texts {
			patterns = append(patterns, newPattern(s, effect{kind: effectMark, slot: uint16(i)}))
		}
		found := make([]uint64, 2)
		newAutomaton(patterns).scan([]byte(in), found, nil)
		for i, s := range texts {
			if got, want := found[i/64]>>(i%64)&1 == 1, strings.Contains(in, s); got != want {
				t.Fatalf("%q in %q: found %v, want %v", s, in, got, want)
			}
		}
	})
}

func TestGap(t *testing.T) {
	for _, tt := range []struct {
		phrase, text string
		want         bool
	}{
		{"{user|mailbox} ~ {unknown|not found}", "user unknown", true},
		{"{user|mailbox} ~ {unknown|not found}", "the mailbox of that name was just not found", true},
		{"{user|mailbox} ~ {unknown|not found}", "user 1 2 3 4 5 unknown", true},
		{"{user|mailbox} ~ {unknown|not found}", "user 1 2 3 4 5 6 unknown", false},
		{"{user|mailbox} ~ {unknown|not found}", "unknown user", false},
		{"no ~0 user", "no user", true},
		{"no ~0 user", "no other user", false},
		{"no ~1 user", "no other user", true},
		{"grey* ~ again", "greylisted try again", true},
		{"a ~ *bc", "a xbc", true},
		{"a ~ *bc", "xbc a", false},
	} {
		p := phraseSet{slots: map[string]uint16{}, lefts: map[string]uint16{}}
		slot, err := p.slot([]string{tt.phrase})
		if err != nil {
			t.Fatal(err)
		}
		found := make([]uint64, 1)
		newAutomaton(p.patterns).scan(appendNormal(nil, []string{tt.text}), found, make([]uint16, len(p.lefts)))
		if got := found[0]>>slot&1 == 1; got != tt.want {
			t.Errorf("%q in %q: %v, want %v", tt.phrase, tt.text, got, tt.want)
		}
	}
}
