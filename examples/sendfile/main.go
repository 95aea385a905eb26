// Command sendfile sends message files: each FILE is one RFC 5322 message, as mail programs save it (".eml").
//
//	sendfile -dkim-domain example.com -dkim-selector s1 -dkim-rsa rsa.pem -dkim-ed25519 ed25519.pem letter.eml
//	sendfile -relay smtp.example.com:587 -user news -from bounces@example.com -to a@example.org,b@example.net *.eml
//
// Keys for DKIM are made by the functions of package auth, or by
//
//	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem
//	openssl genpkey -algorithm ed25519 -out ed25519.pem
//
// It shows a whole program around package sender: one direct or relay route, one stream with a DKIM signer, an observer,
// and an orderly end.
//
//  1. The command line becomes a sender.Config (options.go). Whatever is wrong with it is found before anything is sent.
//  2. Each file is read, its line ends become CRLF, its Bcc field is taken out (RFC 5322 section 3.6.3), and the envelope
//     is taken from the command line or else from its From and To, Cc and Bcc fields (letter.go). What the Sender refuses is
//     named with the file, the field and the clause of the RFC.
//  3. Sender.Send brings each to its recipients and returns when all of them are delivered, bounced or expired. At most
//     256 MiB of mail are open at a time; the other files wait.
//  4. Meanwhile every event is a line of progress on standard error, also what mail waits for that was not even attempted,
//     such as a name server (report.go). A greylisted message is tried again after some minutes; -expire bounds all that.
//  5. SIGINT or SIGTERM drains: no new file is taken, attempts in flight may finish, for at most 30 seconds. A second signal
//     ends the program at once.
//  6. A table on standard output has a line for each recipient; with -json, standard output is one JSON object for each event
//     of a delivery instead, and one with the sums at the end.
//
// The exit status is 0 when every recipient of every file was delivered; 1 when something bounced, expired, is still waiting,
// or could not be read or accepted; 2 when the command line is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/reputemail/repute/sender"
)

const (
	drainFor  = 30 * time.Second // after a signal
	lookEvery = time.Second      // at what open mail waits for
	openBytes = 256 << 20        // of mail at a time
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal has its usual effect
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	var cfg sender.Config
	if err == nil {
		cfg, err = o.config()
	}
	if err == nil {
		r := newReport(o, stdout, stderr)
		if err = deliver(ctx, cfg, o, r); err == nil {
			return r.finish()
		}
	}
	fmt.Fprintf(stderr, "sendfile: %v\n(sendfile -h shows the usage)\n", err)
	return 2
}

// deliver sends the files and tells r what becomes of them. An error says that nothing was begun, because of cfg.
func deliver(ctx context.Context, cfg sender.Config, o *options, r *report) error {
	cfg.Observer = r
	s, err := sender.New(cfg)
	if err != nil {
		return flagError(err)
	}
	r.sender = s
	if err := s.Start(ctx); err != nil {
		return err
	}
	looking, stopLooking := context.WithCancel(ctx)
	var looks sync.WaitGroup
	looks.Go(func() { r.look(looking) })

	done := make(chan struct{})
	go func() {
		defer close(done)
		sendAll(ctx, s, o, r)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		r.interrupted()
	}
	stopLooking()
	looks.Wait()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
	defer cancel()
	if err := s.Stop(drain); err != nil {
		r.note("attempts were broken off: %v", err)
	}
	<-done // Send gives up when the Sender has stopped
	return nil
}

// sendAll takes the files in order, until ctx ends, and returns when each that was taken has its outcome.
func sendAll(ctx context.Context, s *sender.Sender, o *options, r *report) {
	var sending sync.WaitGroup
	defer sending.Wait()
	open := semaphore.NewWeighted(openBytes)
	for i, file := range o.files {
		size := weight(file)
		if ctx.Err() != nil || open.Acquire(ctx, size) != nil {
			r.notTaken(o.files[i:])
			return
		}
		l := r.take(i, file)
		sending.Go(func() {
			defer open.Release(size)
			l.send(ctx, s, o)
		})
	}
}

// weight is what a file counts towards openBytes.
func weight(file string) int64 {
	const least = 4 << 10
	info, err := os.Stat(file)
	if err != nil {
		return least // opening it will say why
	}
	return min(least+info.Size(), openBytes)
}

// send brings one file to its recipients and notes the outcomes. The end of ctx does not end it, so that an attempt in flight
// still counts: Sender.Stop does.
func (l *letter) send(ctx context.Context, s *sender.Sender, o *options) {
	m, err := o.message(l.file)
	if err != nil {
		l.refused(err)
		return
	}
	m.ID = l.id
	outcomes, err := s.Send(context.WithoutCancel(ctx), m)
	switch {
	case outcomes != nil:
		l.settled(outcomes)
	case errors.Is(err, sender.ErrStopped):
		l.report.notTaken([]string{l.file})
	default:
		l.refused(err)
	}
}
