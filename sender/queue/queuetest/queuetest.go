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
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
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
	{"a lease runs out", (*suite).leaseRunsOut},
	{"a lease is renewed", (*suite).renewed},
	{"a lost lease settles nothing", (*suite).lostLease},
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

func (s *suite) roundTrip() {
	p := s.put(2, func(p *queue.Put) { p.Message.EightBit, p.Message.UTF8 = true, true })
	got := s.claim(lane, 10)
	if len(got.Deliveries) != 2 || got.More {
		s.Fatalf("claimed %d, more %v", len(got.Deliveries), got.More)
	}
	for i, d := range got.Deliveries {
		want := p.Deliveries[i]
		if d.ID != want.ID || d.MessageID != want.MessageID || d.Recipient != want.Recipient || d.Lane != lane || d.Attempts != 0 {
			s.Errorf("delivery %d is %+v", i, d)
		}
		if d.State != queue.InFlight || d.Lease == 0 || d.Expired {
			s.Errorf("delivery %d: state %s, lease %d, expired %v", i, d.State, d.Lease, d.Expired)
		}
		if life := d.Expires.Sub(d.Created); life != time.Hour {
			s.Errorf("lives for %v", life)
		}
	}
	m, err := s.q.Message(s.ctx, p.Message.ID)
	s.must(err)
	if string(m.Data) != string(p.Message.Data) || m.From != p.Message.From || m.Stream != "news" || !m.EightBit || !m.UTF8 || m.Recipients != 2 || m.Created.IsZero() {
		s.Errorf("message is %+v", m)
	}
}

func (s *suite) duplicate() {
	p := s.put(1, nil)
	again := queue.Put{Message: p.Message, Deliveries: []queue.Delivery{{ID: p.Message.ID + "/1", MessageID: p.Message.ID, Lane: lane, Recipient: "x@example.com"}}, ExpireAfter: time.Hour}
	if _, err := s.q.Put(s.ctx, again); !errors.Is(err, queue.ErrDuplicate) {
		s.Fatalf("second put: %v", err)
	}
	d := s.one(lane)
	s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Delivered, Began: true})
	if _, err := s.q.Put(s.ctx, again); !errors.Is(err, queue.ErrDuplicate) {
		s.Fatalf("put after it was settled: %v", err)
	}
	s.none(lane)
}

func (s *suite) putLeased() {
	p := s.put(1, func(p *queue.Put) { p.LeaseFor = 10 * time.Second })
	if p.Deliveries[0].Lease == 0 {
		s.Fatal("no lease")
	}
	s.none(lane)
	s.settle(0, queue.Settlement{ID: p.Deliveries[0].ID, Lease: p.Deliveries[0].Lease, State: queue.Delivered, Began: true})
	if d := s.state(p.Deliveries[0].ID); d.State != queue.Delivered || d.Attempts != 1 {
		s.Errorf("state %s, attempts %d", d.State, d.Attempts)
	}
	q := s.put(1, func(p *queue.Put) { p.LeaseFor = time.Second })
	time.Sleep(1100 * time.Millisecond)
	if d := s.one(lane); d.ID != q.Deliveries[0].ID || d.Lease == q.Deliveries[0].Lease {
		s.Errorf("after the lease ran out: %+v", d)
	}
}

func (s *suite) exclusive() {
	s.put(1, nil)
	d := s.one(lane)
	s.none(lane)
	lanes, err := s.q.Lanes(s.ctx)
	s.must(err)
	if len(lanes) != 1 || lanes[0].Waiting != 0 || lanes[0].InFlight != 1 || !lanes[0].Oldest.Equal(d.Created) {
		s.Errorf("lanes: %+v", lanes)
	}
}

func (s *suite) order() {
	low := s.put(1, func(p *queue.Put) { p.Deliveries[0].Priority = -1 })
	first := s.put(1, nil)
	second := s.put(1, nil)
	high := s.put(1, func(p *queue.Put) { p.Deliveries[0].Priority = 7 })
	for _, want := range []queue.Put{high, first, second, low} {
		got := s.claim(lane, 1)
		if len(got.Deliveries) != 1 || got.Deliveries[0].ID != want.Deliveries[0].ID {
			s.Fatalf("claimed %+v, want %s", got.Deliveries, want.Deliveries[0].ID)
		}
		if more := want.Deliveries[0].ID != low.Deliveries[0].ID; got.More != more || got.Next != 0 {
			s.Errorf("after %s: more %v in %v", want.Deliveries[0].ID, got.More, got.Next)
		}
	}
}

func (s *suite) retryOrder() {
	first, second := s.put(1, nil), s.put(1, nil)
	d := s.claim(lane, 1).Deliveries[0]
	s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Waiting, After: time.Second, Began: true})
	third := s.put(1, nil)
	time.Sleep(1100 * time.Millisecond)
	for _, want := range []queue.Put{first, second, third} {
		if got := s.claim(lane, 1); len(got.Deliveries) != 1 || got.Deliveries[0].ID != want.Deliveries[0].ID {
			s.Fatalf("claimed %+v, want %s", got.Deliveries, want.Deliveries[0].ID)
		}
	}
}

func (s *suite) invalid() {
	for name, change := range map[string]func(*queue.Put){
		"Message":     func(p *queue.Put) { p.Message = nil },
		"Message.ID":  func(p *queue.Put) { p.Message = &queue.Message{} },
		"Deliveries":  func(p *queue.Put) { p.Deliveries = nil },
		"MessageID":   func(p *queue.Put) { p.Deliveries[0].MessageID = "other" },
		"ID":          func(p *queue.Put) { p.Deliveries[1].ID = p.Deliveries[0].ID },
		"ExpireAfter": func(p *queue.Put) { p.ExpireAfter = time.Millisecond },
	} {
		p := queue.Put{Message: &queue.Message{ID: "m", Recipients: 2}, ExpireAfter: time.Hour}
		for n := range 2 {
			p.Deliveries = append(p.Deliveries, queue.Delivery{ID: queue.DeliveryID("m", n+1), MessageID: "m", Lane: lane, Recipient: "x@example.com"})
		}
		change(&p)
		if _, err := s.q.Put(s.ctx, p); !errors.Is(err, queue.ErrInvalid) || !strings.Contains(err.Error(), name) {
			s.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.q.Get(s.ctx, "m"); !errors.Is(err, queue.ErrNotFound) {
		s.Errorf("something was stored: %v", err)
	}
}

func (s *suite) lanes() {
	other := queue.Lane{Stream: "news", Domain: "example.net"}
	pinned := queue.Lane{Stream: "news", Domain: "example.com", Route: "r1"}
	s.put(1, nil)
	s.put(1, func(p *queue.Put) { p.Deliveries[0].Lane = other })
	s.put(1, func(p *queue.Put) { p.Deliveries[0].Lane = pinned })
	lanes, err := s.q.Lanes(s.ctx)
	s.must(err)
	if len(lanes) != 3 {
		s.Fatalf("%d lanes", len(lanes))
	}
	for _, l := range []queue.Lane{lane, other, pinned} {
		if d := s.one(l); d.Lane != l {
			s.Errorf("claimed from %v: %v", l, d.Lane)
		}
	}
	s.none(queue.Lane{Stream: "none", Domain: "example.com"})
}

func (s *suite) leaseRunsOut() {
	s.put(1, nil)
	got, err := s.q.Claim(s.ctx, queue.Claim{Lane: lane, Limit: 1, LeaseFor: time.Second})
	s.must(err)
	s.none(lane)
	time.Sleep(1100 * time.Millisecond)
	d := s.one(lane)
	if d.ID != got.Deliveries[0].ID || d.Lease == got.Deliveries[0].Lease || d.Attempts != 0 {
		s.Errorf("taken over: %+v", d)
	}
}

func (s *suite) renewed() {
	s.put(1, nil)
	got, err := s.q.Claim(s.ctx, queue.Claim{Lane: lane, Limit: 1, LeaseFor: time.Second})
	s.must(err)
	d := got.Deliveries[0]
	s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.InFlight, After: 20 * time.Second})
	time.Sleep(1100 * time.Millisecond)
	s.none(lane)
	s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Delivered, Began: true})
}

func (s *suite) lostLease() {
	s.put(1, nil)
	got, err := s.q.Claim(s.ctx, queue.Claim{Lane: lane, Limit: 1, LeaseFor: time.Second})
	s.must(err)
	old := got.Deliveries[0]
	time.Sleep(1100 * time.Millisecond)
	d := s.one(lane)
	s.settle(1, queue.Settlement{ID: old.ID, Lease: old.Lease, State: queue.Bounced, Began: true})
	if got := s.state(d.ID); got.State != queue.InFlight || got.Attempts != 0 {
		s.Errorf("after a stranger's settlement: %+v", got)
	}
	s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Delivered, Began: true})
	s.settle(1, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Bounced, Began: true})
	s.settle(1, queue.Settlement{ID: "nobody/1", Lease: 1, State: queue.Bounced})
	if got := s.state(d.ID); got.State != queue.Delivered || got.Attempts != 1 {
		s.Errorf("settled twice: %+v", got)
	}
}

func (s *suite) settledAgain() {
	s.put(1, nil)
	for _, state := range []queue.State{queue.Waiting, queue.Delivered} {
		d := s.one(lane)
		for range 2 {
			s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: state, Began: true, Record: &queue.Attempt{Route: "r1"}})
		}
	}
	if d := s.state("m1/1"); d.State != queue.Delivered || d.Attempts != 2 || len(d.History) != 2 {
		s.Errorf("%s, %d attempts, %d records", d.State, d.Attempts, len(d.History))
	}
}

func (s *suite) waitIsNoAttempt() {
	s.put(1, nil)
	for range 3 {
		d := s.one(lane)
		s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Waiting})
	}
	if d := s.state("m1/1"); d.Attempts != 0 || d.State != queue.Waiting {
		s.Errorf("%d attempts, %s", d.Attempts, d.State)
	}
	d := s.one(lane)
	s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Waiting, Began: true})
	if d := s.state("m1/1"); d.Attempts != 1 {
		s.Errorf("%d attempts", d.Attempts)
	}
}

func (s *suite) retry() {
	s.put(1, nil)
	d := s.one(lane)
	s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Waiting, After: 2 * time.Second, Route: "r1", Began: true})
	s.none(lane)
	pinned := lane
	pinned.Route = "r1"
	got := s.claim(pinned, 1)
	if len(got.Deliveries) != 0 || !got.More || got.Next <= 0 || got.Next > 2*time.Second {
		s.Fatalf("not due yet: %+v", got)
	}
	lanes, err := s.q.Lanes(s.ctx)
	s.must(err)
	if len(lanes) != 1 || lanes[0].Lane != pinned || lanes[0].Waiting != 1 || lanes[0].Next <= 0 || lanes[0].Next > 2*time.Second {
		s.Errorf("lanes: %+v", lanes)
	}
	time.Sleep(2100 * time.Millisecond)
	if d := s.one(pinned); d.Attempts != 1 || d.Lane != pinned {
		s.Errorf("retried: %+v", d)
	}
}

func (s *suite) history() {
	s.put(1, nil)
	for i := range queue.HistoryLimit + 2 {
		d := s.one(lane)
		s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Waiting, Began: true, Record: &queue.Attempt{
			At: time.Unix(int64(i), 0).UTC(), Route: "r1", Provider: "example", Overflow: true, TLS: "TLS 1.3",
			Reply:   bounce.Reply{Code: 450, Status: bounce.Status{Class: 4, Subject: 2, Detail: i}, Lines: []string{"a", "b"}, Stage: bounce.StageRcpt, Host: "mx.example.com"},
			Verdict: bounce.Verdict{Category: bounce.Greylisted, Scope: bounce.ScopeRecipient, Rule: "r", RetryAfter: time.Minute},
		}})
	}
	d := s.state("m1/1")
	if d.Attempts != queue.HistoryLimit+2 || len(d.History) != queue.HistoryLimit {
		s.Fatalf("%d attempts, %d records", d.Attempts, len(d.History))
	}
	last := d.Last()
	if last.Reply.Status.Detail != queue.HistoryLimit+1 || last.Reply.Text() != "a b" || last.Verdict.RetryAfter != time.Minute ||
		!last.At.Equal(time.Unix(queue.HistoryLimit+1, 0)) || last.TLS != "TLS 1.3" || !last.Overflow || d.History[0].Reply.Status.Detail != 2 {
		s.Errorf("last record: %+v", last)
	}
}

func (s *suite) expired() {
	short := func(p *queue.Put) { p.ExpireAfter = time.Second }
	s.put(1, short)
	s.put(1, func(p *queue.Put) { short(p); p.Deliveries[0].Lane.Domain = "example.net" })
	s.put(1, nil)
	d := s.claim(lane, 1).Deliveries[0]
	s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Waiting, After: time.Hour, Began: true})
	leased := s.put(1, func(p *queue.Put) { short(p); p.LeaseFor = 10 * time.Second })
	time.Sleep(1100 * time.Millisecond)
	got, err := s.q.Claim(s.ctx, queue.Claim{Expired: true, Limit: 10, LeaseFor: 2 * time.Second})
	s.must(err)
	if len(got.Deliveries) != 2 {
		s.Fatalf("claimed %d expired deliveries, want 2", len(got.Deliveries))
	}
	for _, d := range got.Deliveries {
		if !d.Expired || d.ID == "m3/1" || d.ID == leased.Deliveries[0].ID {
			s.Errorf("expired: %+v", d)
		}
	}
	d = got.Deliveries[0]
	s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Expired})
	time.Sleep(2100 * time.Millisecond) // whoever claimed the other one died
	if got, err = s.q.Claim(s.ctx, queue.Claim{Expired: true, Limit: 10, LeaseFor: time.Second}); err != nil || len(got.Deliveries) != 1 {
		s.Fatalf("claimed again: %d, %v", len(got.Deliveries), err)
	}
}

func (s *suite) bodies() {
	p := s.put(2, nil)
	got := s.claim(lane, 2)
	for i, d := range got.Deliveries {
		if _, err := s.q.Message(s.ctx, p.Message.ID); err != nil {
			s.Fatalf("body with %d deliveries settled: %v", i, err)
		}
		s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Delivered, Began: true})
	}
	if _, err := s.q.Message(s.ctx, p.Message.ID); !errors.Is(err, queue.ErrNotFound) {
		s.Errorf("body after the last: %v", err)
	}
	lanes, err := s.q.Lanes(s.ctx)
	s.must(err)
	if len(lanes) != 0 {
		s.Errorf("lanes of settled deliveries: %+v", lanes)
	}
}

func (s *suite) get() {
	p := s.put(2, nil)
	got, err := s.q.Get(s.ctx, p.Message.ID)
	s.must(err)
	if len(got) != 2 || got[0].ID != p.Deliveries[0].ID || got[1].ID != p.Deliveries[1].ID {
		s.Errorf("by message: %+v", got)
	}
	if d := s.state(p.Deliveries[1].ID); d.Recipient != p.Deliveries[1].Recipient || d.State != queue.Waiting {
		s.Errorf("by delivery: %+v", d)
	}
}

func (s *suite) notFound() {
	if _, err := s.q.Get(s.ctx, "nobody"); !errors.Is(err, queue.ErrNotFound) {
		s.Errorf("get: %v", err)
	}
	if _, err := s.q.Message(s.ctx, "nobody"); !errors.Is(err, queue.ErrNotFound) {
		s.Errorf("message: %v", err)
	}
}

func (s *suite) cancelled() {
	p := s.put(1, nil)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	other := queue.Put{Message: &queue.Message{ID: "late", Stream: "news", Recipients: 1}, Deliveries: []queue.Delivery{{ID: "late/1", MessageID: "late", Lane: lane, Recipient: "x@example.com"}}, ExpireAfter: time.Hour}
	if _, err := s.q.Put(ctx, other); !errors.Is(err, context.Canceled) {
		s.Errorf("put: %v", err)
	}
	if _, err := s.q.Claim(ctx, queue.Claim{Lane: lane, Limit: 1, LeaseFor: time.Second}); !errors.Is(err, context.Canceled) {
		s.Errorf("claim: %v", err)
	}
	d := s.one(lane)
	if d.ID != p.Deliveries[0].ID {
		s.Errorf("claimed %s", d.ID)
	}
	if _, err := s.q.Settle(ctx, []queue.Settlement{{ID: d.ID, Lease: d.Lease, State: queue.Delivered}}); !errors.Is(err, context.Canceled) {
		s.Errorf("settle: %v", err)
	}
	if got := s.state(d.ID); got.State != queue.InFlight {
		s.Errorf("state %s", got.State)
	}
}

func (s *suite) concurrent() {
	const messages, workers = 200, 8
	for range messages {
		s.put(1, nil)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for idle := 0; idle < 3; {
				got, err := s.q.Claim(s.ctx, queue.Claim{Lane: lane, Limit: 7, LeaseFor: time.Minute})
				if err != nil {
					s.Error(err)
					return
				}
				if len(got.Deliveries) == 0 {
					idle++
					continue
				}
				mu.Lock()
				for _, d := range got.Deliveries {
					seen[d.ID]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != messages {
		s.Errorf("%d of %d claimed", len(seen), messages)
	}
	for id, n := range seen {
		if n != 1 {
			s.Errorf("%s was claimed %d times", id, n)
		}
	}
}
