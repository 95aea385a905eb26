package suppress

import (
	"testing"
	"time"
)

func TestPrune(t *testing.T) {
	l := list(t, Config{})
	observe(t, l, day0, Incident{ID: "1", Address: "struck@example.com", Kind: Bounced, Verdict: doubtVerdict})
	observe(t, l, day0, Incident{ID: "1", Address: "dead@example.com", Kind: Bounced, Verdict: deadVerdict})
	add(t, l, day0, Entry{Address: "ended@example.com", Reason: Manual, Until: day0.Add(days)})
	for _, c := range []struct {
		after     time.Duration
		forgotten int
		left      map[string]int
	}{
		{0, 0, map[string]int{"struck@example.com": 1, "dead@example.com": 1, "ended@example.com": 1}},
		{2 * days, 1, map[string]int{"struck@example.com": 1, "dead@example.com": 1, "ended@example.com": 0}},
		{31 * days, 0, map[string]int{"struck@example.com": 0, "dead@example.com": 1}}, // what it has seen is kept for longer
		{366 * days, 1, map[string]int{"dead@example.com": 1}},
	} {
		n, err := l.PruneAt(t.Context(), day0.Add(c.after))
		if err != nil || n != c.forgotten {
			t.Errorf("after %v: %d, %v", c.after, n, err)
		}
		for address, want := range c.left {
			if s := lookup(t, l, address); len(s.Entries)+len(s.Strikes) != want {
				t.Errorf("after %v: %s has %+v", c.after, address, s)
			}
		}
	}
	if n := len(l.store.(*MemoryStore).values); n != 1 {
		t.Errorf("%d left", n)
	}
}
