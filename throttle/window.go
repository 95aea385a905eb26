package throttle

import "time"

// window counts events in a true sliding window, for one path and one reaction with a trigger. The zero window is empty. It
// holds at most as many times as the trigger counts.
//
// Its caller's times run forward but for clockSlack: a now that is up to a minute before the latest one counts as that one.
// One that is further back means that the clock was set, and what is remembered moves with it.
type window struct {
	// times are those of the latest events, the oldest first.
	times []time.Time
}

// hit counts an event and reports whether with it trigger.N lie within trigger.Per. Then the window is empty again. Every
// event is enough for the zero Rate.
func (w *window) hit(now time.Time, trigger Rate) (fired bool) {
	if trigger.N <= 1 {
		return true
	}
	if n := len(w.times); n > 0 {
		latest := w.times[n-1]
		switch back := latest.Sub(now); {
		case back > clockSlack:
			w.shift(-back)
		case back > 0:
			now = latest
		}
	}
	w.expire(now, trigger)
	if len(w.times) < trigger.N-1 {
		w.times = append(w.times, now)
		return false
	}
	w.times = w.times[:0]
	return true
}

// expire forgets the events that count no more, and reports whether none is left.
func (w *window) expire(now time.Time, trigger Rate) bool {
	old := 0
	for old < len(w.times) && now.Sub(w.times[old]) >= trigger.Per {
		old++
	}
	w.times = w.times[:copy(w.times, w.times[old:])]
	return len(w.times) == 0
}

// shift moves everything remembered by the distance that the clock jumped.
func (w *window) shift(by time.Duration) {
	for i := range w.times {
		w.times[i] = w.times[i].Add(by)
	}
}
