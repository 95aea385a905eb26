package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
)

// options are what the command line says.
type options struct {
	addr        string // of the sink; empty: one of our own
	messages    int
	connections int
	enqueuers   int
	domains     int
	size        int
	dkim        string
	queue       queueSpec
	bare        bool
	json        bool
	profile     string
}

// queueSpec is the value of -queue: what kind of queue, and where.
type queueSpec struct{ kind, at string }

// The kinds of queues.
const (
	queueMemory   = "memory"
	queueSQLite   = "sqlite"
	queuePostgres = "postgres"
)

// The values of -dkim.
const (
	dkimNone    = "none"
	dkimRSA     = "rsa"
	dkimEd25519 = "ed25519"
)

// The bounds of the numbers.
const (
	maxMessages    = 10_000_000
	maxConnections = 10_000
	minSize        = 512
	maxSize        = 25 << 20
)

// proceed is the status that says that there is none yet.
const proceed = -1

const usage = `usage: loadtest [flags]

Enqueues messages for a sink, a mail server that takes everything, and tells how many a
second the Sender accepted and delivered, and how long one took.

  -addr HOST:PORT    the sink, such as Postfix' smtp-sink (default: one inside this process)
  -n N               messages (default 20000)
  -c N               connections to the sink (default 50)
  -enqueuers N       goroutines that enqueue (default: as many as connections)
  -domains N         domains of the recipients: each is a lane of its own (default 1)
  -size BYTES        size of a message, header and body (default 10240)
  -dkim WHICH        sign: rsa (2048 bits), ed25519 or none (default none)
  -queue WHERE       memory, sqlite:PATH or postgres:DSN (default memory)
  -bare              then send the same by a plain loop of go-smtp's client, to compare
  -json              print the result as one JSON object
  -cpuprofile FILE   write a CPU profile of the Sender's run, for "go tool pprof"

The exit status is 0 if all messages were delivered, 1 if not or after an error, 2 if the
command line is wrong. Progress goes to standard error, the result to standard output.
`

// parse reads the command line. A status other than proceed ends the program.
func parse(args []string, stderr io.Writer) (options, int) {
	var o options
	var where string
	flags := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are told below, and the usage is our own
	flags.StringVar(&o.addr, "addr", "", "")
	flags.IntVar(&o.messages, "n", 20_000, "")
	flags.IntVar(&o.connections, "c", 50, "")
	flags.IntVar(&o.enqueuers, "enqueuers", 0, "")
	flags.IntVar(&o.domains, "domains", 1, "")
	flags.IntVar(&o.size, "size", 10<<10, "")
	flags.StringVar(&o.dkim, "dkim", dkimNone, "")
	flags.StringVar(&where, "queue", queueMemory, "")
	flags.BoolVar(&o.bare, "bare", false, "")
	flags.BoolVar(&o.json, "json", false, "")
	flags.StringVar(&o.profile, "cpuprofile", "", "")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stderr, usage)
		return o, 0
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err == nil {
		o.queue, err = parseQueue(where)
	}
	if err == nil {
		if !given["enqueuers"] {
			o.enqueuers = o.connections
		}
		err = o.validate(given)
	}
	if err != nil {
		fmt.Fprintf(stderr, "loadtest: %v\n(loadtest -h shows the usage)\n", err)
		return o, 2
	}
	return o, proceed
}

// validate names the flag that is wrong.
func (o *options) validate(given map[string]bool) error {
	for _, n := range []struct {
		flag      string
		value     int
		min, most int
	}{
		{"-n", o.messages, 1, maxMessages},
		{"-c", o.connections, 1, maxConnections},
		{"-enqueuers", o.enqueuers, 1, maxConnections},
		{"-domains", o.domains, 1, maxMessages},
		{"-size", o.size, minSize, maxSize},
	} {
		if n.value < n.min || n.value > n.most {
			return fmt.Errorf("%s: %d is not in %d to %d", n.flag, n.value, n.min, n.most)
		}
	}
	if !slices.Contains([]string{dkimNone, dkimRSA, dkimEd25519}, o.dkim) {
		return fmt.Errorf("-dkim: %q is not one of rsa, ed25519 and none", o.dkim)
	}
	if o.addr == "" && given["addr"] {
		return errors.New("-addr: is empty; leave it out for a sink inside this process")
	}
	if o.addr != "" {
		host, port, err := net.SplitHostPort(o.addr)
		if n, bad := strconv.Atoi(port); err != nil || host == "" || bad != nil || n < 1 || n > 65535 {
			return fmt.Errorf("-addr: %q is not HOST:PORT", o.addr)
		}
	}
	return nil
}

// parseQueue reads -queue.
func parseQueue(where string) (queueSpec, error) {
	kind, at, has := strings.Cut(where, ":")
	// A URL is a DSN as it is.
	if kind == "postgresql" || kind == queuePostgres && strings.HasPrefix(at, "//") {
		return queueSpec{queuePostgres, where}, nil
	}
	q := queueSpec{kind, at}
	switch kind {
	case queueMemory:
		if has {
			return q, errors.New("-queue: memory is no place to name; leave the colon out")
		}
		return q, nil
	case queueSQLite:
		if at == "" {
			return q, errors.New("-queue: sqlite needs the file: sqlite:PATH")
		}
		return q, nil
	case queuePostgres:
		if at == "" {
			return q, errors.New("-queue: postgres needs the database: postgres:DSN")
		}
		return q, nil
	}
	return q, fmt.Errorf("-queue: %q is not memory, sqlite:PATH or postgres:DSN", kind) // not all of it: a DSN has a password
}
