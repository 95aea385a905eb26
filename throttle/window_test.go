package throttle

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWindow(t *testing.T) {
	twice, thrice := Rate{2, time.Hour}, Rate{3, time.Hour}
	for _, c := range []struct {
		name    string
		trigger Rate
		at      []time.Duration // of each event
		fired   []int           // which of them fire
	}{
		{"no trigger", Rate{}, []time.Duration{0, 0, time.Hour}, []int{0, 1, 2}},
		{"one", Rate{1, time.Hour}, []time.Duration{0, time.Minute}, []int{0, 1}},
		{"two at once", twice, []time.Duration{0, 0}, []int{1}},
		{"just within", twice, []time.Duration{0, time.Hour - 1}, []int{1}},
		{"just not", twice, []time.Duration{0, time.Hour}, nil},
		{"the window slides", twice, []time.Duration{0, time.Hour, 2*time.Hour - 1}, []int{2}},
		{"it is none of fixed hours", thrice, []time.Duration{0, 50 * time.Minute, 70 * time.Minute, 80 * time.Minute}, []int{3}},
		{"it starts anew", twice, []time.Duration{0, 1, 2, 3}, []int{1, 3}},
		{"a little back is the latest", twice, []time.Duration{time.Hour, time.Hour - time.Minute, 2 * time.Hour}, []int{1}},
		{"a little back lengthens nothing", thrice, []time.Duration{0, time.Hour - 1, time.Hour - time.Minute}, []int{2}},
		{"back twice is back from the latest", Rate{4, time.Hour}, []time.Duration{
			time.Hour, time.Hour - time.Minute, time.Hour - 2*time.Minute, 2*time.Hour - 90*time.Second,
		}, nil},
		{"the clock is set back", twice, []time.Duration{100 * time.Hour, 10 * time.Hour}, []int{1}},
		{"set back, and then time runs", thrice, []time.Duration{100 * time.Hour, 10 * time.Hour, 11 * time.Hour}, nil},
		{"the clock is set forward", twice, []time.Duration{0, 1000 * time.Hour, 1000*time.Hour + 1}, []int{2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w window
			var fired []int
			for i, at := range c.at {
				if w.hit(time.Unix(1e9, 0).Add(at), c.trigger) {
					fired = append(fired, i)
				}
			}
			if !slices.Equal(fired, c.fired) {
				t.Errorf("fired at %d, want %d", fired, c.fired)
			}
		})
	}
}

func TestWindowExpire(t *testing.T) {
	var w window
	trigger, now := Rate{3, time.Hour}, time.Unix(1e9, 0)
	if !w.expire(now, trigger) {
		t.Error("a new window has events")
	}
	w.hit(now, trigger)
	w.hit(now.Add(time.Minute), trigger)
	if w.expire(now.Add(time.Hour), trigger) || len(w.times) != 1 {
		t.Errorf("after an hour %d events are left, want 1", len(w.times))
	}
	w.shift(time.Hour)
	if w.expire(now.Add(2*time.Hour), trigger) {
		t.Error("the events did not move with the clock")
	}
	if !w.expire(now.Add(time.Minute+2*time.Hour), trigger) {
		t.Error("events are left after the window")
	}
}

// A window fires exactly when a model that forgets nothing says so, holds no more times than it needs, and is not confused
// by callers whose times are out of order within a minute.
func TestWindowProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trigger := Rate{rapid.IntRange(1, 6).Draw(t, "n"), time.Duration(rapid.IntRange(1, 300).Draw(t, "per")) * time.Second}
		now, latest := time.Unix(1e9, 0), time.Unix(1e9, 0)
		var w window
		var all []time.Time // since the window last fired
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(-60, 200).Draw(t, "step")) * time.Second)
			if latest.Sub(now) > clockSlack {
				now = latest.Add(-clockSlack)
			}
			counts := now
			if n := len(all); n > 0 && all[n-1].After(now) {
				counts = all[n-1]
			}
			if now.After(latest) {
				latest = now
			}
			all = append(all, counts)
			within := 0
			for _, at := range all {
				if counts.Sub(at) < trigger.Per {
					within++
				}
			}
			want := within >= trigger.N
			if got := w.hit(now, trigger); got != want {
				t.Fatalf("fired %v with %d within %v, want %v", got, within, trigger, want)
			}
			if want {
				all = nil
			}
			if len(w.times) >= max(1, trigger.N) || cap(w.times) > 2*trigger.N {
				t.Fatalf("%d times of %d are kept for %v", len(w.times), cap(w.times), trigger)
			}
		}
	})
}

func BenchmarkWindow(b *testing.B) {
	b.ReportAllocs()
	var w window
	trigger, now := Rate{5, time.Hour}, time.Unix(1e9, 0)
	for b.Loop() {
		now = now.Add(time.Minute)
		w.hit(now, trigger)
	}
}
