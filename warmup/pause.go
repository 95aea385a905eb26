package warmup

import (
	"context"
	"errors"
	"fmt"
)

// ErrWarm is the error of Pause and Resume for a route without a plan: there is nothing to hold back.
var ErrWarm = errors.New("warmup: the route has no plan")

// Pause makes the ledger refuse every reservation on a path (ReasonPaused) until Resume, over restarts too. The path keeps its stage
// meanwhile; the pause is judged as idle time when it ends. What is outstanding stays allowed. When Pause returns nil the pause is on
// record; other processes on the same store obey it within ten minutes. The error is ErrWarm, ErrClosed, or of the store: then the pause may or
// may not be on record. To pause a paused path changes nothing. Safe for concurrent use.
func (l *Ledger) Pause(ctx context.Context, p Path) error { return l.setPaused(ctx, p, true) }

// Resume ends a pause. It is like Pause in all else.
func (l *Ledger) Resume(ctx context.Context, p Path) error { return l.setPaused(ctx, p, false) }

func (l *Ledger) setPaused(ctx context.Context, p Path, paused bool) error {
	what := "pause"
	if !paused {
		what = "resume"
	}
	lad := l.ladders[p.Route]
	if lad == nil {
		return fmt.Errorf("warmup: %s %s: %w", what, p, ErrWarm)
	}
	pt, reason := l.lockToUse(ctx, p, lad, 0)
	switch {
	case reason == ReasonStore:
		return fmt.Errorf("warmup: %s %s: %w", what, p, ctx.Err())
	case reason == ReasonClosed:
		return fmt.Errorf("warmup: %s %s: ledger: %w", what, p, ErrClosed)
	case pt == nil:
		return fmt.Errorf("warmup: %s %s: the ledger holds as many paths as it may", what, p)
	}
	defer pt.mu.Unlock()
	if l.store == nil {
		pt.ramp.paused = paused
	} else if err := l.write(ctx, pt, ask{at: pt.seen, paused: &paused}).err; err != nil {
		return fmt.Errorf("warmup: %s %s: %w", what, p, err)
	}
	l.log.Info("warm-up "+what+"d", "route", p.Route, "provider", p.Provider)
	return nil
}
