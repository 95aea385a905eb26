package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// proceed is the status that says that there is none yet.
const proceed = -1

// week is the time from one letter to the next, and window that in which a letter has to be out. A stage of warmup.Weekly takes twelve
// hours: a path that is given less time never carries it in full, and so never advances.
const (
	week   = 7 * 24 * time.Hour
	window = 12 * time.Hour
)

// options are what the command line says.
type options struct {
	readers int
	start   int
	growth  float64
	weeks   int
	svg     string
	wait    time.Duration // for the young address
	day     time.Duration // how long one lasts while the first letter is sent
}

// realDay is a day that is not shortened.
const realDay = 24 * time.Hour

// peak is the most that one provider ever gets in a week: that of the largest one.
func (o options) peak() int { return perProvider(o.readers)[providers()[0].name] }

// plan is the plan of the young address.
func (o options) plan() warmup.Plan { return warmup.Weekly(o.start, o.growth, o.peak()) }

// dailyPlan is one for mail that goes out every day, with the same start and end.
func (o options) dailyPlan() warmup.Plan { return warmup.Geometric(o.start, 0, o.peak()) }

// limits lets the first sending go as fast as the machine can when its days are short: real providers take a hundred new connections a minute, or fewer.
func (o options) limits() map[string]throttle.Limits {
	if o.day == realDay {
		return nil
	}
	fast := throttle.DefaultLimits()
	fast.MessageRate, fast.ConnectRate = throttle.Rate{}, throttle.Rate{}
	all := map[string]throttle.Limits{}
	for _, name := range names() {
		all[name] = fast
	}
	return all
}

// The bounds of the options.
const (
	minReaders, maxReaders = 100, 1_000_000
	minStart, maxStart     = 10, 1_000_000
	minWeeks, maxWeeks     = 2, 52
	minDay                 = time.Second
)

// parse reads the command line. A status other than proceed ends the program.
func parse(args []string, stderr io.Writer) (options, int) {
	var o options
	flags := flag.NewFlagSet("newsletter", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, `usage: newsletter [-readers N] [-start N] [-growth F] [-weeks N]
                  [-wait D] [-day D] [-svg FILE]

Asks whether a weekly newsletter fits onto a young IP address, sends the first one to
fake mailbox providers in memory, and plays the following weeks through. Nothing
leaves the machine.

`)
		flags.PrintDefaults()
		fmt.Fprint(stderr, `
The exit status is 0 if every reader got the letter once, 1 if not or on an error, 2
if the command line is wrong. NO_COLOR=1 in the environment turns colours off.
`)
	}
	flags.IntVar(&o.readers, "readers", 10_000, fmt.Sprintf("`N` readers, %d to %d: half of them at google, three tenths at outlook, the others at yahoo", minReaders, maxReaders))
	flags.IntVar(&o.start, "start", 500, fmt.Sprintf("each provider gets `N` letters from the young address in the first week, %d to %d", minStart, maxStart))
	flags.Float64Var(&o.growth, "growth", warmup.WeeklyGrowth, "each week by this `factor` more, above 1 and below 2")
	flags.IntVar(&o.weeks, "weeks", 12, fmt.Sprintf("look `N` weeks ahead, %d to %d", minWeeks, maxWeeks))
	flags.DurationVar(&o.wait, "wait", window, fmt.Sprintf("letters wait for the young address for a `DURATION` of 0s to %s; 0s shows what comes of it without", realDay))
	flags.DurationVar(&o.day, "day", 15*time.Second, fmt.Sprintf("how long a day lasts while the first letter is sent, a `DURATION` of %s to %s", minDay, realDay))
	flags.StringVar(&o.svg, "svg", "", "draw the weeks into `FILE`")
	wrong := func(format string, args ...any) (options, int) {
		fmt.Fprintf(stderr, "newsletter: "+format+"\n", args...)
		return o, 2
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return o, 0
	case err != nil:
		return o, 2
	case flags.NArg() > 0:
		return wrong("unexpected argument %q", flags.Arg(0))
	case o.readers < minReaders || o.readers > maxReaders:
		return wrong("-readers %d is not in %d to %d", o.readers, minReaders, maxReaders)
	case o.start < minStart || o.start > maxStart:
		return wrong("-start %d is not in %d to %d", o.start, minStart, maxStart)
	case o.weeks < minWeeks || o.weeks > maxWeeks:
		return wrong("-weeks %d is not in %d to %d", o.weeks, minWeeks, maxWeeks)
	case o.wait < 0 || o.wait > realDay:
		return wrong("-wait %s is not in 0s to %s", o.wait, realDay)
	case o.day < minDay || o.day > realDay:
		return wrong("-day %s is not in %s to %s", o.day, minDay, realDay)
	case !(o.growth > 1 && o.growth < warmup.MaxGrowth):
		return wrong("-growth %g is not above 1 and below %g", o.growth, float64(warmup.MaxGrowth))
	}
	if err := o.plan().Validate(); err != nil {
		return wrong("no plan can be made of -start and -growth: %v", err)
	}
	return o, proceed
}
