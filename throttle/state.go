package throttle

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Phase is where a path stands.
type Phase string

// The phases.
const (
	// PhaseOpen: the path sends up to its limits.
	PhaseOpen Phase = "open"
	// PhaseStopped: nothing is sent before State.Until.
	PhaseStopped Phase = "stopped"
	// PhaseRamping: the path comes back from a stop, one connection more with each success.
	PhaseRamping Phase = "ramping"
)

// State is a snapshot of a path.
type State struct {
	Path
	// Phase is where the path stands.
	Phase Phase `json:"phase"`
	// Open is the number of connections taken and not released.
	Open int `json:"open"`
	// Reason and Cause say why the path is stopped or ramping, Since when and Until when it was stopped. Empty and zero when
	// it is open.
	Reason Reason     `json:"reason,omitempty"`
	Cause  SignalKind `json:"cause,omitempty"`
	Since  time.Time  `json:"since,omitzero"`
	Until  time.Time  `json:"until,omitzero"`
	// Limits hold now; Configured would without the signals.
	Limits     Limits `json:"limits"`
	Configured Limits `json:"configured"`
	// Messages and Connects are the whole tokens that the rates have now; -1 when unlimited.
	Messages int `json:"messages"`
	Connects int `json:"connects"`
}

// StateAt is a snapshot of a path. A path that is not remembered is as good as new. It marks the path as used.
func (l *Limiter) StateAt(now time.Time, key Path) State {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.paths.Get(now, key)
	if !ok {
		p = l.newPath(now, key)
	}
	return p.state(now, key)
}

// StatesAt are snapshots of all remembered paths, in the order of their routes and providers.
func (l *Limiter) StatesAt(now time.Time) []State {
	var states []State
	l.mu.Lock()
	l.paths.All(func(key Path, p *path) bool {
		states = append(states, p.state(now, key))
		return true
	})
	l.mu.Unlock()
	slices.SortFunc(states, func(a, b State) int {
		return cmp.Or(cmp.Compare(a.Route, b.Route), cmp.Compare(a.Provider, b.Provider))
	})
	return states
}

func (p *path) state(now time.Time, key Path) State {
	now = p.clock(now)
	s := State{
		Path:       key,
		Phase:      PhaseOpen,
		Open:       p.open,
		Limits:     p.effective(now),
		Configured: p.limits,
		Messages:   whole(p.messages.tokens(now)),
		Connects:   whole(p.connects.tokens(now)),
	}
	if p.cause != "" {
		s.Phase = PhaseRamping
		if now.Before(p.until) {
			s.Phase = PhaseStopped
		}
		s.Reason, s.Cause, s.Since, s.Until = p.cause.reason(), p.cause, p.began, p.until
	}
	return s
}

// whole counts whole tokens.
func whole(tokens float64) int {
	if math.IsInf(tokens, 1) {
		return -1
	}
	return int(tokens)
}
