// Command quickstart shows what the library does, on one machine and in less than a minute:
//
//	go run ./examples/quickstart
//
// It starts a small internet on the loopback interface (name servers, mailbox providers that judge who writes to them),
// and then sends some thousand signed messages of two streams through a new, cold address. The cold address is warmed up:
// each provider gets from it what the plan allows, and the rest overflows to an address that is warm already. One provider
// limits the rate, one greylists, and some addresses are dead. No mail leaves the machine.
//
// This file is the program as a host would write it; the others hold the fake internet (internet.go), the mail (mail.go)
// and what is shown (progress.go, explain.go, report.go, tables.go).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/throttle"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, status := parse(args, stderr)
	if status != proceed {
		return status
	}
	return perform(ctx, o, stdout, stderr)
}

// perform does what the options say.
func perform(ctx context.Context, o options, stdout, stderr io.Writer) int {
	screen := show.New(stdout, o.verbose)
	if o.json {
		screen = show.New(stderr, true) // standard output is for the document
	}
	logger := slog.New(slog.DiscardHandler)
	if o.verbose {
		logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	r, err := send(ctx, o, screen, logger)
	if err == nil && o.json {
		err = r.writeJSON(stdout)
	} else if err == nil {
		err = screen.Print(r.text(screen)...)
	}
	if err != nil {
		fmt.Fprintln(stderr, "quickstart:", err)
		return 1
	}
	if len(r.Problems) > 0 {
		return 1
	}
	return 0
}

// send is the story: it sends the mail and tells what became of it.
func send(ctx context.Context, o options, screen *show.Screen, logger *slog.Logger) (*report, error) {
	world, err := startInternet(o)
	if err != nil {
		return nil, err
	}
	defer world.close()
	signer, err := world.signer("example.com")
	if err != nil {
		return nil, err
	}
	count := newTally(o.messages)

	s, err := sender.New(sender.Config{
		Routes: []sender.Route{
			{Name: "cold", LocalAddr: coldAddr, Hostname: "mta2.example.com", Warmup: plan(o)},
			{Name: "warm", LocalAddr: warmAddr, Hostname: "mta1.example.com"},
		},
		Pools: []sender.Pool{{Name: "main", Routes: []string{"cold"}, Overflow: []string{"warm"}}},
		Streams: []sender.Stream{
			{Name: transactional, Pool: "main", Signer: signer, ExpireAfter: 4 * time.Hour, Weight: 8},
			{Name: marketing, Pool: "main", Signer: signer, ExpireAfter: 72 * time.Hour, Weight: 1},
		},
		Observer: count,
		Logger:   logger,

		// From here on only what makes it a demonstration: the internet is ours, and its clocks run faster.
		DNS:  []string{world.dns.Addr()},
		Dial: world.network.Dial,
		Backoff: throttle.Backoff{
			RateLimited: o.clocks.rest, Network: o.clocks.rest, // 10 and 5 minutes by default
			MinMessageRate: throttle.Rate{N: 100, Per: time.Second}, // 1 a minute
		},
		Reactions: &throttle.Reactions{}, // else there are some, which last for hours
		Retry:     sender.RetryPolicy{Greylisted: o.clocks.greylisted, ShortCause: o.clocks.retry},
	})
	if err != nil {
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	progress := watch(s, count, screen)
	for letter := range letters(o.messages) {
		if ctx.Err() != nil {
			break
		}
		if _, err = s.Enqueue(ctx, letter); err != nil {
			break
		}
	}
	if err == nil {
		count.wait(ctx)
	}
	progress.stop()
	if ctx.Err() != nil {
		screen.Print("", "Interrupted: what is under way is brought to an end, the rest stays in the queue.")
		err = nil
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	switch stopErr := s.Stop(grace); {
	case err != nil:
		return nil, err
	case errors.Is(stopErr, context.DeadlineExceeded):
		screen.Print("Some attempts had to be broken off.")
	case stopErr != nil:
		return nil, stopErr
	}
	return newReport(o, s, count, world, progress)
}
