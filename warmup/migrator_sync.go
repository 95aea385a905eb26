package warmup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// manyUnits is the number of units up to which each is read every time. Of more, those that nothing was observed of are read every tenth time.
	manyUnits  = 100
	idleRounds = 10
	// batchLife is how long a batch is tried that may be on record already. Later the record could have forgotten the owner, and with it the batch.
	batchLife = int64(12 * time.Hour)
)

// errAsItIs is the error with which nothing is written, since there is nothing new.
var errAsItIs = errors.New("nothing to write")

// SyncAt writes what was observed, reads what the others observed, and decides: it advances, holds and rolls back. Migrations that are not on record
// yet start. What could not be written is kept for the next time, and is never added twice. It returns the errors of the store, joined; it goes on with the other
// migrations meanwhile. Where each provider advances by itself and there are more than 100, those without any outcome since the last time are read
// every tenth time.
func (m *Migrator) SyncAt(ctx context.Context, now time.Time) error {
	if m.closed.Load() {
		return fmt.Errorf("warmup: sync migrations: %w", ErrClosed)
	}
	at := stamp(now)
	m.latest.Store(at)
	return m.syncAll(ctx, at, false)
}

// syncAll syncs all units that are due, or those that have something to write.
func (m *Migrator) syncAll(ctx context.Context, at int64, last bool) error {
	round := m.rounds.Add(1)
	units := m.units()
	slices.SortFunc(units, func(a, b *migrationUnit) int { return strings.Compare(a.provider, b.provider) })
	var due []*migrationUnit
	for i, u := range units {
		u.mu.Lock()
		dirty := u.batch != nil || len(u.deltas) > 0
		fresh := u.rec == nil
		u.mu.Unlock()
		if dirty || !last && (fresh || len(units) <= manyUnits || (int64(i)+round)%idleRounds == 0) {
			due = append(due, u)
		}
	}
	return errors.Join(inParallel(due, func(u *migrationUnit) error {
		if err := m.write(ctx, u, at, nil); err != nil {
			return fmt.Errorf("warmup: sync migrations: key %q: %w", u.key(), err)
		}
		return nil
	})...)
}

// units are all units.
func (m *Migrator) units() []*migrationUnit {
	var all []*migrationUnit
	for _, name := range m.names {
		all = append(all, m.migrations[name].all()...)
	}
	return all
}

// all are the units, in the order of their providers.
func (g *migration) all() []*migrationUnit {
	if g.one != nil {
		return []*migrationUnit{g.one}
	}
	g.mu.RLock()
	all := make([]*migrationUnit, 0, len(g.units))
	for _, u := range g.units {
		all = append(all, u)
	}
	g.mu.RUnlock()
	slices.SortFunc(all, func(a, b *migrationUnit) int { return strings.Compare(a.provider, b.provider) })
	return all
}

func (u *migrationUnit) key() string { return migrationKey(u.migration.plan.Name, u.provider) }

// migrationEdit is what an operator wants of a record: an error leaves it as it is, and so does false.
type migrationEdit struct {
	do     func(rec *migrationRecord, plan *Migration, at int64) (bool, error)
	actor  string
	reason string
}

// write agrees with the store on a unit: the batch is added, and either the edit is made or the record decides.
func (m *Migrator) write(ctx context.Context, u *migrationUnit, at int64, edit *migrationEdit) error {
	select {
	case u.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	changes, err := m.writeAlone(ctx, u, at, edit)
	<-u.writing
	for _, c := range changes {
		m.log.Info("migration changed", "migration", c.Migration, "provider", c.Provider, "phase", c.To.Phase, "cause", c.To.Cause, "stage", c.To.Stage,
			"share", c.To.Share, "actor", c.Actor, "reason", c.Reason)
		if m.onChange != nil {
			m.onChange(c)
		}
	}
	return err
}

// writeAlone is write while nobody else uses the store for the unit. It returns what is to be told.
func (m *Migrator) writeAlone(ctx context.Context, u *migrationUnit, at int64, edit *migrationEdit) ([]MigrationChange, error) {
	batch := u.take(at)
	var rec *migrationRecord
	offered := false
	var raw []byte
	err := m.store.Update(ctx, u.key(), func(old []byte) ([]byte, error) {
		next, changed, err := m.agree(u, batch, old, at, edit)
		if err != nil {
			return nil, err
		}
		if rec = next; !changed {
			raw = old
			return nil, errAsItIs
		}
		value, err := json.Marshal(rec)
		offered = offered || err == nil
		raw = value
		return value, err
	})
	if errors.Is(err, errAsItIs) {
		err = nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		if batch != nil && offered && batch.tried == 0 {
			batch.tried = max(at, 1)
		}
		return nil, err
	}
	u.batch = nil
	u.see(rec)
	u.raw = bytes.Clone(raw)
	var changes []MigrationChange
	for i, c := range rec.History {
		if rec.Changes-len(rec.History)+i >= u.told && c.Session == m.session {
			changes = append(changes, c.MigrationChange)
		}
	}
	u.told = rec.Changes
	return changes, nil
}

// take is the batch that is to be written: the one that failed before, or what was observed since.
func (u *migrationUnit) take(at int64) *migrationBatch {
	u.mu.Lock()
	defer u.mu.Unlock()
	if b := u.batch; b != nil && b.tried != 0 && (at-b.tried > batchLife || b.tried-at > batchLife) {
		u.batch = nil
	}
	if u.batch == nil && len(u.deltas) > 0 {
		u.seq++
		u.batch = &migrationBatch{seq: u.seq, deltas: u.deltas}
		u.deltas = nil
	}
	return u.batch
}

// known is a copy of the record as it was last read or written, if it is still that.
func (u *migrationUnit) known(old []byte) *migrationRecord {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.rec == nil || !bytes.Equal(old, u.raw) {
		return nil
	}
	rec := *u.rec
	rec.Strata, rec.History, rec.Owners = slices.Clone(rec.Strata), slices.Clone(rec.History), maps.Clone(rec.Owners)
	return &rec
}

// agree works out the new record, and says whether it differs from the old one.
func (m *Migrator) agree(u *migrationUnit, batch *migrationBatch, old []byte, at int64, edit *migrationEdit) (rec *migrationRecord, changed bool, err error) {
	plan := &u.migration.plan
	note := func(from MigrationPosition, evidence []Comparison) {
		c := MigrationChange{Migration: plan.Name, Provider: u.provider, Time: unstamp(at), From: from, To: rec.position(plan), Evidence: evidence}
		if edit != nil {
			c.Actor, c.Reason = edit.actor, edit.reason
		}
		rec.History = append(rec.History, recordedChange{c, m.session})
		if n := len(rec.History) - maxHistory; n > 0 {
			rec.History = slices.Delete(rec.History, 0, n)
		}
		rec.Changes++
		changed = true
	}
	if old == nil {
		rec = beginMigration(plan, u.provider, at)
		note(MigrationPosition{Phase: MigrationWaiting}, nil)
	} else if rec = u.known(old); rec != nil { // nobody has changed it since
	} else if rec, err = decodeMigration(old, plan); err != nil {
		return nil, false, err
	} else if rec.Provider != u.provider {
		return nil, false, fmt.Errorf("corrupted record: provider is %.80q", rec.Provider)
	}
	if batch != nil {
		changed = rec.apply(m.owner, m.session, batch, at) || changed
	}
	rec.adapt(plan, at, note)
	if edit != nil {
		from := rec.position(plan)
		did, err := edit.do(rec, plan, at)
		if err != nil {
			return nil, false, err
		}
		if did {
			note(from, rec.compare(plan.Tests))
		}
		return rec, changed, nil
	}
	looks, behind := rec.Looks, rec.Behind
	rec.decide(plan, at, note)
	return rec, changed || rec.Looks != looks || rec.Behind != behind, nil
}

// apply adds a batch, unless it is on record already or might be.
func (r *migrationRecord) apply(owner, session string, b *migrationBatch, at int64) bool {
	mark, known := r.Owners[owner]
	switch {
	case known && mark.Session == session && mark.Seq >= b.seq:
		return false
	case b.tried != 0 && b.seq > 1 && !known, b.tried != 0 && known && mark.Session != session:
		// What the record knew of the batch is gone. It is counted as on record.
	default:
		for _, d := range b.deltas {
			if s := r.counts(d.run, d.stage); s != nil {
				s.New.add(d.new)
				s.Control.add(d.control)
			}
		}
	}
	r.mark(owner, batchMark{Session: session, Seq: b.seq, Seen: at})
	return true
}
