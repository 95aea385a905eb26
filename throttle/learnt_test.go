package throttle

import (
	"testing"
	"time"
)

// Who waits for a message of a slow rate has the wait of the faster one when the slow one is over.
func TestNoLongWaitAfterTheRateRose(t *testing.T) {
	slow := &Reaction{MessageRate: Rate{1, time.Hour}}
	k := learnt{pace: pace{rate: 1}, imposed: []imposed{{slow, start.Add(10 * time.Minute)}}}
	if _, ok := k.take(start); !ok {
		t.Fatal("the first one is refused")
	}
	if until, ok := k.take(start.Add(time.Minute)); ok || until.Sub(start) != time.Hour {
		t.Fatalf("one an hour: %t, next one after %v", ok, until.Sub(start))
	}
	now := start.Add(10 * time.Minute)
	until, ok := k.take(now)
	if ok || until.Sub(now) != time.Second {
		t.Fatalf("one a second: %t, next one after %v", ok, until.Sub(now))
	}
	if _, ok := k.take(until); !ok {
		t.Fatal("refused for longer than it said")
	}
}
