// Command migration moves a live stream of mail from a relay to two new IP addresses, on one machine:
//
//	go run ./examples/migration -simulate -chart move.svg
//	go run ./examples/migration -run
//	go run ./examples/migration -run -sabotage 6
//
// The addresses are cold: each provider gets from them what their warm-up plan allows, and the share of the recipients that is moved grows with that. The
// rest goes the old way, and is what the new way is compared with. Each provider moves by itself.
//
// -simulate plays the weeks in virtual time and prints what is to be expected. -run lives them: a Sender speaks SMTP over loopback sockets to a relay and three fake
// providers, and a day lasts two seconds. With -sabotage DAY one provider has enough of the new addresses on that day: its mail goes back to the relay by
// itself, with the evidence, and the others move on. No mail leaves the machine.
//
// What to copy is in plan.go (the plan and the migration) and in move.go (the Sender and its Config). The others hold the command line (options.go), the forecast
// (simulate.go, forecast.go), the faster time (calendar.go), the fake internet (internet.go), and what is counted, shown and checked (tally.go, progress.go,
// report.go).
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender/sendertest"
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
	var err error
	if o.simulate {
		err = simulate(ctx, o, stdout, stderr)
	} else {
		err = perform(ctx, o, sendertest.NewTCPNetwork(), show.New(stdout, false))
	}
	if err != nil {
		fmt.Fprintln(stderr, "migration:", err)
		return 1
	}
	return 0
}
