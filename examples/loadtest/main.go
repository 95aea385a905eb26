// Command loadtest measures how many messages a second the Sender brings to a sink, and how long each takes.
//
//	go run ./examples/loadtest
//	smtp-sink -c 127.0.0.1:2525 200 & go run ./examples/loadtest -addr 127.0.0.1:2525 -bare
//	go run ./examples/loadtest -addr 127.0.0.1:2525 -queue sqlite:load.db -dkim rsa -json
//
// The sink is a mail server that takes everything and keeps nothing, such as smtp-sink of Postfix (which as root wants
// "-u nobody"). Without -addr the program starts one of its own on the loopback interface; that costs processor time of the
// same process, so its figures are for a first look only.
//
//  1. Some goroutines (-enqueuers) hand N messages to Sender.Enqueue as fast as it takes them: accept_per_s. While the queue
//     is full they wait.
//  2. The Sender brings them over one relay route with C connections to the sink, in clear text. The last settlement that is
//     durable ends the run: end_to_end_per_s. p50_ms and p99_ms are times from the call of Enqueue to the event that tells
//     of the delivery; since all messages are enqueued at once, most of that is waiting.
//  3. With -bare, a plain loop of go-smtp's client then sends the same messages, unsigned, over as many connections to the same
//     sink: bare_per_s, and the ratio of the two.
//
// cpu_s and peak_rss_mb are those of this process while the Sender ran. A queue that is a file or a database may hold mail
// of an earlier run: it is counted, sent as well, and in no figure.
//
// The exit status is 0 when every message was delivered, 1 when not or after an error, 2 when the command line is wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, status := parse(args, stderr)
	if status != proceed {
		return status
	}
	r, err := measure(ctx, o, show.New(stderr, false))
	if err == nil {
		err = r.write(stdout, o.json)
	}
	if err != nil {
		fmt.Fprintln(stderr, "loadtest:", err)
		return 1
	}
	if r.Delivered < o.messages || r.Interrupted {
		return 1
	}
	return 0
}

// drainFor is how long attempts in flight may take after a signal.
const drainFor = 10 * time.Second

// measure is the story: it sends the load, over the Sender and, if that is wanted, by the bare loop.
func measure(ctx context.Context, o options, screen *show.Screen) (_ *report, err error) {
	to, err := openSink(ctx, o)
	if err != nil {
		return nil, err
	}
	defer to.close()
	logger := slog.New(slog.NewTextHandler(printer{screen}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	q, err := openQueue(ctx, o.queue, logger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, q.close()) }()
	signer, err := newSigner(o.dkim)
	if err != nil {
		return nil, err
	}
	l := newLoad(o)
	s, err := sender.New(sender.Config{
		Routes: []sender.Route{{
			Name: "sink", Hostname: hostname,
			Relay: &sender.Relay{Addr: to.addr, TLS: transport.TLSNone, Limits: &throttle.Limits{Connections: o.connections}},
		}},
		Streams:        []sender.Stream{{Name: "load", Signer: signer, ExpireAfter: time.Hour}},
		Queue:          q.Queue, // as it is: the Sender looks for its add-ons
		Observer:       l,
		Logger:         logger,
		MaxConnections: o.connections,
		MaxMessageSize: maxSize,
	})
	if err != nil {
		return nil, err
	}
	screen.Print(fmt.Sprintf("%d messages of %d bytes over %d connections to %s, queue %s, DKIM %s.",
		o.messages, o.size, o.connections, to, q.kind, o.dkim))
	if q.found > 0 {
		screen.Print(fmt.Sprintf("The queue holds %d messages of an earlier run. They are sent too, and not counted.", q.found))
	}
	stopProfile, err := profile(o.profile)
	if err != nil {
		return nil, err
	}
	defer stopProfile()
	progress := watch(screen, l)
	defer progress.stop()

	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	runErr := l.run(ctx, s)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
	defer cancel()
	stopErr := s.Stop(grace)
	if runErr != nil {
		return nil, runErr
	}
	if stopErr != nil && ctx.Err() == nil {
		return nil, stopErr
	}
	stopProfile()
	r := newReport(o, to, q, l)
	if o.bare && ctx.Err() == nil {
		if err := l.bare(ctx, to.addr); err != nil {
			return nil, err
		}
		r.addBare(l)
	}
	r.Interrupted = ctx.Err() != nil
	return r, nil
}

// profile begins to write a CPU profile, if there is a file for it. What it returns ends that, and may be called twice.
func profile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("-cpuprofile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("-cpuprofile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}
