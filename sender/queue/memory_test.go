package queue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/queuetest"
)

func newMemory(t testing.TB, cfg queue.MemoryConfig) *queue.Memory {
	t.Helper()
	q, err := queue.NewMemory(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestMemory(t *testing.T) {
	queuetest.Run(t, func(t *testing.T) sender.Queue { return newMemory(t, queue.MemoryConfig{}) })
}

func put(id string, n, size int) queue.Put {
	p := queue.Put{Message: &queue.Message{ID: id, Recipients: n, Data: make([]byte, size)}, ExpireAfter: time.Hour}
	for i := range n {
		p.Deliveries = append(p.Deliveries, queue.Delivery{
			ID: queue.DeliveryID(id, i+1), MessageID: id, Lane: queue.Lane{Stream: "s", Domain: "example.com"}, Recipient: "a@example.com",
		})
	}
	return p
}

func TestMemoryIsBounded(t *testing.T) {
	ctx := context.Background()
	q := newMemory(t, queue.MemoryConfig{MaxBytes: 100, KeepSettled: 3})
	if _, err := q.Put(ctx, put("a", 1, 101)); !errors.Is(err, queue.ErrFull) {
		t.Errorf("too large: %v", err)
	}
	for i := range 20 { // settled mail makes room again
		id := fmt.Sprint("m", i)
		if _, err := q.Put(ctx, put(id, 1, 90)); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Put(ctx, put("b", 1, 11)); !errors.Is(err, queue.ErrFull) {
			t.Errorf("full: %v", err)
		}
		got, err := q.Claim(ctx, queue.Claim{Lane: queue.Lane{Stream: "s", Domain: "example.com"}, Limit: 1, LeaseFor: time.Minute})
		if err != nil || len(got.Deliveries) != 1 {
			t.Fatal(got, err)
		}
		if _, err := q.Settle(ctx, []queue.Settlement{{ID: got.Deliveries[0].ID, Lease: got.Deliveries[0].Lease, State: queue.Delivered}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.Get(ctx, "m19"); err != nil {
		t.Errorf("the latest is forgotten: %v", err)
	}
	if _, err := q.Get(ctx, "m16"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("one before the latest three: %v", err)
	}
}

func TestMemoryConfigIsChecked(t *testing.T) {
	for _, cfg := range []queue.MemoryConfig{{MaxBytes: -1}, {KeepSettled: -1}} {
		if _, err := queue.NewMemory(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}

// TestMemoryAgainstModel runs random operations against a queue that is a plain map.
func TestMemoryAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) { checkModel(rt, t) })
	})
}

type modelDelivery struct {
	queue.Delivery
	lease int64
}

func checkModel(rt *rapid.T, t *testing.T) {
	ctx := context.Background()
	q := newMemory(t, queue.MemoryConfig{})
	model := map[string]*modelDelivery{}
	lanes := []queue.Lane{{Stream: "s", Domain: "a.example"}, {Stream: "s", Domain: "b.example"}, {Stream: "s", Domain: "b.example", Route: "r"}}
	refresh := func() {
		for _, d := range model {
			if d.State == queue.InFlight && !d.Due.After(time.Now()) {
				d.State, d.lease = queue.Waiting, 0
			}
		}
	}
	n := 0
	for range rapid.IntRange(1, 60).Draw(rt, "steps") {
		refresh()
		switch rapid.SampledFrom([]string{"put", "claim", "settle", "sleep", "expired"}).Draw(rt, "op") {
		case "put":
			n++
			p := put(fmt.Sprint("m", n), rapid.IntRange(1, 3).Draw(rt, "n"), 1)
			p.ExpireAfter = time.Duration(rapid.IntRange(1, 100).Draw(rt, "life")) * time.Second
			for i := range p.Deliveries {
				p.Deliveries[i].Lane = rapid.SampledFrom(lanes).Draw(rt, "lane")
				p.Deliveries[i].Priority = rapid.IntRange(-1, 1).Draw(rt, "priority")
			}
			if _, err := q.Put(ctx, p); err != nil {
				rt.Fatal(err)
			}
			for _, d := range p.Deliveries {
				d.State, d.Due, d.Expires = queue.Waiting, time.Now(), time.Now().Add(p.ExpireAfter)
				model[d.ID] = &modelDelivery{Delivery: d}
			}
		case "claim":
			lane, limit := rapid.SampledFrom(lanes).Draw(rt, "lane"), rapid.IntRange(1, 4).Draw(rt, "limit")
			got, err := q.Claim(ctx, queue.Claim{Lane: lane, Limit: limit, LeaseFor: 30 * time.Second})
			if err != nil {
				rt.Fatal(err)
			}
			due := 0
			for _, d := range model {
				if d.State == queue.Waiting && d.Lane == lane && !d.Due.After(time.Now()) {
					due++
				}
			}
			if len(got.Deliveries) != min(due, limit) {
				rt.Fatalf("claimed %d of %d due, limit %d", len(got.Deliveries), due, limit)
			}
			for _, d := range got.Deliveries {
				m := model[d.ID]
				if m.State != queue.Waiting || m.Lane != lane {
					rt.Fatalf("claimed %+v", m)
				}
				m.State, m.lease, m.Due = queue.InFlight, d.Lease, time.Now().Add(30*time.Second)
			}
		case "expired":
			got, err := q.Claim(ctx, queue.Claim{Expired: true, Limit: 1000, LeaseFor: 30 * time.Second})
			if err != nil {
				rt.Fatal(err)
			}
			for _, d := range got.Deliveries {
				m := model[d.ID]
				if m.State != queue.Waiting || m.Expires.After(time.Now()) {
					rt.Fatalf("expired %+v", m)
				}
				m.State, m.lease, m.Due = queue.InFlight, d.Lease, time.Now().Add(30*time.Second)
			}
			for id, m := range model {
				if m.State == queue.Waiting && !m.Expires.After(time.Now()) {
					rt.Fatalf("%s expired and was not claimed", id)
				}
			}
		case "settle":
			for id, m := range model {
				if m.State != queue.InFlight || !rapid.Bool().Draw(rt, "this") {
					continue
				}
				s := queue.Settlement{ID: id, Lease: m.lease, State: rapid.SampledFrom([]queue.State{queue.Waiting, queue.Delivered, queue.InFlight}).Draw(rt, "state"), Began: true}
				s.After = time.Duration(rapid.IntRange(1, 60).Draw(rt, "after")) * time.Second
				s.Route = rapid.SampledFrom([]string{"", "r"}).Draw(rt, "route")
				lost, err := q.Settle(ctx, []queue.Settlement{s})
				if err != nil || len(lost) != 0 {
					rt.Fatal(lost, err)
				}
				m.State, m.Due = s.State, time.Now().Add(s.After)
				m.Attempts++
				if s.State == queue.Waiting {
					m.Lane.Route = s.Route
				}
				break
			}
		case "sleep":
			time.Sleep(time.Duration(rapid.IntRange(1, 40).Draw(rt, "sleep")) * time.Second)
		}
		refresh()
		for id, m := range model {
			got, err := q.Get(ctx, id)
			if err != nil || got[0].State != m.State || got[0].Lane != m.Lane || got[0].Attempts != m.Attempts {
				rt.Fatalf("%s: is %+v (%v), want %+v", id, got, err, m)
			}
		}
	}
}

func BenchmarkMemoryPutClaimSettle(b *testing.B) {
	ctx := context.Background()
	q := newMemory(b, queue.MemoryConfig{})
	data := make([]byte, 10<<10)
	for i := 0; b.Loop(); i++ {
		id := fmt.Sprint("m", i)
		p := queue.Put{Message: &queue.Message{ID: id, Recipients: 1, Data: data}, ExpireAfter: time.Hour, LeaseFor: time.Minute,
			Deliveries: []queue.Delivery{{ID: id + "/1", MessageID: id, Lane: queue.Lane{Stream: "s", Domain: "example.com"}}}}
		leases, err := q.Put(ctx, p)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := q.Settle(ctx, []queue.Settlement{{ID: id + "/1", Lease: leases[0], State: queue.Delivered, Began: true}}); err != nil {
			b.Fatal(err)
		}
	}
}
