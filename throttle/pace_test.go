package throttle

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func defaultBackoff(t testing.TB) *Backoff {
	t.Helper()
	var b Backoff
	if err := b.validate(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// A pace from the first cut to the end of what was learnt.
func TestPace(t *testing.T) {
	b := defaultBackoff(t)
	var c pace
	if c.cut(start, 0, 100, b) || c.rate != 0 {
		t.Fatalf("cut by a rate that is not known: %+v", c)
	}
	if !c.cut(start, 2, 100, b) || c.rate != 1 {
		t.Fatalf("2 a second were too much: %+v", c)
	}
	if c.cut(start.Add(59*time.Second), 2, 100, b) {
		t.Fatal("twice within a minute")
	}
	now := start
	for range 29 {
		now = now.Add(time.Minute)
		c.succeeded(now, 100)
		c.succeeded(now, 100) // once a minute
	}
	if c.rate >= 2 || c.rate < 1.9 {
		t.Fatalf("after 29 minutes: %+v", c)
	}
	now = now.Add(time.Minute)
	c.succeeded(now, 100)
	if math.Abs(c.rate-2) > 1e-9 {
		t.Fatalf("after half an hour: %+v", c)
	}
	now = now.Add(time.Minute)
	if !c.cut(now, 0.1, 100, b) || math.Abs(c.rate-1) > 1e-9 {
		t.Fatalf("cut again, though little was sent: %+v", c)
	}
	for range 60 { // down to the floor
		now = now.Add(time.Minute)
		c.cut(now, 5, 100, b)
	}
	if c.rate != b.MinMessageRate.perSecond() {
		t.Fatalf("%+v, want the floor of %v", c, b.MinMessageRate)
	}
	steps := 0
	for ; c.rate > 0 && steps < 1000; steps++ {
		now = now.Add(time.Minute)
		c.succeeded(now, 100)
	}
	if c != (pace{}) || steps > 330 {
		t.Fatalf("not forgotten at the configured rate after %d minutes: %+v", steps, c)
	}
	// Where no rate is configured it ends as well.
	if !c.cut(now, 2, 0, b) {
		t.Fatal("no cut without a configured rate")
	}
	for steps = 0; c.rate > 0 && steps < 1000; steps++ {
		now = now.Add(time.Minute)
		c.succeeded(now, 0)
	}
	if c != (pace{}) {
		t.Fatalf("not forgotten: %+v", c)
	}
}

// A configured rate under the floor is neither raised nor lowered.
func TestPaceBelowFloor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Backoff{MinMessageRate: Rate{N: rapid.IntRange(1, 100).Draw(t, "floor"), Per: time.Minute}}
		if err := b.validate(); err != nil {
			t.Fatal(err)
		}
		configured := float64(rapid.IntRange(0, 200).Draw(t, "configured")) / 60
		var c pace
		now := start
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "seconds")) * time.Second)
			if rapid.Bool().Draw(t, "cut") {
				c.cut(now, rapid.Float64Range(0, 10).Draw(t, "sent"), configured, &b)
			} else {
				c.succeeded(now, configured)
			}
			if floor := b.MinMessageRate.perSecond(); c.rate != 0 && c.rate < min(floor, max(configured, c.rate))-1e-12 || configured > 0 && c.rate > configured+1e-12 {
				t.Fatalf("%+v, floor %v, configured %v", c, floor, configured)
			}
		}
	})
}

// Over a path: what was sent, not what is configured, is halved; the stop comes first, and messages are spaced after it.
func TestPaceOfPath(t *testing.T) {
	l := with(t, Limits{Connections: 5, MessageRate: Rate{100, time.Second}}, Config{})
	now := start
	for range 240 { // two a second for two minutes
		now = now.Add(500 * time.Millisecond)
		l.ObserveAt(now, example, success)
	}
	l.ObserveAt(now, example, limited)
	if got := l.StateAt(now, example).Limits.MessageRate; got.perSecond() < 0.9 || got.perSecond() > 1.1 {
		t.Fatalf("%v, want half of two a second", got)
	}
	now = now.Add(10 * time.Minute)
	if d := l.AcquireAt(now, example, TokenMessage); !d.OK {
		t.Fatalf("after the stop: %+v", d)
	}
	d := l.AcquireAt(now, example, TokenMessage)
	if d.OK || d.Reason != ReasonMessageRate || d.Until.Sub(now) < 900*time.Millisecond || d.Until.Sub(now) > 1100*time.Millisecond {
		t.Fatalf("the next one: %+v", d)
	}
	l.ReleaseAt(now, example, TokenMessage)
	if d = l.AcquireAt(now, example, TokenMessage); !d.OK {
		t.Fatalf("given back: %+v", d)
	}
}

// The share of an hour's messages that was put off decides, with a sample of a hundred at least.
func TestDeferredShare(t *testing.T) {
	for _, c := range []struct {
		name            string
		good, bad       int
		every           time.Duration
		warned, lowered bool
	}{
		{"few messages", 78, 21, time.Second, true, false},
		{"a fifth of a hundred", 80, 20, time.Second, true, true},
		{"a twentieth", 95, 5, time.Second, true, false},
		{"a hundredth", 199, 2, time.Second, true, false},
		{"over two hours", 200, 50, 28 * time.Second, true, true},
		{"a fifth, but slowly", 80, 20, 10 * time.Minute, true, false},
	} {
		var warned, lowered bool
		l := with(t, Limits{Connections: 5}, Config{
			Backoff: Backoff{BlocksInRow: 1000, BlocksPerHour: 1000},
			OnChange: func(c Change) {
				warned, lowered = warned || c.Kind == ChangeWarning, lowered || c.Kind == ChangeLowered
			},
		})
		now := start
		for i := range c.good + c.bad {
			now = now.Add(c.every)
			s := success
			if (i+1)*c.bad/(c.good+c.bad) > i*c.bad/(c.good+c.bad) {
				s = blocked
			}
			l.ObserveAt(now, example, s)
		}
		if warned != c.warned || lowered != c.lowered {
			t.Errorf("%s: warned %v, lowered %v", c.name, warned, lowered)
		}
	}
}

func TestTally(t *testing.T) {
	var c tally
	for i := range 120 {
		c.count(start.Add(time.Duration(i)*time.Minute), i%2 == 0, i%4 == 1)
	}
	all, off := c.hour(start.Add(119 * time.Minute))
	if all < 50 || all > 60 || off < 12 || off > 15 {
		t.Errorf("%d and %d in the hour", all, off)
	}
	if all, off = c.hour(start.Add(4 * time.Hour)); all != 0 || off != 0 {
		t.Errorf("%d and %d two hours later", all, off)
	}
	if c.alive(start.Add(4*time.Hour)) || c.rate(start.Add(4*time.Hour)) != 0 {
		t.Error("alive")
	}
	c.count(start, true, false) // the clock was set back
	if all, _ = c.hour(start); all != 1 {
		t.Errorf("%d after the clock was set back", all)
	}
}

// What an hour's share of messages put off has led to is not held against the path again.
func TestShareCountsOnce(t *testing.T) {
	var changes []Change
	l := with(t, Limits{}, Config{
		Backoff: Backoff{BlocksPerHour: 1000, BlocksInRow: 1000}, OnChange: func(c Change) { changes = append(changes, c) },
	})
	lowered := func() (n int) {
		for _, c := range changes {
			if c.Kind == ChangeLowered {
				n++
			}
		}
		return n
	}
	now := start
	for i := range 110 {
		s := success
		if i%4 == 0 {
			s = blocked
		}
		l.ObserveAt(now, example, s)
		now = now.Add(250 * time.Millisecond)
	}
	if n := lowered(); n != 1 {
		t.Fatalf("lowered %d times: %v", n, changes)
	}
	for range 10 {
		now = now.Add(2 * time.Minute)
		l.ObserveAt(now, example, blocked)
	}
	if n := lowered(); n != 1 {
		t.Errorf("lowered %d times: %v", n, changes)
	}
}
