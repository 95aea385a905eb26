package main

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestCalendar: it stands still until it runs; then its days are short, and what was to be at a time of the calendar has come at the time of the process.
func TestCalendar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCalendar(2 * time.Second)
		time.Sleep(time.Second)
		now := time.Now()
		if d := c.since(now); d != 0 {
			t.Errorf("%s have passed while it stood still", d)
		}
		if again := c.OwnTime(c.first.Add(time.Hour)); !again.After(now) || again.After(now.Add(time.Second)) {
			t.Errorf("whoever waits asks again in %s", again.Sub(now))
		}
		c.run()
		for _, since := range []time.Duration{0, 1, 12_345, time.Millisecond, time.Second, 3 * time.Hour} {
			own := now.Add(since)
			if got := c.OwnTime(c.SharedTime(own)); !got.Equal(own) {
				t.Errorf("%s became %s", since, got.Sub(now))
			}
			shared := c.SharedTime(own).Add(time.Nanosecond)
			if back := c.SharedTime(c.OwnTime(shared)); back.Before(shared) {
				t.Errorf("%s: %s is before %s", since, back, shared)
			}
		}
		if d := c.since(now.Add(3 * time.Second)); d != 36*time.Hour {
			t.Errorf("three seconds are %s", d)
		}
		if before := c.SharedTime(now.Add(-time.Second)); !before.Equal(c.first) {
			t.Errorf("before it ran it was %s", before)
		}
	})
}
