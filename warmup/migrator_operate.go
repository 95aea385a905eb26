package warmup

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// The methods for operators. Provider is empty where all providers advance together; where each advances by itself it names one of those known, or is
// empty for all known ones. Each is safe while mail is sent, and in several processes: when it returns nil the change is on record, with the
// reason, the name given to WithActor, and the rates at that time; other processes obey it when they next sync. The time is that of the latest SyncAt, or of the
// clock before the first. On an error of the store the change may or may not be on record. Asking for what is so already changes nothing.

// Advance begins the next stage, whatever the rates, the sample and the time in the stage are; after the last one the migration is complete. It ends a hold.
// The error says so if it is rolled back or complete.
func (m *Migrator) Advance(ctx context.Context, name, provider, reason string) error {
	return m.operate(ctx, "advance", name, provider, reason, func(r *migrationRecord, plan *Migration, at int64) (bool, error) {
		if err := r.underway(); err != nil {
			return false, err
		}
		r.pass(plan, at)
		r.Cause = CauseOperator
		return true, nil
	})
}

// Hold keeps the migration in its stage until Resume. The rates are still looked at, and may roll it back.
func (m *Migrator) Hold(ctx context.Context, name, provider, reason string) error {
	return m.operate(ctx, "hold", name, provider, reason, func(r *migrationRecord, _ *Migration, _ int64) (bool, error) {
		if err := r.underway(); err != nil {
			return false, err
		}
		if r.Phase == MigrationHolding && r.Cause == CauseOperator {
			return false, nil
		}
		r.Phase, r.Cause = MigrationHolding, CauseOperator
		return true, nil
	})
}

// Resume ends a hold. One that a rate had caused does not come back in this stage: only a rollback can. One for want of allowance comes back after another
// StageTime; Advance ends it.
func (m *Migrator) Resume(ctx context.Context, name, provider, reason string) error {
	return m.operate(ctx, "resume", name, provider, reason, func(r *migrationRecord, _ *Migration, _ int64) (bool, error) {
		if err := r.underway(); err != nil {
			return false, err
		}
		if r.Phase == MigrationRunning {
			return false, nil
		}
		r.Waived = r.Cause != CauseOperator && r.Cause != CauseAllowance
		r.Phase, r.Cause = MigrationRunning, CauseOperator
		return true, nil
	})
}

// Rollback sends all mail by the control arm until Restart. A complete migration can be rolled back too.
func (m *Migrator) Rollback(ctx context.Context, name, provider, reason string) error {
	return m.operate(ctx, "roll back", name, provider, reason, func(r *migrationRecord, _ *Migration, _ int64) (bool, error) {
		if r.Phase == MigrationRolledBack {
			return false, nil
		}
		r.Phase, r.Cause = MigrationRolledBack, CauseOperator
		return true, nil
	})
}

// Restart begins again at the first stage, with nothing counted. It may be called in any phase.
func (m *Migrator) Restart(ctx context.Context, name, provider, reason string) error {
	return m.operate(ctx, "restart", name, provider, reason, func(r *migrationRecord, plan *Migration, at int64) (bool, error) {
		r.restart(plan, at)
		return true, nil
	})
}

// underway is nil if the record is neither rolled back nor complete.
func (r *migrationRecord) underway() error {
	switch r.Phase {
	case MigrationRolledBack:
		return errors.New("it is rolled back, and has to be restarted")
	case MigrationComplete:
		return errors.New("it is complete")
	default:
		return nil
	}
}

// maxReason is the longest reason that is kept, in bytes.
const maxReason = 1000

func (m *Migrator) operate(ctx context.Context, verb, name, provider, reason string, do func(*migrationRecord, *Migration, int64) (bool, error)) error {
	what := fmt.Sprintf("warmup: %s migration %q", verb, name)
	if m.closed.Load() {
		return fmt.Errorf("%s: migrator: %w", what, ErrClosed)
	}
	units, err := m.named(name, provider, true)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	actor, _ := ctx.Value(actorKey{}).(string)
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	edit := &migrationEdit{do: do, actor: actor, reason: reason}
	at := m.now()
	return errors.Join(inParallel(units, func(u *migrationUnit) error {
		if err := m.write(ctx, u, at, edit); err != nil {
			return fmt.Errorf("%s: key %q: %w", what, u.key(), err)
		}
		return nil
	})...)
}

// named are the units of a name and a provider; all of the migration for an empty one, if several will do.
func (m *Migrator) named(name, provider string, several bool) ([]*migrationUnit, error) {
	g := m.migrations[name]
	if g == nil {
		return nil, fmt.Errorf("%w: there are %s", errNoMigration, list(m.names))
	}
	u, _ := g.find(provider)
	switch {
	case g.one != nil && provider != "":
		return nil, fmt.Errorf("it has no provider %q: all advance together", provider)
	case u != nil:
		return []*migrationUnit{u}, nil
	}
	units := g.all()
	if provider == "" && several && len(units) > 0 {
		return units, nil
	}
	names := make([]string, len(units))
	for i, u := range units {
		names[i] = u.provider
	}
	return nil, fmt.Errorf("it has no provider %q: there are %s", provider, list(names))
}

// list is a list of names in words.
func list(names []string) string {
	const most = 20
	switch n := len(names); {
	case n == 0:
		return "none"
	case n > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n-most)
	default:
		return strings.Join(names, ", ")
	}
}

// State is where a migration, or one of its providers, stands. It does not use the store: it is as of the latest sync. The error lists what there is.
func (m *Migrator) State(name, provider string) (MigrationState, error) {
	units, err := m.named(name, provider, false)
	if err != nil {
		return MigrationState{}, fmt.Errorf("warmup: state of migration %q: %w", name, err)
	}
	return units[0].state(), nil
}

// States are the states of all migrations and providers known, by name and provider.
func (m *Migrator) States() []MigrationState {
	units := m.units()
	states := make([]MigrationState, len(units))
	for i, u := range units {
		states[i] = u.state()
	}
	return states
}

func (u *migrationUnit) state() MigrationState {
	plan := &u.migration.plan
	s := MigrationState{Migration: plan.Name, Provider: u.provider, MigrationPosition: MigrationPosition{Phase: MigrationWaiting},
		Stages: len(plan.Shares), MinSample: plan.MinSample}
	u.mu.Lock()
	r := u.rec
	u.mu.Unlock()
	if r == nil {
		return s
	}
	s.MigrationPosition = r.position(plan)
	if within := plan.within(r.Share); s.Share > within { // Not on record yet.
		s.Share, s.Stage = within, plan.stage(within)
	}
	s.Since = unstamp(r.Since)
	if r.Phase == MigrationRunning || r.Phase == MigrationHolding {
		s.Next = s.Since.Add(plan.StageTime)
	}
	s.Sample = r.stage().New.Attempts
	for i := range r.Strata {
		s.New.add(r.Strata[i].New)
		s.Control.add(r.Strata[i].Control)
	}
	s.Rates = r.compare(plan.Tests)
	for _, c := range r.History {
		s.History = append(s.History, c.MigrationChange)
	}
	return s
}
