package warmup_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/reputemail/repute/warmup"
)

// Mail moves to a new route by shares. For two days it is as good as the old one; then it is put off more often, and the migration goes back.
func ExampleMigrator() {
	ctx := context.Background()
	m, err := warmup.OpenMigrator(ctx, warmup.MigratorConfig{
		Migrations: []warmup.Migration{{Name: "vendor-to-own", Shares: []float64{0.1, 0.25, 0.5, 1}}},
		OnChange:   func(c warmup.MigrationChange) { fmt.Println(c) },
	})
	if err != nil {
		log.Fatal(err)
	}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	if err := m.SyncAt(ctx, now); err != nil { // It starts.
		log.Fatal(err)
	}
	for hour := range 4 * 24 {
		for i := range 500 {
			to := fmt.Sprintf("user%d@example.com", hour*500+i)
			arm := m.Arm("vendor-to-own", "google", "news", to)
			outcome := warmup.Delivered // Here the message is sent by the route of the arm. This is what comes back:
			if i%50 == 0 || arm == warmup.ArmNew && hour >= 50 && i%20 == 1 {
				outcome = warmup.Deferred
			}
			m.Observe(warmup.MigrationOutcome{Migration: "vendor-to-own", Provider: "google", Arm: arm, Outcome: outcome, N: 1, First: true})
		}
		now = now.Add(time.Hour)
		if err := m.SyncAt(ctx, now); err != nil { // In a program, every 30 seconds.
			log.Fatal(err)
		}
	}
	fmt.Println(m.Arm("vendor-to-own", "google", "news", "ann@example.com"))
	// Output:
	// migration vendor-to-own: waiting, stage 0 (0 %) -> running, stage 1 (10 %)
	// migration vendor-to-own: running, stage 1 (10 %) -> running, stage 2 (25 %)
	// migration vendor-to-own: running, stage 2 (25 %) -> running, stage 3 (50 %)
	// migration vendor-to-own: running, stage 3 (50 %) -> rolled-back, stage 3 (0 %), deferrals; deferrals: 344 of 7939 against 466 of 23561, 1.84 points more, p = 4.8e-15: proven
	// control
}

// Somebody has seen enough.
func ExampleMigrator_Rollback() {
	ctx := warmup.WithActor(context.Background(), "ann")
	m, err := warmup.OpenMigrator(ctx, warmup.MigratorConfig{Migrations: []warmup.Migration{{Name: "move"}}})
	if err != nil {
		log.Fatal(err)
	}
	if err := m.SyncAt(ctx, time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)); err != nil {
		log.Fatal(err)
	}
	if err := m.Rollback(ctx, "move", "", "customers call"); err != nil {
		log.Fatal(err)
	}
	state, err := m.State("move", "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(state)
	fmt.Println(state.History[len(state.History)-1])
	fmt.Println(m.Rollback(ctx, "mvoe", "", "customers call"))
	// Output:
	// migration move: rolled-back, stage 1 of 6 (0 %), 0 of 200 in the sample
	// migration move: running, stage 1 (1 %) -> rolled-back, stage 1 (0 %), operator, by ann, "customers call"
	// warmup: roll back migration "mvoe": there is no such migration: there are move
}
