package queuetest

import (
	"slices"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// some puts, in the lane, one delivery that is due in an hour, one that is due in half an hour, and two that are due, of which the second has the higher
// priority. They are m1/1 to m4/1.
func (s *suite) some() {
	s.Helper()
	for _, after := range []time.Duration{time.Hour, 30 * time.Minute} {
		s.put(1, func(p *queue.Put) { p.ExpireAfter = 3 * time.Hour })
		d := s.one(lane)
		s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Waiting, After: after, Began: true, Record: &queue.Attempt{Route: "r1"}})
	}
	s.put(1, nil)
	s.put(1, func(p *queue.Put) { p.Deliveries[0].Priority = 7 })
}

func (s *suite) claimBy(c queue.Claim) queue.Claimed {
	s.Helper()
	c.LeaseFor = 10 * time.Second
	got, err := s.q.Claim(s.ctx, c)
	s.must(err)
	return got
}

func idsOf(ds []queue.Delivery) (ids []string) {
	for _, d := range ds {
		ids = append(ids, d.ID)
	}
	return ids
}

func (s *suite) early() {
	s.some()
	first := s.claimBy(queue.Claim{Lane: lane, Early: true, Limit: 3})
	if got := idsOf(first.Deliveries); !slices.Equal(got, []string{"m4/1", "m3/1", "m2/1"}) || !first.More || first.Next != 0 {
		s.Fatalf("claimed %v, more %v in %v", got, first.More, first.Next)
	}
	last := s.claimBy(queue.Claim{Lane: lane, Early: true, Limit: 3})
	if got := idsOf(last.Deliveries); !slices.Equal(got, []string{"m1/1"}) || last.More {
		s.Fatalf("claimed %v, more %v", got, last.More)
	}
	var back []queue.Settlement
	for _, d := range append(first.Deliveries, last.Deliveries...) {
		if d.State != queue.InFlight || d.Lease == 0 || d.Expired {
			s.Errorf("%s: state %s, lease %d, expired %v", d.ID, d.State, d.Lease, d.Expired)
		}
		want := map[string]time.Duration{"m1/1": time.Hour, "m2/1": 30 * time.Minute}[d.ID]
		if d.Early > want || d.Early < want-time.Minute || want > 0 && (d.Attempts != 1 || len(d.History) != 1) {
			s.Errorf("%s: %v early, %d attempts, %d records", d.ID, d.Early, d.Attempts, len(d.History))
		}
		back = append(back, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Waiting, After: d.Early})
	}
	if got := s.claimBy(queue.Claim{Lane: lane, Early: true, Limit: 3}); len(got.Deliveries) != 0 || got.More {
		s.Errorf("what is leased is claimed again: %+v", got)
	}
	s.settle(0, back...)
	due := s.claim(lane, 10)
	if got := idsOf(due.Deliveries); !slices.Equal(got, []string{"m4/1", "m3/1"}) || !due.More || due.Next > 30*time.Minute || due.Next < 29*time.Minute {
		s.Errorf("afterwards %v are due, more %v in %v", got, due.More, due.Next)
	}
}

func (s *suite) earlyByAge() {
	old := []string{s.put(1, nil).Deliveries[0].ID, s.put(1, func(p *queue.Put) { p.Deliveries[0].Priority = -3 }).Deliveries[0].ID}
	d := s.claim(lane, 1).Deliveries[0]
	s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Waiting, After: 50 * time.Minute})
	time.Sleep(2 * time.Second)
	s.put(1, func(p *queue.Put) { p.Deliveries[0].Priority = 7 })
	s.put(1, nil)
	by := queue.Claim{Lane: lane, Early: true, MinAge: time.Second, Limit: 1}
	got := s.claimBy(by)
	if ids := idsOf(got.Deliveries); !slices.Equal(ids, old[1:]) || !got.More {
		s.Errorf("claimed %v, more %v", ids, got.More)
	}
	got = s.claimBy(by)
	if ids := idsOf(got.Deliveries); !slices.Equal(ids, old[:1]) || got.More {
		s.Errorf("claimed %v, more %v", ids, got.More)
	}
	if got := s.claimBy(by); len(got.Deliveries) != 0 || got.More {
		s.Errorf("younger ones are claimed: %+v", got)
	}
	if due := s.claim(lane, 10); len(due.Deliveries) != 2 || due.More {
		s.Errorf("the younger ones: %+v", due)
	}
}

func (s *suite) byID() {
	s.some()
	other := s.put(2, func(p *queue.Put) {
		p.Deliveries[1].Lane = queue.Lane{Stream: "news", Domain: "example.net", Route: "r1"}
	})
	leased := s.put(1, func(p *queue.Put) { p.LeaseFor = time.Minute })
	d := s.claim(lane, 1).Deliveries[0]
	s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Delivered})
	ids := []string{"m1/1", "m1/1", "m3/1", d.ID, other.Deliveries[1].ID, leased.Deliveries[0].ID, "m1/2", "nobody/1", "nobody"}
	got := s.claimBy(queue.Claim{IDs: ids, Limit: 1})
	claimed := idsOf(got.Deliveries)
	slices.Sort(claimed)
	if !slices.Equal(claimed, []string{"m1/1", "m3/1", "m5/2"}) || got.More {
		s.Fatalf("claimed %v, more %v", claimed, got.More)
	}
	for _, d := range got.Deliveries {
		if want := d.ID == "m1/1"; (d.Early > 0) != want || d.Lease == 0 {
			s.Errorf("%s: %v early, lease %d", d.ID, d.Early, d.Lease)
		}
		s.settle(0, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Cancelled})
	}
	if got := s.claimBy(queue.Claim{IDs: ids, Limit: 1}); len(got.Deliveries) != 0 {
		s.Errorf("claimed again: %v", idsOf(got.Deliveries))
	}
	if d := s.state("m3/1"); d.State != queue.Cancelled {
		s.Errorf("state %s", d.State)
	}
}
