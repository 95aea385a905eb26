package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/reputemail/repute/warmup"
)

// proceed is the status that says that there is none yet.
const proceed = -1

// options are what the command line says.
type options struct {
	simulate bool // else run
	days     int
	volume   int // messages a day; with a curve on its largest
	curve    warmup.Curve
	format   string
	chart    string
	day      time.Duration
	sabotage int
}

// name is what the migration is called.
func (o options) name() string { return migration(warmPlan(o.volume), o.volume).Name }

// The least and the most that the program takes.
const (
	minDays     = 2
	maxDays     = 365
	minVolume   = 300
	maxVolume   = 10_000_000
	maxRunDays  = 60
	maxRun      = 5_000
	minDay      = 500 * time.Millisecond
	maxDay      = 24 * time.Hour
	defaultDays = 16
)

const usage = `usage: migration -simulate [-days N] [-volume N | -csv FILE] [-format F] [-chart FILE] [-sabotage DAY]
       migration -run [-days N] [-volume N] [-day DURATION] [-sabotage DAY]

Moves mail from a relay to two new IP addresses, by shares that grow with the
addresses' warm-up, for each provider by itself. Nothing leaves the machine.

`

// parse reads the command line. A status other than proceed ends the program.
func parse(args []string, stderr io.Writer) (options, int) {
	o, perform, file := options{}, false, ""
	flags := flag.NewFlagSet("migration", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
		fmt.Fprint(stderr, `
The exit status is 0 if what was to be shown was shown, 1 if not (a message that
did not arrive exactly once, a provider that was not moved, with -sabotage one
that was not rolled back) or on an error, 2 if the command line is wrong. NO_COLOR=1
in the environment turns colours off.
`)
	}
	flags.BoolVar(&o.simulate, "simulate", false, "play the days in virtual time, and print what is to be expected")
	flags.BoolVar(&perform, "run", false, "live the days, with real SMTP on this machine and faster clocks")
	flags.IntVar(&o.days, "days", defaultDays, fmt.Sprintf("how many days, `N` of %d to %d, with -run up to %d", minDays, maxDays, maxRunDays))
	flags.IntVar(&o.volume, "volume", 1200, fmt.Sprintf("`N` messages a day, %d to %d, with -run up to %d", minVolume, maxVolume, maxRun))
	flags.StringVar(&file, "csv", "", "with -simulate: the messages of each day, measured: a CSV `FILE` with a line for each day, whose last\ncolumn is the number; it begins again at its end")
	flags.StringVar(&o.format, "format", "table", "with -simulate: print a table, csv or json (`F`)")
	flags.StringVar(&o.chart, "chart", "", "with -simulate: draw the forecast as SVG into `FILE`")
	flags.DurationVar(&o.day, "day", 2*time.Second, fmt.Sprintf("with -run: how long a day lasts, a `DURATION` of %s to %s", minDay, maxDay))
	flags.IntVar(&o.sabotage, "sabotage", 0, fmt.Sprintf("let %s have enough of the new addresses on that `DAY`, so that it is rolled back; where most has moved\nby then there is little left to compare with, and it is held", sabotaged))
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return o, 0
	case err != nil:
		return o, 2
	}
	set := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if err := o.check(set, flags.Args()); err != nil {
		fmt.Fprintln(stderr, "migration:", err)
		return o, 2
	}
	if file == "" {
		o.curve = warmup.Flat(o.volume)
		return o, proceed
	}
	if err := o.read(file); err != nil {
		fmt.Fprintln(stderr, "migration: -csv:", err)
		return o, 2
	}
	return o, proceed
}

// check finds what is wrong with the flags. set are those that were given.
func (o *options) check(set map[string]bool, rest []string) error {
	mostDays, most := maxDays, maxVolume
	if set["run"] {
		mostDays, most = maxRunDays, maxRun
	}
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q; -h explains", rest[0])
	case set["simulate"] == set["run"]:
		return errors.New("say either -simulate or -run; -h explains")
	case o.days < minDays || o.days > mostDays:
		return fmt.Errorf("-days %d is not in %d to %d", o.days, minDays, mostDays)
	case o.volume < minVolume || o.volume > most:
		return fmt.Errorf("-volume %d is not in %d to %d", o.volume, minVolume, most)
	case set["sabotage"] && (o.sabotage < 1 || o.sabotage > o.days):
		return fmt.Errorf("-sabotage %d is not one of the %d days", o.sabotage, o.days)
	case o.format != "table" && o.format != "csv" && o.format != "json":
		return fmt.Errorf("-format %q is not table, csv or json", o.format)
	case o.day < minDay || o.day > maxDay:
		return fmt.Errorf("-day %s is not in %s to %s", o.day, minDay, maxDay)
	case set["csv"] && set["volume"]:
		return errors.New("-csv and -volume: the file says how much it is each day")
	}
	for _, name := range []string{"csv", "format", "chart"} {
		if set["run"] && set[name] {
			return fmt.Errorf("-%s has no effect with -run", name)
		}
	}
	if set["simulate"] && set["day"] {
		return errors.New("-day has no effect with -simulate")
	}
	return nil
}

// read takes the volume from a file.
func (o *options) read(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if o.curve, err = warmup.ReadCurve(file); err != nil {
		return err
	}
	o.curve.Repeat = true
	if o.volume = o.curve.Peak(); o.volume < minVolume || o.volume > maxVolume {
		return fmt.Errorf("%s: its largest day has %d messages: that is not in %d to %d", name, o.volume, minVolume, maxVolume)
	}
	return nil
}
