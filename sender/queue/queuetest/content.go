package queuetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
)

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

func (s *suite) invalid() {
	for name, change := range map[string]func(*queue.Put){
		"Message":     func(p *queue.Put) { p.Message = nil },
		"Message.ID":  func(p *queue.Put) { p.Message = &queue.Message{} },
		"Deliveries":  func(p *queue.Put) { p.Deliveries = nil },
		"MessageID":   func(p *queue.Put) { p.Deliveries[0].MessageID = "other" },
		"ID":          func(p *queue.Put) { p.Deliveries[1].ID = p.Deliveries[0].ID },
		"ExpireAfter": func(p *queue.Put) { p.ExpireAfter = time.Millisecond },
		"From":        func(p *queue.Put) { p.Message.From = "a\x00b@example.com" },
		"Stream":      func(p *queue.Put) { p.Message.Stream = "\xff" },
		"Recipient":   func(p *queue.Put) { p.Deliveries[1].Recipient = "\x00@example.com" },
		"Lane":        func(p *queue.Put) { p.Deliveries[0].Lane.Domain = "\xff.example.com" },
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

// backlog counts what is due and what is old. A queue that is no sender.BacklogCounter need not.
func (s *suite) backlog() {
	q, ok := s.q.(sender.BacklogCounter)
	if !ok {
		return
	}
	ages := []time.Duration{time.Second, 5 * time.Second}
	look := func(what string, want queue.LaneBacklog) {
		s.Helper()
		got, err := q.Backlog(s.ctx, ages...)
		s.must(err)
		status, err := s.q.Lanes(s.ctx)
		s.must(err)
		if len(got) != len(status) {
			s.Fatalf("%s: %d lanes, of %d", what, len(got), len(status))
		}
		for i := range got {
			for _, other := range status {
				if b := got[i].LaneStatus; b.Lane == other.Lane && (b.Waiting != other.Waiting || b.InFlight != other.InFlight || !b.Oldest.Equal(other.Oldest) || (b.Next == 0) != (other.Next == 0)) {
					s.Errorf("%s: %+v, as a lane %+v", what, b, other)
				}
			}
			if b := got[i]; b.Lane == lane && (b.Waiting != want.Waiting || b.InFlight != want.InFlight || b.Due != want.Due || !slices.Equal(b.Older, want.Older)) {
				s.Errorf("%s: %+v, want %+v", what, b, want)
			}
		}
	}
	is := func(waiting, due, inFlight int, older ...int) queue.LaneBacklog {
		return queue.LaneBacklog{LaneStatus: queue.LaneStatus{Waiting: waiting, InFlight: inFlight}, Due: due, Older: older}
	}
	look("empty", is(0, 0, 0))
	s.put(2, nil)
	s.put(1, func(p *queue.Put) { p.Deliveries[0].Lane.Domain = "example.net" })
	look("new", is(2, 2, 0, 0, 0))
	time.Sleep(2 * time.Second)
	s.put(1, nil)
	look("one younger", is(3, 3, 0, 2, 0))
	d := s.claim(lane, 2).Deliveries
	look("claimed", is(1, 1, 2, 2, 0))
	s.settle(0, queue.Settlement{ID: d[0].ID, Lease: d[0].Lease, State: queue.Waiting, After: 3 * time.Second, Began: true},
		queue.Settlement{ID: d[1].ID, Lease: d[1].Lease, State: queue.Delivered, Began: true})
	look("one to be tried again", is(2, 1, 0, 1, 0))
	time.Sleep(4 * time.Second)
	look("that is due", is(2, 2, 0, 2, 1))
}
