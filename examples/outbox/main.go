// Command outbox is a small order service that sends each customer a confirmation: one mail for each order, also when the process is
// killed at any moment.
//
//	go run ./examples/outbox                    # in a new SQLite file, which it names
//	go run ./examples/outbox -crashes 12        # killed twelve times on the way
//	go run ./examples/outbox -postgres DSN      # the same in PostgreSQL
//
// # The trouble
//
// An order is a row in a database, its confirmation is mail. Whoever commits the row first and sends then loses the mail when the process
// dies between the two; whoever sends first confirms orders that are rolled back. No order of these two steps is right.
//
// # The pattern
//
// The mail is a row as well: it is written in the transaction that writes the order, and both are there or neither is. Something that
// reads those rows sends them later, again and again until they have gone out. This is called a transactional outbox. Often it takes a
// table, a program that polls it, and a message broker with a state of its own. Here the queue of the Sender is the outbox, since it lives in
// the service's own database:
//
//  1. The transaction begins, and writes the order (shop.go).
//  2. Sender.EnqueueTx writes the confirmation, in the same transaction. Nothing is sent yet.
//  3. The card is charged. If it is declined the transaction is rolled back: no order, no mail.
//  4. The transaction is committed. The Sender notices within a second, and delivers.
//
// A process that dies before 4 leaves nothing. After 4 it leaves mail that waits, and the next process on the same database sends it. A customer
// who got no answer, since the process died, orders again: the order has the number that it had, and so its row is there already, or is written now. The mail's
// ID is made of that number, so that even a second confirmation would be known for a repetition (sender.Message.ID).
//
// # Where a duplicate can come from
//
// The receiver answers the end of a message with "250", and from then on the mail is its own (RFC 5321 section 4.2.5). The Sender then writes into the
// queue that it was delivered. A process that dies between the two cannot know, when it comes back, whether the receiver had the
// message; it has to choose between sending it again, perhaps a second time, and not sending it, perhaps never. Mail is sent again (RFC
// 1047; RFC 5321 section 6.1). No queue in the world closes this gap, since the receiver takes no part in the transaction. What can be done:
//
//   - The gap is short: what was delivered is written at once, so a kill duplicates at most what was on its way at that moment, one message
//     for each connection, and what was delivered while the last commit took place. Mostly it is none.
//   - A repeated message has the Message-ID that it had, by which many receivers drop the second one. This one is made of the order's number, too.
//
// # What it shows
//
// With -crashes this program starts itself as another process, and that one kills itself, as kill -9 does, at points of its work: between any two
// of the steps above, and in the gap. It is started again until all orders are placed and confirmed. The mail host of the customers stays in
// the first process and counts. At the end a table compares the orders in the database with the mail that arrived: nothing is missing, no
// order that was rolled back has mail, each duplicate is explained by the kill that caused it, and what the queue was known to have as delivered
// was not sent again. Mail that was in flight when a process died goes
// out again at once; when this happens to it for the fourth time in a row, it waits for ten seconds, since it may be what kills.
//
// The shop is in main.go, shop.go and store.go, which is all that a service needs. The rest makes the demonstration: the customers' mail
// host (mailhost.go), the kills (fuse.go, crashes.go) and what is shown (report.go, progress.go).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/throttle"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal has its usual effect
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, status := parse(args, stderr)
	if status != proceed {
		return status
	}
	screen := show.New(stdout, false)
	if o.json {
		screen = show.New(stderr, true) // standard output is for the document
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	tell := trade
	switch {
	case o.crashes > 0:
		tell = survive
	case o.life > 0:
		ctx = withParent(ctx)
	}
	r, err := tell(ctx, o, screen, logger)
	if err == nil && o.json {
		err = r.writeJSON(stdout)
	} else if err == nil {
		err = screen.Print(r.text(screen)...)
	}
	if err != nil {
		fmt.Fprintln(stderr, "outbox:", err)
		return 1
	}
	if len(r.Problems) > 0 {
		return 1
	}
	return 0
}

// connections is how many the Sender may have open to the mail host at a time.
const connections = 4

// drainFor is how long attempts in flight may take at the end.
const drainFor = 10 * time.Second

// trade is the story of one process: customers order, and their confirmations are sent.
func trade(ctx context.Context, o options, screen *show.Screen, logger *slog.Logger) (_ *report, err error) {
	host, err := openMailHost(ctx, o.addr)
	if err != nil {
		return nil, err
	}
	defer host.close()
	q, err := openStore(ctx, o, logger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	fuse := newFuse(o.kill, os.Stderr) // none, but for the demonstration
	sent := newTally(fuse)
	if o.life > 0 {
		sent.out = os.Stdout // for the process that started this one
	}
	s, err := sender.New(sender.Config{
		Routes: []sender.Route{{
			Name: "relay", Hostname: lifeName(o.life),
			Relay: &sender.Relay{Addr: host.addr, Limits: &throttle.Limits{Connections: connections}},
		}},
		Queue:     q,
		Observer:  sent,
		Logger:    logger,
		Transport: fuse.transport(), // none without a fuse

		// Processes on one PostgreSQL share the relay's connections; those of a dead one are free after this. 15 seconds by default.
		ThrottleTTL: 2 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	shop := &shop{db: q.DB(), sender: s, fuse: fuse}
	progress := watch(screen, o, host, sent.len)
	orders, err := serveCustomers(ctx, shop, o)
	if err == nil {
		err = waitForMail(ctx, s)
	}
	progress.stop()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
	defer cancel()
	stopErr := s.Stop(drain)
	if ctx.Err() != nil {
		err, stopErr = nil, nil // whatever is open: the database has it
	}
	if err = errors.Join(err, stopErr); err != nil {
		return nil, err
	}
	fuse.end()
	found, err := audit(drain, q)
	if err != nil {
		return nil, err
	}
	r := &report{Store: o.store(), Interrupted: ctx.Err() != nil, Repeated: orders.repeated}
	r.compare(o, found, sent.delivered, host)
	return r, nil
}

// waitForMail returns when the queue is empty, or with ctx's error.
func waitForMail(ctx context.Context, s *sender.Sender) error {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		lanes, err := s.Lanes(ctx)
		if err != nil || len(lanes) == 0 {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
