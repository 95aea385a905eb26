package warmup

import (
	"fmt"
	"hash/fnv"
	"math"
	"time"
)

// The clock of a ramp.
const (
	// stagePeriod is the least time in a stage, and the time in which its volume has to be delivered.
	stagePeriod = int64(24 * time.Hour)
	// idleStep is the idle time that costs one stage (a judgement between the vendors' rules).
	idleStep = int64(3 * 24 * time.Hour)
	// idleRestart is the idle time after which a path is cold again: most receivers keep reputation for 30 days (Braze, "IP warming";
	// Twilio SendGrid, "Warming up an IP address").
	idleRestart = int64(30 * 24 * time.Hour)
	// stuckDays is after how many sending days without advancing a path is stuck (SparkPost, "Automated IP warmup").
	stuckDays = 10
	// earlyDay is how much earlier than a plan's Every a sending may come and still count as the next one.
	earlyDay = int64(12 * time.Hour)
)

// Phase is where a path stands in its warm-up.
type Phase string

const (
	// PhaseWarm: the route has no plan. Everything is allowed and nothing is counted.
	PhaseWarm Phase = "warm"
	// PhaseWarming: the path is in a stage and nothing is known against the next one.
	PhaseWarming Phase = "warming"
	// PhaseHolding: the path stays in its stage; Cause says why.
	PhaseHolding Phase = "holding"
	// PhaseSteppedBack: the path was put back a stage; Cause says why.
	PhaseSteppedBack Phase = "stepped-back"
	// PhaseStuck: ten sending days in a row did not lead to the next stage; Cause says why the latest did not. The path goes on trying, but somebody
	// should look. A path that has no more mail than it may carry is not stuck, but holding for its volume.
	PhaseStuck Phase = "stuck"
	// PhaseCooled: the path was silent for too long and was put back.
	PhaseCooled Phase = "cooled"
	// PhaseComplete: the last stage was passed, or with Plan.Keep reached. Everything is allowed, or with Keep what the last stage says; counting goes on, since an idle
	// path grows cold again.
	PhaseComplete Phase = "complete"
	// PhasePaused: an operator has paused the path.
	PhasePaused Phase = "paused"
)

// Cause says why a path is where it is, when that is not the plain course of the plan.
type Cause string

const (
	// CauseVolume: a day ended in which less than 90 % of the stage's day cap was delivered, so the stage is repeated. That is as it should be where there is no
	// more mail.
	CauseVolume Cause = "volume"
	// CauseBounces: too many recipients did not exist.
	CauseBounces Cause = "bounces"
	// CauseDeferrals: too much was put off for the sender's reputation or rate.
	CauseDeferrals Cause = "deferrals"
	// CauseBlocks: too much was refused for the sender's sake.
	CauseBlocks Cause = "blocks"
	// CauseComplaints: too many recipients complained.
	CauseComplaints Cause = "complaints"
	// CauseIdle: nothing was sent for too long, so the path was put back.
	CauseIdle Cause = "idle"
	// CausePlan: the plan was changed, so the path was put where the new plan allows no more than the old one did.
	CausePlan Cause = "plan"
	// CauseOperator: somebody put the path there.
	CauseOperator Cause = "operator"
)

// ladder is the validated plan of a route, ready for use.
type ladder struct {
	route    string
	name     string
	caps     [][kinds]int
	pace     []int64 // the least time between two messages, by stage; 0: none
	calendar bool
	keep     bool
	every    int64 // the time between two sendings
	gate     *Gate
	reports  map[string]bool // the gate's Reporters
	print    uint64          // of the caps
}

func newLadder(route string, p Plan, g *Gate, reports map[string]bool) *ladder {
	l := &ladder{
		route: route, name: p.Name, caps: make([][kinds]int, len(p.Stages)), pace: make([]int64, len(p.Stages)),
		calendar: p.Calendar, keep: p.Keep, every: int64(max(1, p.Every)) * stagePeriod, gate: g, reports: reports,
	}
	for i, s := range p.Stages {
		if s.Minute == 0 {
			l.pace[i] = paceOf(s.Caps().Hour)
		}
		s = s.Caps()
		l.caps[i] = [kinds]int{dayWindow: s.Day, hourWindow: s.Hour, minuteWindow: s.Minute}
	}
	sum := fnv.New64a()
	fmt.Fprint(sum, l.caps)
	l.print = sum.Sum64()
	return l
}

// top is the position after the last stage.
func (l *ladder) top() int { return len(l.caps) }

// dayCap is the day cap at a position; at the top it is that of the last stage.
func (l *ladder) dayCap(pos int) int { return l.caps[min(pos, len(l.caps)-1)][dayWindow] }

// ramp is the position of a path on its ladder, shared by all owners. It is a value: next makes the following one.
type ramp struct {
	since     int64 // when pos was reached, or last found to be too much; 0 before the first reservation
	period    int64 // when the current day in the stage began; 0 between days: the next reservation begins one
	idleFrom  int64 // the last sending that idleSteps belongs to
	touched   int64 // when the path was first used after an operator had put it somewhere: silence before that does not count
	cause     Cause
	pos       int    // stage from 0, or ladder.top when complete
	before    uint32 // delivered on the sending day before
	idleSteps int16  // stages taken back since idleFrom
	tries     int8   // days since the path advanced that did not lead on
	carry     carry  // what was observed on earlier days, too little to judge by
	back      bool   // the path stepped back for cause
	fresh     bool   // an operator has put it where it is, and nothing was sent since
	paused    bool
}

// idle is the number of stages that the silence since lastSent costs and that were not taken back yet.
func (r *ramp) idle(l *ladder, at, lastSent int64) int {
	if lastSent == 0 || r.fresh {
		return 0
	}
	lastSent = max(lastSent, r.touched)
	silent := at - lastSent - (l.every - stagePeriod)
	if silent <= idleStep {
		return 0
	}
	steps := int((silent - 1) / idleStep)
	if r.idleFrom == lastSent {
		steps -= int(r.idleSteps)
	}
	return max(0, steps)
}

// rests says that the path stepped back a short while ago, or would have: the next step, if there has to be one, is a day later.
func (r *ramp) rests(at int64) bool {
	return (r.back || r.pos == 0 && r.told()) && at-r.since < stagePeriod
}

// over says that the day in the stage is over and waits to be judged.
func (r *ramp) over(at int64) bool { return r.period != 0 && at-r.period >= stagePeriod }

// needed is how much of a day cap has to be delivered to pass the stage: 90 %, rounded up (SparkPost, "Automated IP warmup").
func needed(dayCap int) int { return ceilDiv(9*dayCap, 10) }

// day is what is known of the running day of a stage.
type day struct {
	outcomes counts
	burst    bool // of blocks
	scarce   bool // the cap for 24 hours refused something: there was more to send
}

// next is the ramp at a later time, and what the gate found, if that decided.
func (r ramp) next(l *ladder, provider string, at, lastSent int64, d day) (ramp, Evidence) {
	if r.paused {
		return r, Evidence{}
	}
	r.pos = min(r.pos, l.top())
	var why Evidence
	if r.period != 0 {
		f := finding{}
		if r.pos < l.top() {
			f = l.gate.judge(r.carry.with(d.outcomes), int(r.before), d.burst, l.reports[provider])
		}
		if f.level == levelBack && !r.rests(at) || r.over(at) {
			r, why = r.judged(l, at, d, f), f.evidence
		}
	}
	if steps := r.idle(l, at, lastSent); steps > 0 {
		lastSent = max(lastSent, r.touched)
		if r.idleFrom != lastSent {
			r.idleFrom, r.idleSteps = lastSent, 0
		}
		r.idleSteps += int16(steps)
		if at-lastSent > idleRestart {
			steps, r.tries = r.pos, 0
		}
		if r.pos > 0 {
			r.pos, r.since, r.period, r.cause, r.back = max(0, r.pos-steps), at, 0, CauseIdle, false
			why = Evidence{}
		}
	}
	return r, why
}

// judged is the ramp after a day in a stage, or after a finding that ends it.
func (r ramp) judged(l *ladder, at int64, d day, f finding) ramp {
	was := r.pos
	r.period = 0
	r.tries = min(r.tries, math.MaxInt8-1)
	r.before = d.outcomes[Delivered.index()]
	r.carry = r.carry.and(d.outcomes, l.gate.MinSample)
	switch {
	case r.pos >= l.top():
	case f.level == levelBack:
		r.cause, r.back, r.tries, r.since = f.evidence.Cause, r.pos > 0, r.tries+1, at
		r.pos = max(0, r.pos-1)
	case f.level == levelHold:
		r.cause, r.back, r.tries = f.evidence.Cause, false, r.tries+1
	case l.keep && r.pos == l.top()-1: // there is nothing to earn
		r.cause, r.back, r.tries = "", false, 0
	case !l.calendar && d.outcomes[Delivered.index()] < uint32(needed(l.caps[r.pos][dayWindow])):
		if r.cause, r.back = CauseVolume, false; d.scarce {
			r.tries++
		}
	case l.every > stagePeriod && at-r.since < l.every-earlyDay: // more of the same sending
	default:
		r.pos, r.since, r.cause, r.back, r.tries = r.pos+1, at, "", false, 0
	}
	if r.pos != was || f.level == levelBack {
		r.carry = carry{}
	}
	return r
}

// carry are the outcomes of days that were too few to be judged, in the order of counts, but for complaints. So the evidence of a small sender, or of a path that the
// throttle keeps almost closed, adds up over days.
type carry [5]uint8

// with are the outcomes of a day with those before it.
func (c carry) with(today counts) counts {
	for i, n := range c {
		if i == Complained.index() {
			i = Other.index()
		}
		today.add(i, int(n))
	}
	return today
}

// and is what is carried on after a day: nothing once there was a sample.
func (c carry) and(today counts, sample int) carry {
	all := c.with(today)
	n := 0
	for i := range all {
		if i != Complained.index() {
			n += int(all[i])
		}
	}
	if n >= min(sample, math.MaxUint8) {
		return carry{}
	}
	return carry{uint8(all[0]), uint8(all[1]), uint8(all[2]), uint8(all[3]), uint8(all[Other.index()])}
}

// begin starts a day in the stage at the time of a reservation, if none is running.
func (r ramp) begin(l *ladder, at int64) ramp {
	if r.since == 0 {
		r.since = at
	}
	if r.period == 0 && r.pos < l.top() {
		r.period = at
	}
	if r.fresh {
		r.fresh, r.touched = false, at
	}
	return r
}

// phase is the visible state of r.
func (r *ramp) phase(l *ladder) Phase {
	switch {
	case r.paused:
		return PhasePaused
	case r.pos >= l.top(), l.keep && r.pos == l.top()-1 && (r.cause == "" || r.cause == CauseOperator):
		return PhaseComplete
	case r.tries >= stuckDays:
		return PhaseStuck
	case r.back:
		return PhaseSteppedBack
	case r.cause == CauseIdle:
		return PhaseCooled
	case r.cause != "" && r.cause != CauseOperator:
		return PhaseHolding
	default:
		return PhaseWarming
	}
}

// told says that the path tells more than that it is at the start: somebody or something put it there.
func (r *ramp) told() bool { return r.cause != "" && r.cause != CauseVolume && r.cause != CauseIdle }
