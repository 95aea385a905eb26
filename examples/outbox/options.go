package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const usage = `usage: outbox [flags]

Takes orders from customers who are made up, and sends each a confirmation. Order and mail are
written in one transaction. At the end it compares the orders with the mail that arrived.

  -db FILE           SQLite file (default: a new one in a temporary folder, which is named)
  -postgres DSN      PostgreSQL instead, as a URL or in keywords
  -orders N          up to order number N (default 60); one after the last order that is
                     there, so a second run on the same database goes on
  -every DURATION    how often somebody orders (default 20ms)
  -addr HOST:PORT    mail host or relay that takes the mail (default: one inside this program,
                     which counts what arrives)
  -crashes N         let another process do it, which is killed N times on the way
  -kill POINT:N      kill this process when it comes to POINT for the Nth time; clock:N is
                     after N milliseconds. Run it again with the same -db afterwards. Points:
%s
  -json              print the result as one JSON object; progress goes to standard error

The exit status is 0 if each order has its mail and each duplicate a cause, 1 if not or after
an error, 2 if the command line is wrong. NO_COLOR=1 in the environment turns colours off.
`

// proceed is the status that says that there is none yet.
const proceed = -1

// options are what the command line says.
type options struct {
	db, postgres string
	orders       int
	every        time.Duration
	addr         string
	crashes      int
	kill         doom
	json         bool
	life         int // the number of this process among those that -crashes starts; 0: it was started by hand
}

// The bounds.
const (
	maxOrders  = 10_000
	maxCrashes = 1000
	maxEvery   = time.Minute
)

// parse reads the command line. A status other than proceed ends the program.
func parse(args []string, stderr io.Writer) (options, int) {
	var o options
	var kill string
	flags := flag.NewFlagSet("outbox", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are told below, and the usage is our own
	flags.StringVar(&o.db, "db", "", "")
	flags.StringVar(&o.postgres, "postgres", "", "")
	flags.IntVar(&o.orders, "orders", 60, "")
	flags.DurationVar(&o.every, "every", 20*time.Millisecond, "")
	flags.StringVar(&o.addr, "addr", "", "")
	flags.IntVar(&o.crashes, "crashes", 0, "")
	flags.StringVar(&kill, "kill", "", "")
	flags.BoolVar(&o.json, "json", false, "")
	flags.IntVar(&o.life, "life", 0, "") // not told: only -crashes gives it
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		list := ""
		for _, w := range points() {
			list += fmt.Sprintf("                       %-8s %s\n", w.point, w.words)
		}
		fmt.Fprintf(stderr, usage, list[:len(list)-1])
		return o, 0
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err == nil && given["kill"] {
		if o.kill, err = parseDoom(kill); err != nil {
			err = fmt.Errorf("-kill: %w", err)
		}
	}
	if err == nil {
		err = o.validate(given)
	}
	if err != nil {
		fmt.Fprintf(stderr, "outbox: %v\n(outbox -h shows the usage)\n", err)
		return o, 2
	}
	if o.db == "" && o.postgres == "" {
		dir, err := os.MkdirTemp("", "outbox-")
		if err != nil {
			fmt.Fprintln(stderr, "outbox:", err)
			return o, 1
		}
		o.db = filepath.Join(dir, "shop.db")
	}
	return o, proceed
}

// validate names the flag that is wrong.
func (o *options) validate(given map[string]bool) error {
	switch {
	case o.orders < 1 || o.orders > maxOrders:
		return fmt.Errorf("-orders: %d is not in 1 to %d", o.orders, maxOrders)
	case o.every < 0 || o.every > maxEvery:
		return fmt.Errorf("-every: %v is not in 0s to %v", o.every, maxEvery)
	case given["crashes"] && (o.crashes < 1 || o.crashes > maxCrashes):
		return fmt.Errorf("-crashes: %d is not in 1 to %d", o.crashes, maxCrashes)
	case given["db"] && given["postgres"]:
		return errors.New("-db and -postgres: there is one database")
	case given["crashes"] && given["addr"]:
		return errors.New("-addr: goes without -crashes, which counts at a mail host of its own")
	case given["crashes"] && given["kill"]:
		return errors.New("-kill: goes without -crashes, which chooses the points itself")
	}
	for _, name := range []string{"db", "postgres", "addr"} {
		if given[name] && map[string]string{"db": o.db, "postgres": o.postgres, "addr": o.addr}[name] == "" {
			return fmt.Errorf("-%s: is empty", name)
		}
	}
	if o.addr != "" {
		host, port, err := net.SplitHostPort(o.addr)
		if n, bad := strconv.Atoi(port); err != nil || host == "" || bad != nil || n < 1 || n > 65535 {
			return fmt.Errorf("-addr: %q is not HOST:PORT", o.addr)
		}
	}
	return nil
}

// store is the database for people. A DSN is not told, since it may hold a password.
func (o options) store() string {
	if o.postgres != "" {
		return "PostgreSQL"
	}
	return o.db
}

// confirmations is how many of the orders are not declined.
func (o options) confirmations() int {
	n := 0
	for id := range int64(o.orders) {
		if !orderNumber(id + 1).declined {
			n++
		}
	}
	return n
}
