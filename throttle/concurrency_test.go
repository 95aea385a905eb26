package throttle

import (
	"testing"
	"time"
)

// refusals are how often a receiver of five connections refuses a sixth within a day.
func refusals(t *testing.T, configured int) (n int) {
	l := with(t, Limits{Connections: configured}, Config{})
	for now, open := start, 0; now.Before(start.Add(24 * time.Hour)); now = now.Add(5 * time.Second) {
		for l.AcquireAt(now, example, TokenConnection).OK {
			if open++; open > 5 {
				n++
				l.ObserveAt(now, example, crowd)
				l.ReleaseAt(now, example, TokenConnection)
				open--
			}
		}
		for range 5 {
			l.ObserveAt(now, example, success)
		}
	}
	return n
}

// A receiver's limit is tried again ever more rarely, also when it is one below the configured one, or when none is configured.
func TestConnectionsAreProbedRarely(t *testing.T) {
	for _, configured := range []int{0, 6, 7, 10} {
		if n := refusals(t, configured); n < 5 || n > 12 {
			t.Errorf("%d connections configured: %d refusals a day", configured, n)
		}
	}
}

// When the receiver takes all connections again, the next refusal is the first one.
func TestConnectionsAtTheTop(t *testing.T) {
	b := Backoff{}
	if err := b.validate(); err != nil {
		t.Fatal(err)
	}
	c, now := concurrency{}, start
	c.refused(now, 6, 6, &b)
	raise := func(wait time.Duration) {
		t.Helper()
		if c.wait != wait {
			t.Fatalf("the next one comes after %v, want %v", c.wait, wait)
		}
		for range 6 {
			now = now.Add(wait)
			if c.succeeded(now, &b) {
				break
			}
		}
		if c.effective(6) != 6 {
			t.Fatalf("%d connections", c.effective(6))
		}
	}
	raise(10 * time.Minute)
	c.refused(now, 6, 6, &b)
	raise(20 * time.Minute)
	for range 6 {
		now = now.Add(20 * time.Minute)
		if c.succeeded(now, &b) {
			t.Fatal("raised above the configured limit")
		}
	}
	if c != (concurrency{}) {
		t.Fatalf("%+v", c)
	}
	c.refused(now, 6, 6, &b)
	raise(10 * time.Minute)
}

// However often a receiver refuses one more connection, it is asked again after MaxRaiseAfter.
func TestConnectionsAreProbedForEver(t *testing.T) {
	b := Backoff{RaiseAfter: 10 * time.Minute, MaxRaiseAfter: time.Hour}
	if err := b.validate(); err != nil {
		t.Fatal(err)
	}
	c, now := concurrency{}, start
	for i, want := range []time.Duration{10, 20, 40, 60, 60, 60} {
		if !c.refused(now, 6, 20, &b) {
			t.Fatalf("refusal %d is nothing new", i)
		}
		began := now
		for now = now.Add(time.Minute); !c.succeeded(now, &b); now = now.Add(time.Minute) {
			if now.Sub(began) > 24*time.Hour {
				t.Fatalf("refusal %d: never asked again", i)
			}
		}
		if now.Sub(began) != want*time.Minute {
			t.Errorf("refusal %d: asked again after %v, want %v", i, now.Sub(began), want*time.Minute)
		}
	}
}
