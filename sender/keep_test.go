package sender_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// TestOverflowAfter: of a campaign that comes at once, as much as the cold route may carry in time waits for it, the best of it, spread over the hours; the rest
// overflows within minutes, and so does what came in vain. Leases are kept meanwhile, and nothing is lost over a stop or sent twice.
func TestOverflowAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		inbox, err := sendertest.NewInbox(sendertest.InboxConfig{})
		w.must(err)
		w.mx("example.com", sendertest.ServerConfig{Inbox: inbox})
		cfg := w.coldAndWarm(warmup.Geometric(80, 1.4, 1000), true)
		cfg.Queue, err = queue.NewMemory(queue.MemoryConfig{})
		w.must(err)
		cfg.WarmupStore = warmup.NewMemoryStore()
		cfg.Ranker = readers
		cfg.Streams = []sender.Stream{{Name: "news", OverflowAfter: 12 * time.Hour}, {Name: "password"}}
		s := w.start(cfg)
		const n = 700
		for i := range n {
			w.enqueue(s, fmt.Sprintf("user%d@example.com", (i*37)%n))
		}
		time.Sleep(15 * time.Minute)
		over := bySource(inbox)
		if over[warmAddr] < n-90 || over[coldAddr] > 5 {
			t.Errorf("after a quarter of an hour: %v", over)
		}
		m := note("someone@example.com")
		m.Stream = "password"
		if out := w.send(s, m); out.State != "delivered" {
			t.Errorf("%+v", out)
		}
		time.Sleep(3 * time.Hour)
		over = bySource(inbox)
		if over[coldAddr] < 25 || over[coldAddr] > 35 {
			t.Errorf("after three hours %d went over the cold route, which may carry ten an hour", over[coldAddr])
		}
		w.must(s.Stop(context.Background()))
		w.start(cfg)
		time.Sleep(20 * time.Hour)
		over = bySource(inbox)
		seen, poor := map[string]int{}, 0
		for _, m := range inbox.Messages() {
			seen[m.To[0]]++
			var i int
			if _, err := fmt.Sscanf(m.To[0], "user%d@", &i); err == nil && m.Source == coldAddr {
				if i < n-110 {
					poor++ // it was sent before the better ones came
				}
			}
		}
		if over[coldAddr]+over[warmAddr] != n+1 || len(seen) != n+1 {
			t.Errorf("%v, %d different", over, len(seen))
		}
		if over[coldAddr] < 75 || over[coldAddr] > 80 || poor > 2 {
			t.Errorf("%d over the cold route, %d of them not of the best", over[coldAddr], poor)
		}
	})
}

// TestTheBestWaits: what is kept for a path are the best deliveries of all lanes, also when the better ones come later.
func TestTheBestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		inbox, err := sendertest.NewInbox(sendertest.InboxConfig{})
		w.must(err)
		for _, domain := range []string{"a.example", "b.example"} {
			w.mx(domain, sendertest.ServerConfig{Inbox: inbox})
		}
		cfg := w.coldAndWarm(warmup.Geometric(24, 1.4, 1000), true)
		cfg.Providers = oneProvider{}
		cfg.Streams = []sender.Stream{{Name: "news", OverflowAfter: 10 * time.Hour}}
		s := w.start(cfg)
		w.enqueue(s, users(60, "a.example")...)
		time.Sleep(time.Minute)
		for _, to := range users(20, "b.example") {
			m := note(to)
			m.Priority = 50
			_, err := s.Enqueue(context.Background(), m)
			w.must(err)
		}
		time.Sleep(12 * time.Hour)
		over := map[string]int{}
		for _, m := range inbox.Messages() {
			if m.Source == coldAddr {
				over[m.To[0][len(m.To[0])-len("a.example"):]]++
			}
		}
		if over["b.example"] != 20 || over["a.example"] > 4 {
			t.Errorf("over the cold route: %v", over)
		}
		if inbox.Len() != 80 {
			t.Errorf("%d arrived", inbox.Len())
		}
	})
}

// TestBudgetsAreForgotten: what is remembered for the budget of a signing domain at a provider goes with its mail.
func TestBudgetsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cfg := w.config()
		cfg.Streams = []sender.Stream{{Name: "news", SigningDomain: "young.example"}}
		cfg.WarmupDomains = map[string]warmup.Plan{"young.example": capped(1)}
		s := w.start(cfg)
		for i := range 40 {
			domain := fmt.Sprintf("d%d.example", i)
			w.mx(domain, sendertest.ServerConfig{})
			w.enqueue(s, "one@"+domain)
		}
		time.Sleep(time.Hour)
		if n := len(w.of(sender.EventDelivered)); n != 40 {
			t.Fatalf("%d delivered", n)
		}
		if held := sender.HeldBy(s); held.Paths != 0 || held.Lanes != 0 {
			t.Errorf("%+v", held)
		}
	})
}

// TestRouteBudgetsWait: OverflowAfter works for the caps of a route as a whole, too.
func TestRouteBudgetsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.coldAndWarm(warmup.Plan{}, true)
		cfg.Routes[0].WarmupTotal = warmup.Plan{Stages: []warmup.Stage{{Day: 48}}, Keep: true}
		cfg.Streams = []sender.Stream{{Name: "news", OverflowAfter: 10 * time.Hour}}
		s := w.start(cfg)
		w.enqueue(s, users(100, "example.com")...)
		time.Sleep(12 * time.Hour)
		if over := bySource(mx.Inbox()); over[coldAddr] < 46 || over[coldAddr] > 48 || over[warmAddr] < 52 {
			t.Errorf("%v", over)
		}
	})
}
