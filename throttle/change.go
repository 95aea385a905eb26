package throttle

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// ChangeKind says what changed for a path.
type ChangeKind string

// The kinds.
const (
	// ChangeWarning: the first sign of trouble within an hour; nothing else follows from it yet.
	ChangeWarning ChangeKind = "warning"
	// ChangeStopped: the path is stopped, or longer than it was.
	ChangeStopped ChangeKind = "stopped"
	// ChangeOpened: the path is open again, with all that it may have.
	ChangeOpened ChangeKind = "opened"
	// ChangeLowered: a limit is lower than before.
	ChangeLowered ChangeKind = "lowered"
)

// Change is something that happened to a path, for whoever watches over it.
type Change struct {
	Path
	// Time is that of the signal.
	Time time.Time `json:"time"`
	// Kind is what changed.
	Kind ChangeKind `json:"kind"`
	// Cause is the signal that led to it.
	Cause SignalKind `json:"cause,omitempty"`
	// Reaction is the name of the rule that led to it, if one did.
	Reaction string `json:"reaction,omitempty"`
	// Until is when the stop, or the limit that a rule set, ends; zero when that depends on what the receiver does.
	Until time.Time `json:"until,omitzero"`
	// Detail is what it was decided by, in words: "connections: 5 instead of 10".
	Detail string `json:"detail,omitempty"`
	// Reply is the text of the reply, where the signal had one.
	Reply string `json:"reply,omitempty"`
}

// String is the change in one line.
func (c Change) String() string {
	s := fmt.Sprintf("%v: %s", c.Path, c.Kind)
	if c.Cause != "" {
		s += " (" + string(c.Cause) + ")"
	}
	if c.Reaction != "" {
		s += " by " + c.Reaction
	}
	if !c.Until.IsZero() {
		s += " until " + c.Until.Format(time.RFC3339)
	}
	if c.Detail != "" {
		s += ": " + c.Detail
	}
	return s
}

// tell logs changes and tells the host of them. No lock is held.
func (l *Limiter) tell(changes []Change) {
	for i := range changes {
		c := &changes[i]
		level := slog.LevelWarn
		if c.Kind == ChangeOpened || c.Kind == ChangeLowered {
			level = slog.LevelInfo
		}
		attrs := []slog.Attr{slog.String("route", c.Route), slog.String("provider", c.Provider)}
		if c.Kind != ChangeOpened {
			attrs = append(attrs, slog.String("cause", string(c.Cause)))
		}
		if c.Reaction != "" {
			attrs = append(attrs, slog.String("reaction", c.Reaction))
		}
		if !c.Until.IsZero() {
			attrs = append(attrs, slog.Time("until", c.Until), slog.Duration("for", c.Until.Sub(c.Time)))
		}
		if c.Detail != "" {
			attrs = append(attrs, slog.String("detail", c.Detail))
		}
		l.logger.LogAttrs(context.Background(), level, logged[c.Kind], attrs...)
		if l.config.OnChange != nil {
			l.config.OnChange(*c)
		}
	}
}

// logged are the log messages.
var logged = map[ChangeKind]string{
	ChangeWarning: "path warned", ChangeStopped: "path stopped", ChangeOpened: "path open again", ChangeLowered: "path limit lowered",
}
