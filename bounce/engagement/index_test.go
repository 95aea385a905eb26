package engagement

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A line gives its earliest entries in order, whichever way they came in, and knows when it has not all of them.
func TestLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := line{most: rapid.IntRange(1, 10).Draw(t, "most")}
		var all []entry
		for range rapid.IntRange(0, 40).Draw(t, "gathered") {
			e := entry{rapid.Int64Range(0, 9).Draw(t, "due"), fmt.Sprint(len(all))}
			all = append(all, e)
			l.gather(e)
			if len(l.entries) >= 2*l.most {
				t.Fatalf("%d entries", len(l.entries))
			}
		}
		l.trim()
		slices.SortFunc(all, byTurn)
		if l.more != (len(all) > l.most) {
			t.Fatalf("more = %v of %d", l.more, len(all))
		}
		model := all[:min(len(all), l.most)]
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				e := entry{rapid.Int64Range(0, 9).Draw(t, "due"), fmt.Sprint("later ", len(model))}
				full := len(model) == l.most
				l.put(e)
				if !full {
					model = append(slices.Clone(model), e)
					slices.SortFunc(model, byTurn)
				} else if !l.more {
					t.Fatal("an entry is forgotten")
				}
			},
			"take": func(t *rapid.T) {
				due, ok := l.first()
				if ok != (len(model) > 0) || l.dry() != (!ok && l.more) {
					t.Fatalf("first %v, dry %v with %d entries", ok, l.dry(), len(model))
				}
				if !ok {
					return
				}
				if due != model[0].due || !l.ready(due) || l.ready(due-1) {
					t.Fatalf("first is due at %d, want %d", due, model[0].due)
				}
				if e := l.take(); e != model[0] {
					t.Fatalf("%v, want %v", e, model[0])
				}
				model = model[1:]
			},
		})
	})
}

// What was added before the first look at the store is found there, not kept.
func TestJoinedIsBounded(t *testing.T) {
	c := campaign(t, CampaignConfig{PerDay: 10_000})
	c.most = 4
	add(t, c, start, numbered(100)...)
	if len(c.joined) > c.most+1 {
		t.Errorf("%d are kept", len(c.joined))
	}
	due(t, c, start, 1)
	more := numbered(200)[100:]
	add(t, c, start, more...)
	if len(c.joined) > c.most+1 {
		t.Errorf("%d are kept", len(c.joined))
	}
	if got := due(t, c, start, 300); len(got) != 199 {
		t.Errorf("%d of 199", len(got))
	}
}
