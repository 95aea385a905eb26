package sqlqueue

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestClockTranslates: times of a database whose clock is wrong are told in the process's own time.
func TestClockTranslates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock
		for _, off := range []time.Duration{0, time.Hour, time.Hour + 20*time.Millisecond, -48 * time.Hour} {
			now := time.Now().Add(off)
			c.observe(now.UnixMicro(), time.Now())
			due := c.local(now.Add(time.Minute).UnixMicro())
			if wait := time.Until(due) - time.Minute; wait < -clockSlack || wait > clockSlack {
				t.Errorf("ahead by %v: a minute from now is told as %v", off, time.Until(due))
			}
		}
		before := c.ahead.Load()
		sent := time.Now()
		time.Sleep(5 * time.Second) // for a lock, say
		c.observe(time.Now().Add(-48*time.Hour).UnixMicro(), sent)
		if c.ahead.Load() != before {
			t.Error("waiting is taken for a difference of clocks")
		}
	})
}
