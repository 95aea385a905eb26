package throttle

import "time"

// tally counts what came back over a path in sliding windows.
type tally struct {
	slot         int64 // the running one, counted from year 1
	slots        [tallySlots]tallySlot
	minute       int64
	sent, before uint32 // messages accepted in the running minute and in the one before
}

// tallySlot is a part of the window.
type tallySlot struct{ all, putOff uint32 }

const (
	tallySlots = 6
	tallyPart  = 10 * time.Minute // tallySlots of them are an hour
)

// count counts one transaction. putOff says that the receiver put it off, or refused it, for our reputation or rate.
func (t *tally) count(now time.Time, accepted, putOff bool) {
	t.roll(now)
	s := &t.slots[t.slot%tallySlots]
	s.all++
	if putOff {
		s.putOff++
	}
	if accepted {
		t.sent++
	}
}

// roll brings the windows up to now.
func (t *tally) roll(now time.Time) {
	unix := now.Unix()
	if slot := unix / int64(tallyPart/time.Second); slot != t.slot {
		for i := max(t.slot+1, slot-tallySlots+1); i <= slot; i++ {
			t.slots[i%tallySlots] = tallySlot{}
		}
		if slot < t.slot { // the clock was set back
			t.slots = [tallySlots]tallySlot{}
		}
		t.slot = slot
	}
	if minute := unix / 60; minute != t.minute {
		t.before = 0
		if minute == t.minute+1 {
			t.before = t.sent
		}
		t.minute, t.sent = minute, 0
	}
}

// rate is how many messages a second were accepted in the last one to two minutes; 0 if they were too few to say.
func (t *tally) rate(now time.Time) float64 {
	t.roll(now)
	if t.sent+t.before < paceSample {
		return 0
	}
	over := 60 + float64(now.Unix()%60) + 1
	if t.before == 0 {
		over -= 60
	}
	return float64(t.sent+t.before) / over
}

// alive reports whether a message was accepted in the last one to two minutes.
func (t *tally) alive(now time.Time) bool {
	t.roll(now)
	return t.sent+t.before > 0
}

// hour is what was counted within the last hour, or some minutes less.
func (t *tally) hour(now time.Time) (all, putOff int) {
	t.roll(now)
	for _, s := range t.slots {
		all += int(s.all)
		putOff += int(s.putOff)
	}
	return all, putOff
}

// forget empties the hour: it was acted upon.
func (t *tally) forget() { t.slots = [tallySlots]tallySlot{} }
