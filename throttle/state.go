package throttle

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
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

// String is the state in one line, for logs: "mta1/google: stopped (rate-limited) until 2026-03-01T12:10:00Z, 0 connections of 1".
func (s State) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", s.Path, s.Phase)
	if s.Cause != "" {
		fmt.Fprintf(&b, " (%s)", s.Cause)
	}
	if s.Phase == PhaseStopped {
		b.WriteString(" until " + s.Until.Format(time.RFC3339))
	}
	fmt.Fprintf(&b, ", %d connection", s.Open)
	if s.Open != 1 {
		b.WriteByte('s')
	}
	if most := s.Limits.Connections; most > 0 {
		fmt.Fprintf(&b, " of %d", most)
	}
	return b.String()
}

// StateAt is a snapshot of a path. A path that is not remembered is as good as new. It marks the path as used.
func (l *Limiter) StateAt(now time.Time, key Path) State {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.paths.Get(now, key)
	if !ok {
		p = l.newPath(now, key)
	}
	return p.state(p.clock(now), key)
}

// StatesAt are snapshots of all remembered paths, in the order of their routes and providers. It marks none as used.
func (l *Limiter) StatesAt(now time.Time) []State {
	var states []State
	l.mu.Lock()
	l.paths.All(func(key Path, p *path) bool {
		states = append(states, p.state(p.look(now), key))
		return true
	})
	l.mu.Unlock()
	slices.SortFunc(states, func(a, b State) int {
		return cmp.Or(cmp.Compare(a.Route, b.Route), cmp.Compare(a.Provider, b.Provider))
	})
	return states
}

// state is a snapshot. now is what clock or look gave.
func (p *path) state(now time.Time, key Path) State {
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
