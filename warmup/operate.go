package warmup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrWarm is the error of an operator's method for a route without a plan: there is nothing to hold back. The ledger knows no other routes, so it is
// also the error for one that does not exist.
var ErrWarm = errors.New("warmup: the route has no plan")

// actorKey is the key of WithActor.
type actorKey struct{}

// WithActor names who calls an operator's method with the context: the name is in the Change.
func WithActor(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, actorKey{}, name)
}

// Pause makes the ledger refuse every reservation on a path (ReasonPaused) until Resume, over restarts too. The path keeps its stage
// meanwhile; the pause is judged as idle time when it ends. To pause a paused path changes nothing.
//
// Like all methods for operators it may be called while mail is sent, and in several processes: when it returns nil the change is on record; other processes on
// the same store obey it when they lease the next block, within ten minutes. What is outstanding stays allowed. The error is ErrWarm, ErrClosed, or of the store:
// then the change may or may not be on record. Safe for concurrent use.
func (l *Ledger) Pause(ctx context.Context, p Path) error {
	return l.operate(ctx, "pause", p, func(r ramp, _ int64) ramp { r.paused = true; return r })
}

// Resume ends a pause. It is like Pause in all else.
func (l *Ledger) Resume(ctx context.Context, p Path) error {
	return l.operate(ctx, "resume", p, func(r ramp, _ int64) ramp { r.paused = false; return r })
}

// AlreadyWarm completes the warm-up of a path: it carries the host's full volume already, as that of an address that was used before. It grows cold
// again like any other when it is idle. It is like Pause in all else.
func (l *Ledger) AlreadyWarm(ctx context.Context, p Path) error {
	return l.place(ctx, "declare warm", p, func(lad *ladder) (int, error) {
		if lad.keep {
			return lad.top() - 1, nil
		}
		return lad.top(), nil
	})
}

// SetStage puts a path at the beginning of a stage, counted from 1. What was sent before still counts in the windows. A stage that the plan does not have is an error
// that says so. It is like Pause in all else.
func (l *Ledger) SetStage(ctx context.Context, p Path, stage int) error {
	return l.place(ctx, "set stage of", p, func(lad *ladder) (int, error) {
		if stage < 1 || stage > lad.top() {
			return 0, fmt.Errorf("stage is %d: the plan has stages 1 to %d", stage, lad.top())
		}
		return stage - 1, nil
	})
}

// Reset puts a path at the start of its plan. What was sent before still counts in the windows. It is like Pause in all else.
func (l *Ledger) Reset(ctx context.Context, p Path) error {
	return l.place(ctx, "reset", p, func(*ladder) (int, error) { return 0, nil })
}

// place puts a path at a position of its ladder. A pause stays.
func (l *Ledger) place(ctx context.Context, what string, p Path, find func(*ladder) (int, error)) error {
	pos := 0
	if lad := l.ladders[p.Route]; lad != nil {
		var err error
		if pos, err = find(lad); err != nil {
			return fmt.Errorf("warmup: %s %s: %w", what, p, err)
		}
	}
	return l.operate(ctx, what, p, func(r ramp, at int64) ramp {
		return ramp{pos: pos, since: at, cause: CauseOperator, paused: r.paused, fresh: true}
	})
}

// operate changes the ramp of a path.
func (l *Ledger) operate(ctx context.Context, what string, p Path, edit func(r ramp, at int64) ramp) error {
	lad := l.ladders[p.Route]
	if lad == nil {
		return fmt.Errorf("warmup: %s %s: %w", what, p, ErrWarm)
	}
	defer l.tell()
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
	actor, _ := ctx.Value(actorKey{}).(string)
	q := ask{at: pt.seen, edit: edit, actor: actor, told: unstamp(stamp(time.Now()))}
	var err error
	switch {
	case l.store == nil:
		l.agree(pt, q)
	case pt.loaded:
		err = l.write(ctx, pt, q).err
	default:
		err = l.editRecord(ctx, pt, q)
	}
	if err != nil {
		return fmt.Errorf("warmup: %s %s: %w", what, p, err)
	}
	return nil
}

// editRecord changes the ramp on record of a path that this owner has not used yet. The rest stays as it is: to take over what an earlier life of this owner
// was promised, the time would have to be known. p.mu is held, but not while the store is used.
func (l *Ledger) editRecord(ctx context.Context, p *path, q ask) error {
	var after ramp
	var seen int64
	var change Change
	_, err := p.use(func() error {
		return l.store.Update(ctx, recordKey(p.Path), func(old []byte) ([]byte, error) {
			rec := newRecord(p.Path)
			before := ramp{}
			if old != nil {
				var err error
				if rec, err = decodeRecord(old); err != nil {
					return nil, err
				}
				before = rec.ramp(p.ladder)
			}
			after, seen = q.edit(before, rec.Seen), rec.Seen
			change = p.ladder.change(p.Path, before, after, rec.Seen, Evidence{}, counts{})
			change.Actor, change.Time = q.actor, q.told
			rec.setRamp(after, p.ladder)
			if rec.blankAt(p.ladder, rec.Seen) {
				return nil, nil
			}
			return json.Marshal(rec)
		})
	})
	if err != nil {
		return err
	}
	p.ramp, p.seen = after, max(p.seen, seen)
	if change.Path != (Path{}) {
		l.note(change)
	}
	return nil
}
