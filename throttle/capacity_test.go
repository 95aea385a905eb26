package throttle

import (
	"fmt"
	"testing"
	"time"
)

// Each cap holds all that goes through it to its rate, and what one of them refuses the others get back.
func TestCapRates(t *testing.T) {
	minute := func(n int) Cap { return Cap{MessageRate: Rate{N: n, Per: time.Minute}} }
	for _, c := range []struct {
		reason Reason
		config Config
		paths  [2]Path
	}{
		{ReasonRouteRate, Config{Routes: map[string]Cap{"a": minute(60)}}, [2]Path{{"a", "x.example"}, {"a", "y.example"}}},
		{ReasonProviderRate, Config{Providers: map[string]Cap{"google": minute(60)}}, [2]Path{{"a", "google"}, {"b", "google"}}},
		{ReasonProcessRate, Config{Process: minute(60)}, [2]Path{{"a", "google"}, {"b", "x.example"}}},
	} {
		t.Run(string(c.reason), func(t *testing.T) {
			c.config.Limits = map[string]Limits{"google": {MessageRate: Rate{1000, time.Second}}}
			l := with(t, Limits{MessageRate: Rate{1000, time.Second}}, c.config)
			now, sent, by := start, 0, [2]int{}
			for range 60 * 10 {
				now = now.Add(100 * time.Millisecond)
				for i, p := range c.paths {
					if d := l.AcquireAt(now, p, TokenMessage); d.OK {
						sent++
						by[i]++
					} else if d.Reason != c.reason || !d.Until.After(now) || d.Until.Sub(now) > 2*time.Second+time.Millisecond {
						t.Fatalf("%+v", d)
					}
				}
			}
			if sent < 59 || sent > 61 {
				t.Errorf("%d messages in a minute, want 60", sent)
			}
			// Paths take turns, though one always asks first.
			if more := max(by[0], by[1]) - min(by[0], by[1]); more > 2 {
				t.Errorf("%v of %d", by, sent)
			}
			for _, p := range c.paths {
				if n := l.StateAt(now, p).Messages; n < 99 {
					t.Errorf("%v: %d tokens of its own are left: refusals took some", p, n)
				}
			}
			// One that is given back can be taken at once.
			now = now.Add(time.Second)
			now = now.Add(10 * time.Second)
			l.AcquireAt(now, c.paths[0], TokenMessage)
			l.ReleaseAt(now, c.paths[0], TokenMessage)
			if !l.AcquireAt(now, c.paths[1], TokenMessage).OK {
				t.Error("not given back")
			}
			if l.AcquireAt(now, c.paths[0], TokenMessage).OK && l.AcquireAt(now, c.paths[1], TokenMessage).OK { // one may have a ticket still
				t.Error("three at once")
			}
			// A clock that is set back holds nothing up for long, and hands out nothing.
			back := now.Add(-24 * time.Hour)
			if d := l.AcquireAt(back, c.paths[0], TokenMessage); d.OK || d.Until.Sub(back) > time.Second+time.Millisecond {
				t.Errorf("after the clock was set back: %+v", d)
			}
		})
	}
}

// Tickets that are used late and all at once, as after the process stood still, do not exceed the cap.
func TestLateTicketsKeepToTheCap(t *testing.T) {
	const perSecond = 10
	l := with(t, Limits{}, Config{Process: Cap{MessageRate: Rate{perSecond, time.Second}}})
	now, next := start, map[Path]time.Time{}
	var sent []time.Time
	ask := func() {
		for i := range 1000 {
			p := Path{"a", fmt.Sprintf("d%d.example", i)}
			if now.Before(next[p]) {
				continue
			}
			if d := l.AcquireAt(now, p, TokenMessage); d.OK {
				sent = append(sent, now)
			} else {
				next[p] = d.Until
			}
		}
	}
	for range 20 {
		ask()
		now = now.Add(100 * time.Millisecond)
	}
	now = now.Add(110 * time.Second)
	before := len(sent)
	for range 6000 {
		ask()
		now = now.Add(10 * time.Millisecond)
	}
	if n := len(sent) - before; n < 60*perSecond-perSecond || n > 60*perSecond+perSecond {
		t.Errorf("%d in the minute after the pause, want %d", n, 60*perSecond)
	}
	for i := range sent {
		if j := i + 10*perSecond + perSecond; j < len(sent) && sent[j].Sub(sent[i]) < 10*time.Second {
			t.Fatalf("%d in %v from %v on", j-i+1, sent[j].Sub(sent[i]), sent[i].Sub(start))
		}
	}
}

// A path that has to wait long for one of its caps keeps nothing of the others from those that can use it.
func TestFarCapKeepsNothing(t *testing.T) {
	l := with(t, Limits{}, Config{Routes: map[string]Cap{"slow": {MessageRate: Rate{1, time.Hour}}}, Process: Cap{MessageRate: Rate{1, time.Second}}})
	sent := 0
	for i := range 3600 {
		now := start.Add(time.Duration(i) * time.Second)
		for j := range 5 {
			l.AcquireAt(now, Path{"slow", fmt.Sprintf("d%d.example", j)}, TokenMessage)
		}
		if l.AcquireAt(now, Path{"fast", "x.example"}, TokenMessage).OK {
			sent++
		}
	}
	if sent < 3590 {
		t.Errorf("%d of about 3600", sent)
	}
}

// Under a cap that is slow, or over more paths than it lets through in a minute, each path has its turns.
func TestTurnsUnderSlowCaps(t *testing.T) {
	turns := func(l *Limiter, paths []Path, step, forTime time.Duration) map[Path]int {
		sent, next := map[Path]int{}, map[Path]time.Time{}
		for now := start; now.Before(start.Add(forTime)); now = now.Add(step) {
			for _, p := range paths {
				if now.Before(next[p]) {
					continue
				}
				if d := l.AcquireAt(now, p, TokenMessage); d.OK {
					sent[p]++
				} else {
					next[p] = d.Until
				}
			}
		}
		return sent
	}
	var many []Path
	for i := range 100 {
		many = append(many, Path{"a", fmt.Sprintf("d%d.example", i)})
	}
	l := with(t, Limits{}, Config{Process: Cap{MessageRate: Rate{1, time.Second}}})
	sent, total := turns(l, many, 50*time.Millisecond, time.Hour), 0
	for _, p := range many {
		total += sent[p]
		if sent[p] < 34 || sent[p] > 38 {
			t.Errorf("%v had %d turns of 36", p, sent[p])
		}
	}
	if total < 3590 || total > 3602 {
		t.Errorf("%d in an hour at one a second", total)
	}
	six := Cap{MessageRate: Rate{6, time.Hour}}
	l = with(t, Limits{}, Config{Limits: map[string]Limits{"google": {}}, Routes: map[string]Cap{"slow": six}, Providers: map[string]Cap{"google": six}})
	fast, slow := Path{"fast", "google"}, Path{"slow", "google"}
	sent = turns(l, []Path{fast, slow}, time.Second, 48*time.Hour)
	if n := sent[fast] + sent[slow]; n < 280 || n > 290 || sent[slow] < 90 {
		t.Errorf("%d and %d of 288", sent[fast], sent[slow])
	}
}
