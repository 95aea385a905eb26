package warmup

import (
	"fmt"
	"time"
)

// Change is a move of a path: to another phase or another stage.
type Change struct {
	Path
	// Time is when it was decided, UTC.
	Time time.Time `json:"time"`
	// From and To are where the path stood and stands.
	From Position `json:"from"`
	To   Position `json:"to"`
	// Evidence is what the gate found, when that is why.
	Evidence Evidence `json:"evidence,omitzero"`
	// Outcomes are what all processes observed in the day that ended, with the days before it if these had too little to be judged.
	Outcomes Outcomes `json:"outcomes"`
	// Actor is who wanted it, for a change by an operator who gave a name (see WithActor).
	Actor string `json:"actor,omitempty"`
}

// Position is where a path stands in its plan.
type Position struct {
	Phase Phase `json:"phase"`
	Cause Cause `json:"cause,omitempty"`
	// Stage counts from 1; one more than the plan has when complete.
	Stage int `json:"stage"`
	// DayCap is the stage's cap for 24 hours; that of the last stage when complete.
	DayCap int `json:"day_cap"`
}

// String is the change in words.
func (c Change) String() string {
	s := fmt.Sprintf("%v: %s, stage %d (%d a day) -> %s, stage %d (%d a day)", c.Path, c.From.Phase, c.From.Stage, c.From.DayCap, c.To.Phase, c.To.Stage, c.To.DayCap)
	if c.To.Cause != "" {
		s += ", " + string(c.To.Cause)
	}
	if e := c.Evidence.String(); e != "" {
		s += " (" + e + ")"
	}
	return s
}

// position is where r stands.
func (l *ladder) position(r *ramp) Position {
	return Position{Phase: r.phase(l), Cause: r.cause, Stage: r.pos + 1, DayCap: l.dayCap(r.pos)}
}

// change is the move from one ramp to another, or the zero Change if an observer sees none.
func (l *ladder) change(p Path, from, to ramp, at int64, why Evidence, c counts) Change {
	a, b := l.position(&from), l.position(&to)
	if a == b {
		return Change{}
	}
	return Change{Path: p, Time: unstamp(at), From: a, To: b, Evidence: why, Outcomes: c.outcomes()}
}

// note keeps a change until it can be told.
func (l *Ledger) note(c Change) {
	l.log.Info("warm-up changed", "route", c.Route, "provider", c.Provider, "phase", c.To.Phase, "cause", c.To.Cause, "stage", c.To.Stage,
		"day_cap", c.To.DayCap, "evidence", c.Evidence.String())
	if l.onChange == nil {
		return
	}
	l.changesMu.Lock()
	l.changes = append(l.changes, c)
	l.changesMu.Unlock()
	l.untold.Store(true)
}

// tell tells of the changes that were noted. No lock is held.
func (l *Ledger) tell() {
	if !l.untold.Load() {
		return
	}
	l.changesMu.Lock()
	all := l.changes
	l.changes = nil
	l.untold.Store(false)
	l.changesMu.Unlock()
	for _, c := range all {
		l.onChange(c)
	}
}

// ahead is the ramp at a time as far as this owner knows. Where others have a part in the day, only the store can judge it. p.mu is held.
func (p *path) ahead(at int64) ramp {
	if p.shared && p.ramp.period != 0 && p.ramp.idle(p.ladder, at, p.lastSent) == 0 {
		return p.ramp
	}
	r, _ := p.ramp.next(p.ladder, p.Provider, at, p.lastSent, day{p.outcomes, p.burst(p.ladder.gate.BlockBurst, at), p.scarce})
	return r
}
