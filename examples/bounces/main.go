// Command bounces shows what becomes of mail that a receiver accepts and then sends back:
//
//	go run ./examples/bounces
//
// It starts a mailbox provider on the loopback interface that accepts everything, and bounces minutes later in real life, here at once: some
// mailboxes are dead, some are full, and some messages it does not like for where they come from. Some readers call the mail spam, some are on holiday,
// and somebody forges a bounce. A Sender writes to all of them twice. What came back decides who gets the second mail: dead
// addresses and those who complained do not; whoever was refused for our own fault does.
//
// This file is the program as a host would write it; the provider is in provider.go, the people in people.go, and what is shown in report.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/reputemail/repute/bounce/intake"
	"github.com/reputemail/repute/bounce/suppress"
	"github.com/reputemail/repute/bounce/verp"
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
	flags := flag.NewFlagSet("bounces", flag.ContinueOnError)
	flags.SetOutput(stderr)
	readers := flags.Int("n", 200, "how many people are written to, 20 to 10000")
	if flags.Parse(args) != nil {
		return 2
	}
	if *readers < 20 || *readers > 10_000 || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "bounces: -n is 20 to 10000, and there are no other arguments")
		return 2
	}
	if err := send(ctx, people(*readers), show.New(stdout, false)); err != nil {
		fmt.Fprintln(stderr, "bounces:", err)
		return 1
	}
	return 0
}

// send is the story.
func send(ctx context.Context, readers []reader, screen *show.Screen) error {
	// Tokens are made with a key that only the host knows. All of its processes have the same.
	tokens, err := verp.New(verp.Config{Keys: []verp.Key{{ID: "a", Secret: []byte("from your secrets, not from here")}}})
	if err != nil {
		return err
	}
	world, err := startInternet(readers)
	if err != nil {
		return err
	}
	defer world.close()

	list, err := suppress.New(suppress.Config{}) // in memory; beside a queue in a database it is durable
	if err != nil {
		return err
	}
	var tally tally
	s, err := sender.New(sender.Config{
		Routes:       []sender.Route{{Name: "mta1", LocalAddr: "198.51.100.10", Hostname: "mta1.example.com"}},
		Streams:      []sender.Stream{{Name: newsletter, ReturnPath: &sender.ReturnPath{Tokens: tokens, Domain: bouncesDomain}}},
		Suppressions: list,
		Observer:     &tally,

		// From here on only what makes it a demonstration.
		DNS:  []string{world.dns.Addr()},
		Dial: world.network.Dial,
	})
	if err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	defer s.Stop(context.WithoutCancel(ctx))

	// What comes back is read here, and told to the Sender.
	providers, err := throttle.NewTable(throttle.TableConfig{})
	if err != nil {
		return err
	}
	in, err := intake.New(intake.Config{Sink: tally.before(s), Tokens: tokens, Providers: providers})
	if err != nil {
		return err
	}
	server, err := intake.NewServer(intake.ServerConfig{Intake: in, Hostname: bouncesHost, Addresses: []string{feedbackAddress}, PerMinute: 100_000})
	if err != nil {
		return err
	}
	listener, err := world.network.Listen(bouncesAddr)
	if err != nil {
		return err
	}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(listener) })
	defer serving.Wait()
	defer server.Close()

	first, err := mailing(ctx, s, readers, "first", screen)
	if err != nil {
		return err
	}
	if err := world.sendBack(ctx, screen); err != nil {
		return err
	}
	second, err := mailing(ctx, s, readers, "second", screen)
	if err != nil {
		return err
	}
	return report(screen, readers, world, &tally, [2]map[string]string{first, second})
}

// mailing writes to all readers, and waits until the provider has what the list lets through. It returns whom the list refused, and why.
func mailing(ctx context.Context, s *sender.Sender, readers []reader, name string, screen *show.Screen) (refused map[string]string, err error) {
	refused = map[string]string{}
	var mu sync.Mutex
	var group sync.WaitGroup
	slots := make(chan struct{}, 20)
	done := 0
	for _, r := range readers {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			outcomes, failure := s.Send(ctx, letter(r, name))
			mu.Lock()
			defer mu.Unlock()
			for _, o := range outcomes {
				if o.Reason != "" {
					refused[r.address] = o.Reason
				}
			}
			if failure != nil && err == nil {
				err = failure
			}
			if done++; done%10 == 0 {
				screen.Draw([]string{fmt.Sprintf("%s mailing: %s", name, show.Bar(30, done, len(readers)))})
			}
		})
	}
	group.Wait()
	screen.Draw(nil)
	return refused, err
}
