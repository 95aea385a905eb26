package warmup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// openMigration begins the scenario's migration, if it has one.
func (s *simulation) openMigration(ctx context.Context) error {
	if s.Migration == nil {
		return nil
	}
	var mu sync.Mutex // providers are synced at the same time
	m, err := OpenMigrator(ctx, MigratorConfig{Migrations: []Migration{*s.Migration}, OnChange: func(c MigrationChange) {
		mu.Lock()
		defer mu.Unlock()
		s.forecast.Migration = append(s.forecast.Migration, c)
	}})
	if err != nil {
		return fmt.Errorf("warmup: Scenario.Migration: %w", err)
	}
	s.migrator = m
	for _, p := range s.Providers {
		m.Arm(s.Migration.Name, p.Name, "", "") // Makes it known.
	}
	s.now = s.Start
	s.sync(ctx)
	return nil
}

// sync lets the migration decide.
func (s *simulation) sync(ctx context.Context) {
	if s.migrator != nil {
		n := len(s.forecast.Migration)
		_ = s.migrator.SyncAt(ctx, s.now) // A store in memory does not fail.
		slices.SortStableFunc(s.forecast.Migration[n:], func(a, b MigrationChange) int { return cmp.Compare(a.Provider, b.Provider) })
	}
}

// share is the share of a provider's recipients that belong to the new arm.
func (s *simulation) share(provider string) float64 {
	if s.migrator == nil {
		return 0
	}
	if !s.Migration.PerProvider {
		provider = ""
	}
	st, err := s.migrator.State(s.Migration.Name, provider)
	if err != nil {
		return 0
	}
	return st.Share
}

// observe tells the migration what became of messages.
func (s *simulation) observe(p *simProvider, route int, now time.Time, c cohort, o Outcome, n int) {
	if s.migrator == nil {
		return
	}
	arm := ArmNew
	if c.old {
		arm = ArmControl
	}
	s.migrator.Observe(MigrationOutcome{
		Migration: s.Migration.Name, Provider: p.Name, Arm: arm, Outcome: o, N: n, Delay: now.Sub(c.first), First: c.tries == 0,
		Diverted: arm == ArmNew && route == len(s.Routes),
	})
}
