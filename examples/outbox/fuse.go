package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/transport"
)

// point is a place in the work of the process at which it can be killed.
type point string

// The points, in the order in which an order comes by.
const (
	// atBegin: the transaction has begun.
	atBegin point = "begin"
	// atOrder: the order is written.
	atOrder point = "order"
	// atMail: its mail is written too.
	atMail point = "mail"
	// atCommit: both are committed. The customer was not told.
	atCommit point = "commit"
	// atSend: the mail is about to be sent.
	atSend point = "send"
	// atReply: the receiver has said 250. The queue does not know.
	atReply point = "reply"
	// atSettled: the queue knows.
	atSettled point = "settled"
	// atClock: after some milliseconds, whatever happens then.
	atClock point = "clock"
	// atEnd: all is done. A process that never came to its point ends here.
	atEnd point = "end"
)

// points are those that can be asked for, with where they are in words.
func points() []pointWords {
	return []pointWords{
		{atBegin, "when the transaction had begun"},
		{atOrder, "with the order written, its mail not"},
		{atMail, "with order and mail written, not committed"},
		{atCommit, "after the commit, before the customer was told"},
		{atSend, "when the mail was about to be sent"},
		{atReply, "after the receiver's 250, before the queue knew"},
		{atSettled, "after the queue knew of the delivery"},
		{atClock, "at a random moment"},
	}
}

type pointWords struct {
	point point
	words string
}

// words are where a point is.
func (p point) words() string {
	for _, w := range points() {
		if w.point == p {
			return w.words
		}
	}
	return "when all was done"
}

// doom is a point, and after how many times of coming by the process is killed there.
type doom struct {
	at  point
	nth int
}

// parseDoom reads POINT:N.
func parseDoom(text string) (doom, error) {
	name, count, _ := strings.Cut(text, ":")
	n, err := strconv.Atoi(count)
	for _, w := range points() {
		if string(w.point) == name && err == nil && n > 0 {
			return doom{w.point, n}, nil
		}
	}
	return doom{}, fmt.Errorf("%q is not POINT:N", text)
}

func (d doom) String() string { return fmt.Sprintf("%s:%d", d.at, d.nth) }

// fuse kills the process at a point. A nil one never does.
type fuse struct {
	doom doom
	out  io.Writer

	mu     sync.Mutex
	passed int
}

// newFuse is nil without a point.
func newFuse(d doom, out io.Writer) *fuse {
	if d.at == "" {
		return nil
	}
	f := &fuse{doom: d, out: out}
	if d.at == atClock {
		time.AfterFunc(time.Duration(d.nth)*time.Millisecond, func() { f.blow(atClock) })
	}
	return f
}

// pass says that the work has come to a point.
func (f *fuse) pass(p point) {
	if f == nil || f.doom.at != p {
		return
	}
	f.mu.Lock()
	f.passed++
	due := f.passed == f.doom.nth
	f.mu.Unlock()
	if due {
		f.blow(p)
	}
}

// end says that all is done.
func (f *fuse) end() {
	if f != nil {
		f.blow(atEnd)
	}
}

// lastWords stand before the point, on a line of their own.
const lastWords = "outbox: killed itself at "

// blow kills the process as kill -9 does: nothing is closed, nothing is written.
func (f *fuse) blow(p point) {
	fmt.Fprintf(f.out, "%s%s\n", lastWords, p)
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		self.Kill()
	}
	select {} // the signal is on its way
}

// transport is the Sender's usual one with the points in it, or nil without a fuse.
func (f *fuse) transport() sender.Transport {
	if f == nil {
		return nil
	}
	usual, err := transport.New(transport.Config{})
	if err != nil {
		panic(err) // the zero Config is a valid one
	}
	return fusedTransport{sender.SMTP(usual), f}
}

type fusedTransport struct {
	sender.Transport
	fuse *fuse
}

// Dial implements sender.Transport.
func (t fusedTransport) Dial(ctx context.Context, to transport.Target) (sender.Session, error) {
	s, err := t.Transport.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	return fusedSession{s, t.fuse}, nil
}

type fusedSession struct {
	sender.Session
	fuse *fuse
}

// Send implements sender.Session.
func (s fusedSession) Send(ctx context.Context, e *transport.Envelope) ([]transport.Result, error) {
	s.fuse.pass(atSend)
	results, err := s.Session.Send(ctx, e)
	if len(results) > 0 && results[0].Accepted {
		s.fuse.pass(atReply)
	}
	return results, err
}
