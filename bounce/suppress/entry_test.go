package suppress

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
)

func TestStrikes(t *testing.T) {
	const h = time.Hour
	full := Rule{Strikes: 5, Within: 30 * days, Apart: days, Over: 14 * days, For: 90 * days}
	for _, c := range []struct {
		name string
		rule Rule
		at   []time.Duration
		on   int // the strike that suppresses, from 1; 0: none
	}{
		{"three, a day apart", Rule{Strikes: 3, Within: 30 * days, Apart: days}, []time.Duration{0, 24 * h, 48 * h}, 3},
		{"too close", Rule{Strikes: 3, Within: 30 * days, Apart: days}, []time.Duration{0, 1 * h, 2 * h, 23*h + 59*time.Minute}, 0},
		{"close ones between", Rule{Strikes: 3, Within: 30 * days, Apart: days}, []time.Duration{0, 20 * h, 25 * h, 40 * h, 48 * h, 49 * h}, 6},
		{"the first one just within", Rule{Strikes: 3, Within: 30 * days, Apart: days}, []time.Duration{0, 5 * days, 30 * days}, 3},
		{"the first one too old", Rule{Strikes: 3, Within: 30 * days, Apart: days}, []time.Duration{0, 5 * days, 30*days + 1, 31*days + 1}, 4},
		{"spread thin", Rule{Strikes: 3, Within: 30 * days, Apart: days}, []time.Duration{0, 16 * days, 32 * days, 48 * days, 64 * days}, 0},
		{"full: five in five days", full, []time.Duration{0, 1 * days, 2 * days, 3 * days, 4 * days, 5 * days}, 0},
		{"full: five over fourteen", full, []time.Duration{0, 1 * days, 2 * days, 3 * days, 14 * days}, 5},
		{"full: one short of fourteen", full, []time.Duration{0, 1 * days, 2 * days, 3 * days, 14*days - 1, 15 * days}, 6},
		{"full: four over fourteen", full, []time.Duration{0, 5 * days, 10 * days, 15 * days}, 0},
		{"the clock put back", Rule{Strikes: 2, Within: 30 * days, Apart: h}, []time.Duration{10 * days, 0, 10*days + h}, 3},
		{"no least distance", Rule{Strikes: 3, Within: h}, []time.Duration{0, 0, 0}, 3},
		{"only a span", Rule{Strikes: 2, Within: 30 * days, Over: days}, []time.Duration{0, 1, 2, 23 * h, 24 * h}, 5},
		{"from the last to the first", Rule{Strikes: 2, Within: days, Over: days}, []time.Duration{0, 25 * h, 26 * h, 49 * h}, 4},
	} {
		r := &record{}
		r.strike(Strike{Reason: "another", At: day0}, Rule{Strikes: 2, Within: days})
		on := 0
		for i, d := range c.at {
			if r.strike(Strike{Reason: Full, At: day0.Add(d)}, c.rule) {
				on = i + 1
				break
			}
		}
		if on != c.on {
			t.Errorf("%s: suppressed by strike %d, want %d", c.name, on, c.on)
		}
		if on > 0 && len(r.Strikes) != 1 {
			t.Errorf("%s: left %v", c.name, r.Strikes)
		}
	}
}

// TestStrikesAreBounded: as many as may come at one instant, or before it has been long enough.
func TestStrikesAreBounded(t *testing.T) {
	rule := Rule{Strikes: 2, Within: 30 * days, Over: 14 * days}
	for _, step := range []time.Duration{0, time.Minute} {
		r := &record{}
		r.strike(Strike{Reason: Refused, At: day0}, rule)
		for i := range 100 {
			if r.strike(Strike{Reason: Full, At: day0.Add(time.Duration(i) * step)}, rule) {
				t.Fatalf("suppressed after %d", i)
			}
			if len(r.Strikes) > maxStrikes+1 {
				t.Fatalf("%d strikes", len(r.Strikes))
			}
		}
		if r.Strikes[0].Reason != Refused {
			t.Error("the strikes of another reason were dropped")
		}
		if !r.strike(Strike{Reason: Full, At: day0.Add(14 * days)}, rule) {
			t.Errorf("%v apart: the first one was forgotten", step)
		}
	}
}

// TestManyStreamsLoseNothing: what does not fit becomes more, never less.
func TestManyStreamsLoseNothing(t *testing.T) {
	r := &record{}
	end := day0.Add(10 * days)
	r.add(day0, Entry{Stream: "s", Reason: Complaint, Since: day0, Until: end})
	want := map[string]Entry{}
	for i := range 3 * maxEntries {
		e := Entry{Stream: fmt.Sprint("s", i), Reason: Reasons()[i%len(Reasons())], Since: day0.Add(time.Duration(-i)), Until: day0.Add(time.Duration(i+1) * days)}
		if i%5 == 0 {
			e.Until = time.Time{}
		}
		r.add(day0, e)
		want[e.Stream+" "+string(e.Reason)] = e
		if len(r.Entries) > maxEntries {
			t.Fatalf("%d entries", len(r.Entries))
		}
		for name, w := range want {
			held := false
			for _, e := range r.Entries {
				held = held || e.Reason == w.Reason && (e.Stream == "" || e.Stream == w.Stream) &&
					(e.Until.IsZero() || !w.Until.IsZero() && !e.Until.Before(w.Until))
			}
			if !held {
				t.Fatalf("after %d: %s is lost", i, name)
			}
		}
	}
	// Those that have ended make room first.
	r = &record{}
	for i := range maxEntries {
		r.add(day0, Entry{Stream: fmt.Sprint("s", i), Reason: Complaint, Since: day0, Until: end})
	}
	if e, added := r.add(end, Entry{Stream: "new", Reason: Complaint, Since: end}); !added || e.Stream != "new" || len(r.Entries) != 1 {
		t.Errorf("%+v of %d", e, len(r.Entries))
	}
}

// TestRecordIsBounded fills a record with as much as strangers and operators can put into it.
func TestRecordIsBounded(t *testing.T) {
	store := NewMemoryStore()
	l := list(t, Config{Store: store, Policy: Policy{
		Refused: Rule{Strikes: 20, Within: 300 * days, Over: 300 * days}, Full: Rule{Strikes: 20, Within: 300 * days, Over: 300 * days},
	}})
	worst := `\"` + "\u2028<&>"
	text := strings.Repeat(worst, 100)
	address := strings.Repeat("a", 200) + "@" + strings.Repeat(strings.Repeat("b", 60)+".", 3) + "example.com"
	for i := range 100 {
		now := day0.Add(time.Duration(i) * time.Minute)
		stream := clip(fmt.Sprint(i)+text, maxStream)
		observe(t, l, now, Incident{ID: fmt.Sprint("r", i, text), Stream: stream, Address: address, Kind: Bounced, Verdict: doubtVerdict, Late: true})
		observe(t, l, now, Incident{ID: fmt.Sprint("f", i, text), Stream: stream, Address: address, Kind: Bounced, Verdict: fullVerdict, Late: true})
		add(t, l, now, Entry{Address: address, Stream: stream, Reason: NotConfirmed, Category: bounce.InactiveMailbox, Detail: text, Until: day0.Add(1e5 * time.Hour)})
		release(t, l, now, Release{Address: address, Stream: clip(fmt.Sprint("no", text), maxStream), Actor: text, Note: text})
		if i == maxEntries-1 {
			if n := len(lookup(t, l, address).Entries); n != maxEntries {
				t.Errorf("%d entries", n)
			}
			for _, value := range store.values {
				if len(value) >= 64<<10 || len(value) < 32<<10 {
					t.Errorf("%d bytes", len(value))
				}
			}
		}
	}
	if s := lookup(t, l, address); len(s.Entries) > maxEntries || len(s.Strikes) > 2*maxStrikes || len(s.Releases) > maxReleases {
		t.Errorf("%d entries, %d strikes, %d releases", len(s.Entries), len(s.Strikes), len(s.Releases))
	}
}

func TestEntryString(t *testing.T) {
	e := Entry{Address: anna, Reason: Dead, Category: bounce.BadMailbox, Since: day0, Detail: "mailbox/unknown"}
	if got, want := e.String(), "suppressed since 2026-03-02: dead, bad-mailbox (mailbox/unknown)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	e = Entry{Address: anna, Reason: Manual, Since: day0, Until: day0.Add(days)}
	if got, want := e.String(), "suppressed since 2026-03-02: manual until 2026-03-03"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"aü", 2, "a"}, {"aüb", 3, "aü"}, {"日本", 5, "日"}, {"\x80\x80", 1, ""}, {"", 0, ""}} {
		if got := clip(c.s, c.n); got != c.want {
			t.Errorf("clip(%q, %d) = %q, want %q", c.s, c.n, got, c.want)
		}
	}
}
