package warmup_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/reputemail/repute/warmup"
)

// A new address is to carry 400 messages a day to a provider, and there is more mail than that from the first day on.
func Example() {
	l, err := warmup.Open(context.Background(), warmup.Config{
		Plans: map[string]warmup.Plan{"new": warmup.Geometric(100, 1.4, 400)},
	})
	if err != nil {
		log.Fatal(err)
	}
	path := warmup.Path{Route: "new", Provider: "google"}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for day := 1; ; day++ {
		state := l.StateAt(now, path)
		if state.Phase == warmup.PhaseComplete {
			fmt.Printf("day %d: complete\n", day)
			break
		}
		sent := 0
		for end := now.Add(24 * time.Hour); now.Before(end); {
			r := l.ReserveAt(now, path, 1)
			if !r.OK {
				now = r.Until // Wait, or take another route.
				continue
			}
			l.CommitAt(now, r)                          // The receiver saw it, …
			l.ObserveAt(now, path, warmup.Delivered, 1) // … and took it.
			sent++
		}
		fmt.Printf("day %d: stage %d of %d, sent %d of %d\n", day, state.Stage, state.Stages, sent, state.Day.Cap)
	}
	// Output:
	// day 1: stage 1 of 6, sent 100 of 100
	// day 2: stage 2 of 6, sent 140 of 140
	// day 3: stage 3 of 6, sent 196 of 196
	// day 4: stage 4 of 6, sent 274 of 274
	// day 5: stage 5 of 6, sent 383 of 383
	// day 6: stage 6 of 6, sent 400 of 400
	// day 7: complete
}

// Each vendor's schedule ends at the volume that the host needs.
func ExampleConservative() {
	for _, stage := range warmup.Conservative(250).Stages {
		caps := stage.Caps()
		fmt.Println(caps.Day, caps.Hour, caps.Minute)
	}
	// Output:
	// 50 7 1
	// 50 7 1
	// 50 7 1
	// 100 13 1
	// 100 13 1
	// 100 13 1
	// 250 32 2
}

func ExamplePlan_Validate() {
	plan := warmup.Plan{Name: "hasty", Stages: []warmup.Stage{{Day: 100}, {Day: 1000}}}
	fmt.Println(plan.Validate())
	// Output: warmup: plan "hasty": stage 2: Day grows from 100 to 1000, which is 10.00 times: must be less than 2.0 times, or set AllowJumps
}

// A message that never reached the receiver is given back.
func ExampleLedger_CancelAt() {
	l, err := warmup.Open(context.Background(), warmup.Config{
		Plans: map[string]warmup.Plan{"new": {Stages: []warmup.Stage{{Day: 2, Hour: 2, Minute: 2}}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	path := warmup.Path{Route: "new", Provider: "google"}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	sent, lost := l.ReserveAt(now, path, 1), l.ReserveAt(now, path, 1)
	fmt.Println(sent.OK, lost.OK, l.ReserveAt(now, path, 1).Reason)
	l.CommitAt(now, sent)
	l.CancelAt(now, lost) // The connection was refused.
	fmt.Println(l.ReserveAt(now, path, 1).OK)
	// Output:
	// true true day-cap
	// true
}

// The counts are in a file, so that a restart goes on where the last run ended.
func ExampleOpenFile() {
	dir, err := os.MkdirTemp("", "warmup")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	path := warmup.Path{Route: "new", Provider: "google"}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for range 2 {
		store, err := warmup.OpenFile(filepath.Join(dir, "warmup.ledger"))
		if err != nil {
			log.Fatal(err)
		}
		l, err := warmup.Open(ctx, warmup.Config{Store: store, Plans: map[string]warmup.Plan{"new": warmup.Moderate(100_000)}})
		if err != nil {
			log.Fatal(err)
		}
		if r := l.ReserveAt(now, path, 1); r.OK {
			l.CommitAt(now, r)
		}
		fmt.Println(l.StateAt(now, path).Day)
		now = now.Add(time.Hour)
		if err := l.Close(ctx); err != nil {
			log.Fatal(err)
		}
		if err := store.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// {50 1}
	// {50 2}
}

// An operator holds a path back for as long as it takes.
func ExampleLedger_Pause() {
	ctx := context.Background()
	l, err := warmup.Open(ctx, warmup.Config{Plans: map[string]warmup.Plan{"new": warmup.Conservative(1000)}})
	if err != nil {
		log.Fatal(err)
	}
	path := warmup.Path{Route: "new", Provider: "google"}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	if err := l.Pause(ctx, path); err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.ReserveAt(now, path, 1).Reason)
	if err := l.Resume(ctx, path); err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.ReserveAt(now, path, 1).OK)
	// Output:
	// paused
	// true
}
