// Package queuetest is the conformance suite for implementations of sender.Queue.
//
//	func TestMyQueue(t *testing.T) {
//		queuetest.Run(t, func(t *testing.T) sender.Queue { return open(t) })
//	}
//
// Each case gets a new, empty queue. A queue that lives on the clock of another machine runs with Options.Real, which
// waits for real seconds where a queue in this process runs in a bubble of fake time.
package queuetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
)

// Options tell Run about a queue.
type Options struct {
	// Real says that the queue's clock is not this process's: cases wait for real time. Defaults to bubbles of fake time.
	Real bool
}

// Run checks that the queues made by open keep the contract of sender.Queue in a bubble of fake time.
func Run(t *testing.T, open func(t *testing.T) sender.Queue) {
	RunWith(t, Options{}, open)
}

// RunWith is Run with options.
func RunWith(t *testing.T, opt Options, open func(t *testing.T) sender.Queue) {
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			run := func(t *testing.T) { c.run(&suite{T: t, q: open(t), ctx: context.Background()}) }
			if opt.Real {
				run(t)
				return
			}
			synctest.Test(t, run)
		})
	}
}

type suite struct {
	*testing.T
	q   sender.Queue
	ctx context.Context
	n   int
}

var cases = []struct {
	name string
	run  func(s *suite)
}{
	{"put then claim gives everything back", (*suite).roundTrip},
	{"an ID is put once", (*suite).duplicate},
	{"put with a lease is claimed already", (*suite).putLeased},
	{"a claim is exclusive", (*suite).exclusive},
	{"claims go by priority then age", (*suite).order},
	{"a retry keeps its place by age", (*suite).retryOrder},
	{"what cannot be stored is refused", (*suite).invalid},
	{"lanes are apart", (*suite).lanes},
	{"the backlog is counted by age", (*suite).backlog},
	{"a lease runs out", (*suite).leaseRunsOut},
	{"a lease is renewed", (*suite).renewed},
	{"a lost lease settles nothing", (*suite).lostLease},
	{"a settlement that is late counts until another one has the delivery", (*suite).lateSettlement},
	{"a settlement that is repeated is made once", (*suite).settledAgain},
	{"a wait is not an attempt", (*suite).waitIsNoAttempt},
	{"a retry waits in its lane", (*suite).retry},
	{"history keeps the latest records", (*suite).history},
	{"expired deliveries are claimed wherever they wait", (*suite).expired},
	{"the body goes with the last delivery", (*suite).bodies},
	{"get finds deliveries and messages", (*suite).get},
	{"an unknown ID is not found", (*suite).notFound},
	{"a cancelled context changes nothing", (*suite).cancelled},
	{"concurrent claims never share a delivery", (*suite).concurrent},
}

var lane = queue.Lane{Stream: "news", Domain: "example.com"}

// put stores a message for n recipients of the lane.
func (s *suite) put(n int, change func(*queue.Put)) queue.Put {
	s.Helper()
	s.n++
	p := queue.Put{
		Message:     &queue.Message{ID: fmt.Sprintf("m%d", s.n), Stream: "news", From: "a@example.org", Recipients: n, Data: []byte("From: a@example.org\r\n\r\nHello\r\n")},
		ExpireAfter: time.Hour,
	}
	for i := range n {
		p.Deliveries = append(p.Deliveries, queue.Delivery{
			ID: fmt.Sprintf("m%d/%d", s.n, i+1), MessageID: p.Message.ID, Lane: lane, Recipient: fmt.Sprintf("r%d@example.com", i),
		})
	}
	if change != nil {
		change(&p)
	}
	leases, err := s.q.Put(s.ctx, p)
	s.must(err)
	for i := range p.Deliveries {
		p.Deliveries[i].Lease = leases[i]
	}
	return p
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) claim(l queue.Lane, limit int) queue.Claimed {
	s.Helper()
	got, err := s.q.Claim(s.ctx, queue.Claim{Lane: l, Limit: limit, LeaseFor: 10 * time.Second})
	s.must(err)
	return got
}

func (s *suite) one(l queue.Lane) queue.Delivery {
	s.Helper()
	got := s.claim(l, 10)
	if len(got.Deliveries) != 1 {
		s.Fatalf("claimed %d deliveries, want 1", len(got.Deliveries))
	}
	return got.Deliveries[0]
}

func (s *suite) none(l queue.Lane) {
	s.Helper()
	if got := s.claim(l, 10); len(got.Deliveries) != 0 {
		s.Fatalf("claimed %d deliveries, want none", len(got.Deliveries))
	}
}

func (s *suite) settle(lost int, batch ...queue.Settlement) {
	s.Helper()
	got, err := s.q.Settle(s.ctx, batch)
	s.must(err)
	if len(got) != lost {
		s.Fatalf("settle lost %v, want %d", got, lost)
	}
}

func (s *suite) state(id string) queue.Delivery {
	s.Helper()
	got, err := s.q.Get(s.ctx, id)
	s.must(err)
	if len(got) != 1 {
		s.Fatalf("get %s: %d deliveries", id, len(got))
	}
	return got[0]
}
