package warmup

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Use is how far a cap is used.
type Use struct {
	// Cap is the largest number of messages in the window; 0 means no cap.
	Cap int `json:"cap"`
	// Used is what counts in the window now: this owner's committed and outstanding messages.
	Used int `json:"used"`
}

// State is where a path stands: a snapshot, as of the time it was asked for.
type State struct {
	Path
	// Plan is the plan's name.
	Plan string `json:"plan,omitempty"`
	// Phase is the state in a word, and Cause why, where there is more to say.
	Phase Phase `json:"phase"`
	Cause Cause `json:"cause,omitempty"`
	// Stage is the current stage, counted from 1, of Stages; Stages+1 when complete; 0 without a plan.
	Stage  int `json:"stage"`
	Stages int `json:"stages"`
	// Day, Hour and Minute are the caps of the stage and their use.
	Day    Use `json:"day"`
	Hour   Use `json:"hour"`
	Minute Use `json:"minute"`
	// Outstanding is the number of messages that are reserved and not settled. It is part of all three Used.
	Outstanding int `json:"outstanding"`
	// Outcomes are what this owner observed since Period.
	Outcomes Outcomes `json:"outcomes"`
	// Needed is how many have to be delivered between Period and the end of its 24 hours to pass the stage; 0 when complete.
	Needed int `json:"needed"`
	// Since is when the path came to its stage; zero before the first reservation. UTC, like all times here.
	Since time.Time `json:"since,omitzero"`
	// Period is when the current day in the stage began; zero when the next reservation is to begin one.
	Period time.Time `json:"period,omitzero"`
	// LastSent is when the path was last used, as far as this owner knows.
	LastSent time.Time `json:"last_sent,omitzero"`
}

// String is the path and where it stands, in words.
func (s State) String() string {
	return fmt.Sprintf("%v: %s, stage %d of %d, %d of %d in 24 hours", s.Path, s.Phase, s.Stage, s.Stages, s.Day.Used, s.Day.Cap)
}

// StateAt is the state of a path at a time. A path that the ledger does not know stands before its first stage's first day. It changes
// nothing and does not use the store: a stage that is due to move is shown moved, and moves with the next reservation.
// Safe for concurrent use.
func (l *Ledger) StateAt(now time.Time, p Path) State {
	lad := l.ladders[p.Route]
	if lad == nil {
		return State{Path: p, Phase: PhaseWarm}
	}
	return l.look(p, lad).state(l.stamp(now))
}

// look is the state of a path in memory, or of one that nothing is known of, which is not kept.
func (l *Ledger) look(p Path, lad *ladder) *path {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if pt := l.paths[p]; pt != nil {
		return pt
	}
	return l.newPath(p, lad)
}

// StatesAt are the states of all paths in memory at a time, sorted by route and provider. It changes nothing and does not use the store.
// Safe for concurrent use; each state is a snapshot of its own.
func (l *Ledger) StatesAt(now time.Time) []State {
	l.mu.RLock()
	paths := make([]*path, 0, len(l.paths))
	for _, p := range l.paths {
		paths = append(paths, p)
	}
	l.mu.RUnlock()
	states := make([]State, len(paths))
	for i, p := range paths {
		states[i] = p.state(l.stamp(now))
	}
	slices.SortFunc(states, func(a, b State) int {
		return cmp.Or(cmp.Compare(a.Route, b.Route), cmp.Compare(a.Provider, b.Provider))
	})
	return states
}

func (p *path) state(at int64) State {
	p.mu.Lock()
	defer p.mu.Unlock()
	at = max(at, p.seen)
	r := p.ahead(at)
	s := State{
		Path:        p.Path,
		Plan:        p.ladder.name,
		Phase:       r.phase(p.ladder),
		Cause:       r.cause,
		Stage:       r.pos + 1,
		Stages:      p.ladder.top(),
		Outstanding: p.outstanding,
		Since:       unstamp(r.since),
		Period:      unstamp(r.period),
		LastSent:    unstamp(p.lastSent),
	}
	if r.period == p.ramp.period {
		s.Outcomes = p.outcomes.outcomes()
	}
	var use [kinds]Use
	for k := range kinds {
		use[k].Used = p.windows[k].usedAt(k, at) + p.outstanding
		if r.pos < p.ladder.top() {
			use[k].Cap = p.ladder.caps[r.pos][k]
		}
	}
	s.Day, s.Hour, s.Minute = use[dayWindow], use[hourWindow], use[minuteWindow]
	if s.Day.Cap > 0 {
		s.Needed = needed(s.Day.Cap)
	}
	return s
}
