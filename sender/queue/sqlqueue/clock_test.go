package sqlqueue

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestClockTranslates: times of a database whose clock is wrong are told in the process's own time.
func TestClockTranslates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock{base: time.Now()}
		for _, off := range []time.Duration{0, time.Hour, time.Hour + 20*time.Millisecond, -48 * time.Hour} {
			now := time.Now().Add(off)
			c.observe(now.UnixMicro(), time.Now())
			due := c.local(now.Add(time.Minute).UnixMicro())
			if wait := time.Until(due) - time.Minute; wait < -clockSlack || wait > clockSlack {
				t.Errorf("ahead by %v: a minute from now is told as %v", off, time.Until(due))
			}
		}
		before := c.lead.Load()
		sent := time.Now()
		time.Sleep(5 * time.Second) // for a lock, say
		c.observe(time.Now().Add(-48*time.Hour).UnixMicro(), sent)
		if c.lead.Load() != before {
			t.Error("waiting is taken for a difference of clocks")
		}
	})
}

// TestClockOfAFile: a queue in a file goes by time as it passes, and what it tells can be compared with time.Now, also when the clock is set.
func TestClockOfAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock{base: time.Now()}
		due := c.now().Add(time.Minute).UnixMicro()
		time.Sleep(time.Minute - time.Second)
		if told := c.local(due); c.now().UnixMicro() >= due || told.UnixMicro() != due || !told.After(time.Now()) {
			t.Errorf("a second before: now %v, due %v", c.now(), told)
		}
		time.Sleep(time.Second)
		if told := c.local(due); c.now().UnixMicro() != due || told.After(time.Now()) {
			t.Errorf("when it is due: now %v, due %v", c.now(), told)
		}
	})
	c := clock{base: time.Now()} // not in a bubble, where there is no other time
	for what, at := range map[string]time.Time{"now": c.now(), "local": c.local(c.now().UnixMicro())} {
		if !strings.Contains(at.String(), "m=") { // without it, a clock that is set decides
			t.Errorf("%s has no monotonic reading: %v", what, at)
		}
	}
}

func TestPulse(t *testing.T) {
	const slack = 15 * time.Second
	start := time.Now()
	var p pulse
	for i, step := range []struct {
		after, database time.Duration // since the beat before: by our clock, and by the database's
		failed, may     bool
	}{
		{0, 0, false, false}, // the first
		{15 * time.Second, 15 * time.Second, false, true},
		{15 * time.Second, 15 * time.Second, true, false}, // it came through at the second try: the database was away
		{15 * time.Second, 15 * time.Second, false, false},
		{15 * time.Second, 15 * time.Second, false, true},
		{15 * time.Second, time.Hour, false, false}, // the database's clock jumps: all seem to have been silent for an hour
		{15 * time.Second, 15 * time.Second, false, true},
		{15 * time.Second, -time.Hour, false, true}, // back: nobody seems to be silent
		{40 * time.Second, 40 * time.Second, false, true},
	} {
		start = start.Add(step.after)
		if may := p.beat(p.now+step.database.Microseconds(), start, step.failed, slack); may != step.may {
			t.Errorf("beat %d: %v", i, may)
		}
	}
}
