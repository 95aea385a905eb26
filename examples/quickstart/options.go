package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/reputemail/repute/warmup"
)

// The source addresses, from TEST-NET-2 (RFC 5737): the fake network tells them to the receivers.
const (
	coldAddr = "198.51.100.20"
	warmAddr = "198.51.100.10"
)

// The streams.
const (
	transactional = "transactional"
	marketing     = "marketing"
)

// proceed is the status that says that there is none yet.
const proceed = -1

// options are what the command line says, and the clocks.
type options struct {
	messages int
	json     bool
	verbose  bool
	clocks   clocks
}

// clocks are the waits of the fake internet and ours, shortened so that nobody has to wait.
type clocks struct {
	greylist   time.Duration // a greylisting receiver wants this much between two tries
	greylisted time.Duration // and this is when we come back
	retry      time.Duration // after other short causes
	rest       time.Duration // a path rests when its receiver limits the rate
	window     time.Duration // that receiver counts over this time
}

// demoClocks are the clocks unless a test wants others.
func demoClocks() clocks {
	return clocks{
		greylist: 3 * time.Second, greylisted: 4 * time.Second, retry: time.Second, rest: 2 * time.Second, window: 5 * time.Second,
	}
}

// cap24 is how many messages the cold address may send to each provider in its first 24 hours: a thirtieth of all, so that
// there is something to overflow.
func (o options) cap24() int { return max(10, o.messages/30) }

// plan is the warm-up plan of the cold address. A real one spreads the day over its hours and minutes, too; this program
// ends after seconds, so its day may be used up at once.
func plan(o options) warmup.Plan {
	p := warmup.Geometric(o.cap24(), 1.4, 1_000_000)
	for i := range p.Stages {
		p.Stages[i].Hour, p.Stages[i].Minute = p.Stages[i].Day, p.Stages[i].Day
	}
	return p
}

// The least and the most messages that the program takes.
const (
	minMessages = 100
	maxMessages = 1_000_000
)

// parse reads the command line. A status other than proceed ends the program.
func parse(args []string, stderr io.Writer) (options, int) {
	o := options{clocks: demoClocks()}
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, `usage: quickstart [-n N] [-json] [-v]

Sends N messages of two streams through a cold and a warm address to fake mailbox
providers on this machine, and shows what became of them. Nothing leaves the machine.

`)
		flags.PrintDefaults()
		fmt.Fprint(stderr, `
The exit status is 0 if every message was accounted for, 1 if not or on an error, 2
if the command line is wrong. NO_COLOR=1 in the environment turns colours off.
`)
	}
	flags.IntVar(&o.messages, "n", 3000, fmt.Sprintf("send `N` messages, %d to %d", minMessages, maxMessages))
	flags.BoolVar(&o.json, "json", false, "print the result as one JSON document; progress goes to standard error")
	flags.BoolVar(&o.verbose, "v", false, "log what the Sender does to standard error, and show progress in plain lines")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return o, 0
	case err != nil:
		return o, 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "quickstart: unexpected argument %q\n", flags.Arg(0))
		flags.Usage()
		return o, 2
	case o.messages < minMessages || o.messages > maxMessages:
		fmt.Fprintf(stderr, "quickstart: -n %d is not in %d to %d\n", o.messages, minMessages, maxMessages)
		return o, 2
	}
	return o, proceed
}
