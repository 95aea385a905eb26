package warmup

import (
	"testing"
	"time"
)

const testDay = int64(24 * time.Hour)

// ladderOf is a ladder with the default gate.
func ladderOf(p Plan) *ladder {
	g := Gate{}.withDefaults()
	return newLadder("new", p, &g, map[string]bool{"yahoo": true})
}

// TestRamp is the table of the state machine: a position, what happened, and where that leads. Times are in days.
func TestRamp(t *testing.T) {
	l := ladderOf(Plan{Stages: []Stage{{Day: 100}, {Day: 140}, {Day: 200}, {Day: 280}}})
	at := func(d float64) int64 { return int64(d * float64(testDay)) }
	for _, c := range []struct {
		name      string
		in        ramp
		at, sent  float64
		delivered int
		pos       int
		phase     Phase
		cause     Cause
		period    float64
	}{
		{"fresh", ramp{}, 10, 0, 0, 0, PhaseWarming, "", 0},
		{"in its day", ramp{since: at(10), period: at(10)}, 10.99, 10.9, 100, 0, PhaseWarming, "", 10},
		{"passed", ramp{since: at(10), period: at(10)}, 11, 10.9, 90, 1, PhaseWarming, "", 0},
		{"one short", ramp{since: at(10), period: at(10)}, 11, 10.9, 89, 0, PhaseHolding, CauseVolume, 0},
		{"held, then passed", ramp{since: at(10), period: at(12), cause: CauseVolume}, 13, 12.9, 95, 1, PhaseWarming, "", 0},
		{"one stage only, however late", ramp{since: at(10), period: at(10)}, 12.8, 10.9, 1000, 1, PhaseWarming, "", 0},
		{"last stage passed", ramp{pos: 3, since: at(10), period: at(10)}, 11, 10.9, 252, 4, PhaseComplete, "", 0},
		{"complete stays", ramp{pos: 4, since: at(10)}, 11, 10.9, 0, 4, PhaseComplete, "", 0},
		{"three days idle", ramp{pos: 2, since: at(10), period: at(12)}, 13, 10, 0, 2, PhaseHolding, CauseVolume, 0},
		{"a little more", ramp{pos: 2, since: at(10)}, 13.01, 10, 0, 1, PhaseCooled, CauseIdle, 0},
		{"six days and more", ramp{pos: 3, since: at(10)}, 16.01, 10, 0, 1, PhaseCooled, CauseIdle, 0},
		{"nothing below the first", ramp{pos: 1, since: at(10)}, 29, 10, 0, 0, PhaseCooled, CauseIdle, 0},
		{"complete grows cold", ramp{pos: 4, since: at(10)}, 13.01, 10, 0, 3, PhaseCooled, CauseIdle, 0},
		{"not twice for the same silence", ramp{pos: 3, since: at(13.01), cause: CauseIdle, idleFrom: at(10), idleSteps: 1}, 15.9, 10, 0,
			3, PhaseCooled, CauseIdle, 0},
		{"again for the next three days", ramp{pos: 3, since: at(13.01), cause: CauseIdle, idleFrom: at(10), idleSteps: 1}, 16.01, 10, 0,
			2, PhaseCooled, CauseIdle, 0},
		{"a later silence", ramp{pos: 3, since: at(13.01), cause: CauseIdle, idleFrom: at(10), idleSteps: 1}, 24, 20, 0,
			2, PhaseCooled, CauseIdle, 0},
		{"passed before it fell silent" /* up and down */, ramp{pos: 1, since: at(10), period: at(10)}, 14.5, 10.5, 126, 1, PhaseCooled, CauseIdle, 0},
		{"30 days idle", ramp{pos: 4, since: at(10)}, 40.01, 10, 0, 0, PhaseCooled, CauseIdle, 0},
		{"paused", ramp{pos: 2, since: at(10), period: at(10), paused: true}, 40.01, 10, 1000, 2, PhasePaused, "", 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := delivered(c.delivered)
			got, _ := c.in.next(l, "google", at(c.at), at(c.sent), d)
			if got.pos != c.pos || got.phase(l) != c.phase || got.cause != c.cause || got.period != at(c.period) {
				t.Errorf("got stage %d, %s, cause %q, period %.2f", got.pos, got.phase(l), got.cause, float64(got.period)/float64(testDay))
			}
			moved := got.pos != c.in.pos || c.name == "passed before it fell silent" // Up, and down again.
			if moved != (got.since == at(c.at)) {
				t.Errorf("moved is %t, since is %.2f", moved, float64(got.since)/float64(testDay))
			}
			if again, _ := got.next(l, "google", at(c.at), at(c.sent), d); again != got {
				t.Errorf("asked again: %+v, was %+v", again, got)
			}
		})
	}
}

func delivered(n int) day { return day{outcomes: counts{uint32(n)}} }

// TestIdleMonth: a path of 31 stages that falls silent goes back a stage every three days, and to the start after 30.
func TestIdleMonth(t *testing.T) {
	plan := Plan{}
	for range 31 {
		plan.Stages = append(plan.Stages, Stage{Day: 100})
	}
	l := ladderOf(plan)
	r := ramp{pos: 31, since: 1}
	sent := stamp(start)
	for hours := range 40 * 24 {
		idle := time.Duration(hours) * time.Hour
		r, _ = r.next(l, "google", sent+int64(idle), sent, day{})
		want := 31
		switch {
		case idle > 30*24*time.Hour:
			want = 0
		case idle > 0:
			want = 31 - int((idle-1)/(3*24*time.Hour))
		}
		if r.pos != want {
			t.Fatalf("after %v at %d, want %d", idle, r.pos, want)
		}
	}
}
