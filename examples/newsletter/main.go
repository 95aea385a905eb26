// Command newsletter sends a weekly newsletter from a young IP address, and tells beforehand what will become of it:
//
//	go run ./examples/newsletter
//
// A list of 10,000 readers at three providers gets a letter each week. The address that it is to come from is young: by its plan each
// provider gets 500 letters from it in the first week, and 1.3 times as many each week after. So the program
//
//  1. asks whether the letter fits, week by week, by a plan for weekly mail and by one for daily mail (fit.go);
//  2. sends the first letter with a real Sender to providers in memory: within half a day the readers who were here last get it from the young address, best
//     first, all others at once over a relay, and password resets never wait for either (send.go);
//  3. asks the Sender what the next week will be, and plays the weeks after it through (weeks.go, which also draws them);
//  4. shows who got it over which route (report.go).
//
// No mail leaves the machine: the internet is that of internet.go. While the first letter is sent, a day lasts 15 seconds (calendar.go); with
// -day 24h it is a real one. With -wait 0s the letter does not wait for the young address: then hardly anything comes from it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/reputemail/repute/examples/internal/show"
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
	if err := publish(ctx, o, show.New(stdout, false)); err != nil {
		fmt.Fprintln(stderr, "newsletter:", err)
		return 1
	}
	return 0
}

// publish is the story.
func publish(ctx context.Context, o options, screen *show.Screen) error {
	list := newList(o.readers)
	asked, err := ask(o, list)
	if err != nil {
		return err
	}
	if err := screen.Print(asked.text(o, screen)...); err != nil {
		return err
	}
	first, err := sendFirst(ctx, o, list, screen)
	if err != nil {
		return err
	}
	if err := screen.Print(first.text(screen)...); err != nil {
		return err
	}
	all, err := playWeeks(ctx, o, list)
	if err != nil {
		return err
	}
	all[0] = first.week()
	if err := screen.Print(weeksText(asked.weekly, all, screen)...); err != nil {
		return err
	}
	if o.svg != "" {
		if err := writeChart(o.svg, weeksChart(asked.weekly, all)); err != nil {
			return err
		}
		if err := screen.Print("", "The chart is in "+o.svg+"."); err != nil {
			return err
		}
	}
	return first.check(list)
}
