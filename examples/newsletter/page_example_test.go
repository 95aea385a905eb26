package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/warmup"
)

// The code of docs/warmup.md: each of its blocks stands here (TestPageCode).

func Example_route() {
	cfg := sender.Config{
		Routes: []sender.Route{
			{Name: "new", LocalAddr: "192.0.2.25", Hostname: "mta2.example.com", Warmup: warmup.Conservative(50_000)},
			{Name: "esp", Relay: &sender.Relay{Addr: "smtp.esp.example:587"}},
		},
		Pools: []sender.Pool{{Name: "main", Routes: []string{"new"}, Overflow: []string{"esp"}}},
		Observer: sender.ObserverFunc(func(e sender.Event) {
			if e.Type == sender.EventWarmup {
				log.Println(e.Warmup) // "new/google: warming, stage 3 (50 a day) -> warming, stage 4 (100 a day)"
			}
		}),
	}
	_, err := sender.New(cfg)
	fmt.Println(err)
	// Output: <nil>
}

func Example_plans() {
	daily := warmup.Geometric(50, 0, 50_000)                // 1.4 times as much each day
	weekly := warmup.Weekly(500, 0, 15_000)                 // 1.3 times as much each week
	short, err := warmup.SparkPost(1_000_000).EndAt(50_000) // a vendor's table, as far as it is needed
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(daily.Stages), len(weekly.Stages), len(short.Stages))

	// From a file. A misspelt field and a step of 2 and more are errors.
	_, err = warmup.ReadPlan(strings.NewReader(`{"name": "mine", "stages": [{"day": 500}, {"day": 700}, {"day": 1500}]}`))
	fmt.Println(err)
	// Output:
	// 22 14 9
	// warmup: plan "mine": stage 3: Day grows from 700 to 1500, which is 2.14 times: must be less than 2.0 times, or set AllowJumps
}

func Example_gate() {
	cfg := sender.Config{
		WarmupGate: warmup.Gate{
			Deferral:  warmup.Threshold{Hold: 0.10, Back: 0.30}, // more patient than the default
			Block:     warmup.Threshold{Hold: 0.01, Back: 1},    // hold, and never step back for the share of a day
			Reporters: []string{"yahoo", "outlook"},             // whose complaints we get
		},
	}
	fmt.Println(cfg.WarmupGate.Validate())
	// Output: <nil>
}

func Example_best() {
	lastRead := func(string) int { return 12 }
	cfg := sender.Config{
		Ranker: sender.RankerFunc(func(_ context.Context, c sender.Candidate) int {
			if c.Stream == "transactional" {
				return sender.MaxRank
			}
			return sender.MaxRank - 1 - lastRead(c.Recipient.Address) // of the host: how many days ago
		}),
	}
	reset := sender.Message{
		Stream: "transactional", WarmOnly: true, // never over a route that is being warmed up
		From: "bounces@example.com", To: []string{"someone@example.net"},
	}
	fmt.Println(cfg.Ranker.Rank(context.Background(), sender.Candidate{Stream: "news"}), reset.WarmOnly)
	// Output: 987 true
}

func Example_overflow() {
	cfg := sender.Config{
		Routes: []sender.Route{
			{Name: "new", LocalAddr: "192.0.2.25", Hostname: "mta2.example.com", Warmup: warmup.Conservative(50_000)},
			{Name: "esp", Relay: &sender.Relay{Addr: "smtp.esp.example:587"}},
		},
		Pools: []sender.Pool{{Name: "main", Routes: []string{"new"}, Overflow: []string{"esp"}}},
		Streams: []sender.Stream{
			{Name: "transactional"},                         // somebody waits for it: what cannot go at once overflows
			{Name: "news", OverflowAfter: 10 * time.Hour},   // a campaign: the best of it waits
			{Name: "weekly", OverflowAfter: 12 * time.Hour}, // the same, by a plan of Weekly
		},
	}
	_, err := sender.New(cfg)
	fmt.Println(err)
	// Output: <nil>
}

func Example_budgets() {
	limit := warmup.Plan{Name: "machine", Stages: []warmup.Stage{{Day: 200_000}}, Keep: true} // a limit that stays
	cfg := sender.Config{
		Routes: []sender.Route{{
			Name: "new", LocalAddr: "192.0.2.25", Hostname: "mta2.example.com",
			Warmup:      warmup.Geometric(50, 0, 50_000), // for each provider
			WarmupTotal: limit,                           // for all of them together
		}},
		Streams:       []sender.Stream{{Name: "news", SigningDomain: "news.example.com"}},
		WarmupDomains: map[string]warmup.Plan{"news.example.com": warmup.Geometric(500, 0, 50_000)}, // at each provider, whatever the route
	}
	_, err := sender.New(cfg)
	fmt.Println(err)
	// Output: <nil>
}

func Example_fit() {
	plan := warmup.Weekly(500, 0, 5_000)
	fit, err := plan.Fit(warmup.Campaign{
		Messages: map[string]int{"google": 5_000, "outlook": 3_000, "yahoo": 2_000},
		Window:   12 * time.Hour,
		Every:    7 * 24 * time.Hour, Times: 12,
	})
	if err != nil {
		log.Fatal(err)
	}
	first := fit.Sendings[0]
	fmt.Println(first.Fits, first.Sent, first.Overflow, first.Providers["google"].Sent)
	fmt.Println("all of it fits from sending", fit.FirstFit, "on")
	// Output:
	// false 1500 8500 500
	// all of it fits from sending 10 on
}

func Example_migration() {
	cfg := sender.Config{
		Routes: []sender.Route{
			{Name: "old", LocalAddr: "192.0.2.10", Hostname: "mta1.example.com"},
			{Name: "new", LocalAddr: "192.0.2.25", Hostname: "mta2.example.com", Warmup: warmup.Geometric(5_000, 0, 50_000)},
		},
		Pools: []sender.Pool{{Name: "main", Routes: []string{"old"}}},
		Migrations: []sender.Migration{{
			Plan: warmup.Migration{Name: "to-new"}, // 1, 5, 10, 25, 50 and 100 %, a day each at least
			From: "main", To: "new",
		}},
	}
	s, err := sender.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := s.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer s.Stop(ctx)

	ctx = warmup.WithActor(ctx, "ann")
	state, err := s.Migrator().State("to-new", "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(state)
	for _, rate := range state.Rates {
		fmt.Println(rate)
	}
	if err := s.Migrator().Rollback(ctx, "to-new", "", "google's dashboard went red"); err != nil {
		log.Fatal(err)
	}
	// Output:
	// migration to-new: running, stage 1 of 6 (1 %), 0 of 200 in the sample
	// bounces: 0 of 0 against 0 of 0, 0.00 points more, p = 1: unknown
	// deferrals: 0 of 0 against 0 of 0, 0.00 points more, p = 1: unknown
	// blocks: 0 of 0 against 0 of 0, 0.00 points more, p = 1: unknown
	// failures: 0 of 0 against 0 of 0, 0.00 points more, p = 1: unknown
	// complaints: 0 of 0 against 0 of 0, 0.00 points more, p = 1: unknown
	// delays: 0 of 0 against 0 of 0, 0.00 points more, p = 1: unknown
}

// sour puts off half of what the new address sends, for some days.
type sour struct{ from, until time.Time }

func (s sour) Receive(now time.Time, route string, n, bad int) warmup.Received {
	if route != "new" || now.Before(s.from) || !now.Before(s.until) {
		return warmup.Received{Delivered: n - bad, Bounced: bad}
	}
	taken := (n - bad + 1) / 2
	return warmup.Received{Delivered: taken, Bounced: bad, Deferred: n - bad - taken}
}

func Example_simulate() {
	var w io.Writer = io.Discard
	start := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	forecast, err := warmup.Simulate(context.Background(), warmup.Scenario{
		Start: start, Days: 30,
		Volume: warmup.Flat(20_000),
		Providers: []warmup.ProviderShare{
			{Name: "google", Share: 0.5},
			{Name: "outlook", Share: 0.3, Receiver: sour{start.AddDate(0, 0, 8), start.AddDate(0, 0, 12)}},
			{Name: "yahoo", Share: 0.2},
		},
		Routes:   []warmup.ColdRoute{{Name: "new", Plan: warmup.Geometric(500, 0, 10_000)}},
		Overflow: &warmup.OverflowRoute{Name: "esp"},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := forecast.WriteTable(w); err != nil { // or WriteCSV; and a Forecast has a form in JSON
		log.Fatal(err)
	}
	fmt.Println(forecast.Total().Offered)
	// Output: 600000
}

func Example_operate() {
	s, err := sender.New(sender.Config{Routes: []sender.Route{
		{Name: "new", LocalAddr: "192.0.2.25", Hostname: "mta2.example.com", Warmup: warmup.Conservative(50_000)},
	}})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := s.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer s.Stop(ctx)

	for _, state := range s.WarmupStates() {
		fmt.Println(state) // "new/google: holding, stage 5 of 23, 61 of 100 in 24 hours"
	}
	path := warmup.Path{Route: "new", Provider: "google"}
	if err := s.Warmup().Pause(warmup.WithActor(ctx, "ann"), path); err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.WarmupStates()[0].Phase)
	// Output: paused
}
