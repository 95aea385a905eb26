package queuetest

import (
	"sync"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/queue"
)

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

func (s *suite) lateSettlement() {
	other := queue.Lane{Stream: "news", Domain: "example.net"}
	for _, state := range []queue.State{queue.Waiting, queue.InFlight, queue.Delivered} {
		p := s.put(1, func(p *queue.Put) { p.LeaseFor = time.Second })
		d := p.Deliveries[0]
		time.Sleep(1100 * time.Millisecond)
		s.none(other) // whoever looks for something else must not lose it
		for range 2 {
			s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: state, After: time.Hour, Began: true})
		}
		if got := s.state(d.ID); got.State != state || got.Attempts < 1 || state != queue.InFlight && got.Attempts != 1 {
			s.Errorf("%s, after its lease ran out: %s, %d attempts", state, got.State, got.Attempts)
		}
	}
	s.none(lane)
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
