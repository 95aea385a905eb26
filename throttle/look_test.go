package throttle_test

import (
	"testing"
	"time"

	"github.com/reputemail/repute/throttle"
)

// TestLookAtKeepsNothing: what is only looked at is forgotten when its time has come, as StateAt is not.
func TestLookAtKeepsNothing(t *testing.T) {
	key := throttle.Path{Route: "mta1", Provider: "example.com"}
	for _, looks := range []bool{true, false} {
		l, err := throttle.New(throttle.Config{Idle: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		l.ObserveAt(now, key, throttle.Signal{Kind: throttle.SignalTooManyRecipients, Recipients: 7})
		for range 3 {
			now = now.Add(30 * time.Minute)
			if looks {
				l.LookAt(now, key)
			} else {
				l.StateAt(now, key)
			}
		}
		want := map[bool]int{true: throttle.DefaultLimits().Recipients, false: 7}[looks]
		if got := l.LookAt(now, key).Limits.Recipients; got != want {
			t.Errorf("LookAt %t: %d recipients, want %d", looks, got, want)
		}
	}
}
