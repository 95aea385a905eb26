package warmup

import "time"

// The clock of a ramp.
const (
	// stagePeriod is the least time in a stage, and the time in which its volume has to be delivered.
	stagePeriod = int64(24 * time.Hour)
	// idleStep is the idle time that costs one stage (a judgement between the vendors' rules).
	idleStep = int64(3 * 24 * time.Hour)
	// idleRestart is the idle time after which a path is cold again: most receivers keep reputation for 30 days (Braze, "IP warming";
	// Twilio SendGrid, "Warming up an IP address").
	idleRestart = int64(30 * 24 * time.Hour)
)

// Phase is where a path stands in its warm-up.
type Phase string

const (
	// PhaseWarm: the route has no plan. Everything is allowed and nothing is counted.
	PhaseWarm Phase = "warm"
	// PhaseWarming: the path is in a stage and nothing is known against the next one.
	PhaseWarming Phase = "warming"
	// PhaseHolding: the path stays in its stage, or was put back to it; Cause says why.
	PhaseHolding Phase = "holding"
	// PhaseComplete: the last stage was passed. Everything is allowed; counting goes on, since an idle path grows cold again.
	PhaseComplete Phase = "complete"
	// PhasePaused: an operator has paused the path.
	PhasePaused Phase = "paused"
)

// Cause says why a path is where it is, when that is not the plain course of the plan.
type Cause string

const (
	// CauseVolume: a day ended in which less than 90 % of the stage's day cap was delivered, so the stage is repeated.
	CauseVolume Cause = "volume"
	// CauseIdle: nothing was sent for more than three days, so the path was put back.
	CauseIdle Cause = "idle"
	// CausePlan: the plan was changed, so the path was put where the new plan allows no more than the old one did.
	CausePlan Cause = "plan"
)

// ladder is the validated plan of a route, ready for use.
type ladder struct {
	route string
	name  string
	caps  [][kinds]int
}

func newLadder(route string, p Plan) *ladder {
	l := &ladder{route: route, name: p.Name, caps: make([][kinds]int, len(p.Stages))}
	for i, s := range p.Stages {
		s = s.Caps()
		l.caps[i] = [kinds]int{dayWindow: s.Day, hourWindow: s.Hour, minuteWindow: s.Minute}
	}
	return l
}

// top is the position after the last stage.
func (l *ladder) top() int { return len(l.caps) }

// dayCap is the day cap at a position; at the top it is that of the last stage.
func (l *ladder) dayCap(pos int) int { return l.caps[min(pos, len(l.caps)-1)][dayWindow] }

// ramp is the position of a path on its ladder, shared by all owners. It is a value: next makes the following one.
type ramp struct {
	pos       int   // stage from 0, or ladder.top when complete
	since     int64 // when pos was reached; 0 before the first reservation
	period    int64 // when the current day in the stage began; 0 between days: the next reservation begins one
	cause     Cause
	paused    bool
	idleFrom  int64 // the last sending that idleSteps belongs to
	idleSteps int   // stages taken back since idleFrom
}

// idle is the number of stages that the silence since lastSent costs and that were not taken back yet.
func (r *ramp) idle(at, lastSent int64) int {
	if lastSent == 0 || at-lastSent <= idleStep {
		return 0
	}
	steps := int((at - lastSent - 1) / idleStep)
	if r.idleFrom == lastSent {
		steps -= r.idleSteps
	}
	return max(0, steps)
}

// over says that the day in the stage is over and waits to be judged.
func (r *ramp) over(at int64) bool { return r.period != 0 && at-r.period >= stagePeriod }

// needed is how much of a day cap has to be delivered to pass the stage: 90 %, rounded up (SparkPost, "Automated IP warmup").
func needed(dayCap int) int { return ceilDiv(9*dayCap, 10) }

// next is the ramp at a later time. delivered is what was delivered in the current period.
func (r ramp) next(l *ladder, at, lastSent int64, delivered int) ramp {
	if r.paused {
		return r
	}
	r.pos = min(r.pos, l.top())
	if r.over(at) {
		if r.pos < l.top() {
			r.cause = CauseVolume
			if delivered >= needed(l.caps[r.pos][dayWindow]) {
				r.pos, r.since, r.cause = r.pos+1, at, ""
			}
		}
		r.period = 0
	}
	if steps := r.idle(at, lastSent); steps > 0 {
		if r.idleFrom != lastSent {
			r.idleFrom, r.idleSteps = lastSent, 0
		}
		r.idleSteps += steps
		if at-lastSent > idleRestart {
			steps = r.pos
		}
		if r.pos > 0 {
			r.pos, r.since, r.period, r.cause = max(0, r.pos-steps), at, 0, CauseIdle
		}
	}
	return r
}

// begin starts a day in the stage at the time of a reservation, if none is running.
func (r ramp) begin(l *ladder, at int64) ramp {
	if r.since == 0 {
		r.since = at
	}
	if r.period == 0 && r.pos < l.top() {
		r.period = at
	}
	return r
}

// phase is the visible state of r.
func (r *ramp) phase(l *ladder) Phase {
	switch {
	case r.paused:
		return PhasePaused
	case r.pos >= l.top():
		return PhaseComplete
	case r.cause != "":
		return PhaseHolding
	default:
		return PhaseWarming
	}
}
