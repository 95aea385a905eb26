package sender_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

var (
	bg  = context.Background()
	ada = sender.Act{Actor: "ada", Reason: "maintenance"}
)

// twoRoutes is a Config with the routes "cold" and "warm", both of them warm, of which the second one is for overflow, a pool of "warm" alone, and the streams "resets"
// and "news".
func (w *world) twoRoutes() sender.Config {
	cfg := w.coldAndWarm(warmup.Plan{}, true)
	cfg.Pools = append(cfg.Pools, sender.Pool{Name: "other", Routes: []string{"warm"}})
	cfg.Streams = []sender.Stream{{Name: "resets"}, {Name: "news", ExpireAfter: 10 * time.Hour}}
	return cfg
}

// enqueueTo enqueues one message for each recipient in a stream, and returns the delivery IDs.
func (w *world) enqueueTo(s *sender.Sender, stream string, to ...string) (ids []string) {
	w.t.Helper()
	for _, r := range to {
		m := note(r)
		m.Stream = stream
		receipt, err := s.Enqueue(bg, m)
		w.must(err)
		ids = append(ids, receipt.Deliveries[0].ID)
	}
	return ids
}

func (w *world) suspend(s *sender.Sender, t sender.Target) {
	w.t.Helper()
	w.must(s.Suspend(bg, sender.Hold{Target: t, Act: ada}))
}

// waits are the waits of a delivery.
func (w *world) waits(s *sender.Sender, id string) []sender.Wait {
	w.t.Helper()
	ex, err := s.Explain(bg, id)
	w.must(err)
	return ex[0].Waits
}

func TestSuspendedRouteIsLeftForAnother(t *testing.T) {
	for name, target := range map[string]sender.Target{"route": {Route: "cold"}, "path": {Route: "cold", Provider: "example.com"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				mx := w.mx("example.com", sendertest.ServerConfig{})
				other := w.mx("example.net", sendertest.ServerConfig{})
				s := w.start(w.twoRoutes())
				w.enqueue(s, users(3, "example.com")...)
				time.Sleep(time.Second)
				if st, _ := s.Stats(bg); st.Connections == 0 {
					t.Fatal("no session is open")
				}
				w.suspend(s, target)
				synctest.Wait()
				if st, _ := s.Stats(bg); st.Connections != 0 {
					t.Errorf("%d sessions are open", st.Connections)
				}
				w.enqueue(s, users(5, "example.com")...)
				w.enqueue(s, users(2, "example.net")...)
				time.Sleep(time.Minute)
				if got := bySource(mx.Inbox()); got[coldAddr] != 3 || got[warmAddr] != 5 {
					t.Errorf("arrived %v", got)
				}
				if got := bySource(other.Inbox()); got[coldAddr] != 0 && name == "route" || got[warmAddr] != 0 && name == "path" {
					t.Errorf("elsewhere arrived %v", got)
				}
				w.must(s.Resume(bg, target, ada))
				w.enqueue(s, users(1, "example.com")...)
				time.Sleep(time.Minute)
				if got := bySource(mx.Inbox()); got[coldAddr] != 4 {
					t.Errorf("after it was resumed arrived %v", got)
				}
				ops := w.of(sender.EventOperation)
				if len(ops) != 2 || ops[0].Operation.Verb != sender.VerbSuspend || ops[1].Operation.Verb != sender.VerbResume || ops[0].Actor != "ada" ||
					ops[0].Reason != "maintenance" || ops[0].Operation.Hold.Target != target || ops[0].Path.Route != "cold" {
					t.Errorf("events %s", mustJSON(ops))
				}
			})
		})
	}
}

// TestSuspendedWhileBusy: a session that is busy when its route is suspended ends its message, and is closed then.
func TestSuspendedWhileBusy(t *testing.T) {
	for name, target := range map[string]sender.Target{"route": {Route: "a"}, "path": {Route: "a", Provider: "example.com"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.limits = throttle.Limits{Connections: 1, IdleTimeout: time.Hour}
				st.transact = takes(10 * time.Second)
				s := st.start(st.config("a"))
				st.enqueue(s, "", users(3, "example.com")...)
				time.Sleep(5 * time.Second)
				if err := s.Suspend(bg, sender.Hold{Target: target, Act: ada}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(4 * time.Second)
				if open := get(st, func() int { return st.open }); open != 1 {
					t.Fatalf("%d sessions are open amid a message", open)
				}
				time.Sleep(2 * time.Second)
				if open, sent := get(st, func() int { return st.open }), st.sentTo("user0@example.com"); open != 0 || sent != 1 {
					t.Errorf("%d sessions are open, and the message was sent %d times", open, sent)
				}
				if n := len(st.order()); n != 1 {
					t.Errorf("%d were begun", n)
				}
			})
		})
	}
}

// TestSuspendedOverflow: a route under warm-up that is suspended overflows, kept mail too, and without another route mail waits in the queue until it is resumed.
func TestSuspendedOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.coldAndWarm(tiny(), true)
		cfg.Streams = []sender.Stream{{Name: "news", OverflowAfter: 20 * time.Hour}}
		q := memory(t)
		cfg.Queue = q
		s := w.start(cfg)
		w.enqueue(s, users(15, "example.com")...)
		time.Sleep(time.Minute)
		before := bySource(mx.Inbox())
		if before[coldAddr] != 10 {
			t.Fatalf("arrived %v", before)
		}
		w.suspend(s, sender.Target{Route: "cold"})
		time.Sleep(time.Minute)
		if got := bySource(mx.Inbox()); got[coldAddr] != 10 || got[warmAddr] != 5 {
			t.Errorf("arrived %v", got)
		}
		w.suspend(s, sender.Target{Route: "warm"})
		ids := w.enqueueTo(s, "news", users(40, "example.com")...)
		time.Sleep(2*time.Hour + time.Minute)
		if n := leased(t, q); n != 0 {
			t.Errorf("%d are leased", n)
		}
		wt := w.waits(s, ids[7])
		if len(wt) != 2 || wt[0].Reason != sender.WaitSuspended || wt[0].Detail != "route cold is suspended by ada: maintenance" || wt[1].Path.Route != "warm" || !wt[1].Until.IsZero() {
			t.Errorf("waits for %+v", wt)
		}
		w.must(s.Resume(bg, sender.Target{Route: "warm"}, ada))
		time.Sleep(time.Second)
		if got := bySource(mx.Inbox()); got[coldAddr] != 10 || got[warmAddr] != 45 {
			t.Errorf("arrived %v", got)
		}
	})
}

// TestStandingStill: a stream, a destination or a provider that is suspended holds nothing up but itself, holds no leases, and expires in time.
func TestStandingStill(t *testing.T) {
	for name, target := range map[string]sender.Target{
		"stream": {Stream: "news"}, "destination": {Destination: "example.com"}, "provider": {Provider: "example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Tarpit(time.Second)})
				other := w.mx("example.net", sendertest.ServerConfig{})
				cfg, q := w.twoRoutes(), memory(t)
				cfg.Queue = q
				s := w.start(cfg)
				w.enqueueTo(s, "news", users(30, "example.com")...) // some of them are in line, leased
				time.Sleep(500 * time.Millisecond)
				w.suspend(s, target)
				time.Sleep(10 * time.Minute) // what was begun ends
				began := mx.Inbox().Len()
				if began == 0 || began == 30 {
					t.Fatalf("%d arrived", began)
				}
				ids := w.enqueueTo(s, "news", users(400, "example.com")...)
				w.enqueueTo(s, "resets", users(5, "example.net")...)
				time.Sleep(time.Hour)
				if n := leased(t, q); n != 0 {
					t.Errorf("%d are leased", n)
				}
				if mx.Inbox().Len() != began || other.Inbox().Len() != 5 {
					t.Errorf("%d and %d arrived", mx.Inbox().Len()-began, other.Inbox().Len())
				}
				wt := w.waits(s, ids[3])
				if len(wt) != 1 || wt[0].Reason != sender.WaitSuspended || wt[0].Detail != target.String()+" is suspended by ada: maintenance" {
					t.Errorf("waits for %+v", wt)
				}
				w.must(s.Resume(bg, target, ada))
				time.Sleep(time.Minute)
				if n := mx.Inbox().Len(); n <= began {
					t.Error("nothing goes on")
				}
				w.suspend(s, target)
				time.Sleep(time.Minute)
				began = mx.Inbox().Len()
				time.Sleep(10 * time.Hour)
				if n := len(w.of(sender.EventExpired)); mx.Inbox().Len() != began || n+began != 430 {
					t.Errorf("%d expired, %d arrived", n, mx.Inbox().Len())
				}
			})
		})
	}
}

func TestHoldsEndByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		s := w.start(w.twoRoutes())
		until := time.Now().Add(90 * time.Minute)
		target := sender.Target{Stream: "news"}
		w.must(s.Suspend(bg, sender.Hold{Target: target, Act: ada, Until: until.Add(time.Hour)}))
		w.must(s.Suspend(bg, sender.Hold{Target: target, Act: sender.Act{Actor: "bob", Reason: "for less"}, Until: until}))
		id := w.enqueueTo(s, "news", "anna@example.com")[0]
		time.Sleep(time.Hour)
		if wt := w.waits(s, id); len(wt) != 1 || !wt[0].Until.Equal(until) || !strings.Contains(wt[0].Detail, "bob: for less") {
			t.Errorf("waits for %+v", wt)
		}
		time.Sleep(30*time.Minute - time.Millisecond)
		if mx.Inbox().Len() != 0 {
			t.Fatal("too early")
		}
		time.Sleep(time.Second)
		if mx.Inbox().Len() != 1 {
			t.Error("it did not end")
		}
		ops := w.of(sender.EventOperation)
		if len(ops) != 3 || ops[2].Operation.Verb != sender.VerbResume || ops[2].Actor != "bob" || ops[2].Reason != "its time is over: for less" || !ops[2].Time.Equal(until) {
			t.Errorf("events %s", mustJSON(ops))
		}
		if hs, err := s.Holds(bg); err != nil || len(hs) != 0 {
			t.Errorf("%+v, %v", hs, err)
		}
		if err := s.Resume(bg, target, ada); !errors.Is(err, sender.ErrNotSuspended) {
			t.Errorf("resumed: %v", err)
		}
	})
}

// TestDrain: no first attempt goes over a route that is drained, retries that are bound to it do, and its end is told.
func TestDrain(t *testing.T) {
	for name, target := range map[string]sender.Target{"route": {Route: "cold"}, "path": {Route: "cold", Provider: "example.com"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Greylist(5 * time.Minute)})
				s := w.start(w.twoRoutes())
				w.enqueue(s, users(10, "example.com")...)
				time.Sleep(time.Minute)
				if n := len(w.of(sender.EventDeferred)); n != 10 {
					t.Fatalf("%d were deferred", n)
				}
				w.must(s.Suspend(bg, sender.Hold{Target: target, Act: ada, Drain: true}))
				fresh := w.enqueueTo(s, "resets", "fresh@example.com")
				time.Sleep(2 * time.Minute)
				if len(w.of(sender.EventDrained)) != 0 {
					t.Error("called drained with retries waiting")
				}
				time.Sleep(30 * time.Minute)
				if got := bySource(mx.Inbox()); got[coldAddr] != 10 || got[warmAddr] != 1 {
					t.Errorf("arrived %v", got)
				}
				for _, e := range w.of(sender.EventDeferred, sender.EventDelivered) {
					if e.DeliveryID == fresh[0] && e.Path.Route != "warm" {
						t.Errorf("new mail went over %s", e.Path.Route)
					}
				}
				drained := w.of(sender.EventDrained)
				if len(drained) != 1 || drained[0].Operation.Hold.Target != target || drained[0].Actor != "ada" || drained[0].Path.Route != "cold" {
					t.Errorf("events %s", mustJSON(drained))
				}
				if hs, err := s.Holds(bg); err != nil || len(hs) != 1 || hs[0].Drained.IsZero() || !hs[0].Drain {
					t.Errorf("%+v, %v", hs, err)
				}
			})
		})
	}
}

// TestRetriesAndASuspendedRoute: greylisting remembers the address, so what is tried again waits for its route when that is suspended for a short time; else it takes
// another one.
func TestRetriesAndASuspendedRoute(t *testing.T) {
	for _, c := range []struct {
		name    string
		until   time.Duration // 0: for good
		arrives string
	}{{"for ten minutes", 10 * time.Minute, "cold"}, {"for good", 0, "warm"}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Greylist(5 * time.Minute)})
				s := w.start(w.twoRoutes())
				id := w.enqueueTo(s, "resets", "anna@example.com")[0]
				time.Sleep(3 * time.Minute)
				hold := sender.Hold{Target: sender.Target{Route: "cold"}, Act: ada}
				if c.until > 0 {
					hold.Until = time.Now().Add(c.until)
				}
				w.must(s.Suspend(bg, hold))
				if wt := w.waits(s, id); len(wt) == 0 || wt[0].Reason != sender.WaitSuspended && wt[0].Reason != sender.WaitRetry {
					t.Errorf("waits for %+v", wt)
				}
				time.Sleep(time.Hour)
				if n := mx.Inbox().Len(); n != 1 {
					t.Errorf("%d arrived", n)
				}
				if e := w.of(sender.EventDelivered); len(e) != 1 || e[0].Path.Route != c.arrives {
					t.Errorf("arrived %s", mustJSON(e))
				}
			})
		})
	}
}

// TestRefusedMailStepsAside: what the other route has refused for good waits, and does not hold up what is behind it.
func TestRefusedMailStepsAside(t *testing.T) {
	var refuses atomic.Bool
	refuses.Store(true)
	refuse := sendertest.When(func(s *sendertest.Session) bool { return s.Source() == coldAddr && refuses.Load() },
		sendertest.RejectAt(bounce.StageMail, "550 5.7.1 Service unavailable; client [198.51.100.1] blocked using bl.spamcop.net"))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: refuse})
		cfg := w.twoRoutes()
		cfg.Backoff.BlocksInRow = 1000
		s := w.start(cfg)
		w.suspend(s, sender.Target{Route: "warm"})
		w.enqueueTo(s, "resets", "anna@example.com")
		time.Sleep(time.Minute)
		if n := len(w.of(sender.EventDeferred)); n != 1 {
			t.Fatalf("%d were deferred", n)
		}
		refuses.Store(false)
		time.Sleep(3 * time.Hour)
		w.enqueueTo(s, "resets", users(20, "example.com")...)
		time.Sleep(2 * time.Hour)
		if got := bySource(mx.Inbox()); got[coldAddr] != 20 {
			t.Errorf("arrived %v", got)
		}
		w.must(s.Resume(bg, sender.Target{Route: "warm"}, ada))
		time.Sleep(20 * time.Minute)
		if got := bySource(mx.Inbox()); got[warmAddr] != 1 {
			t.Errorf("arrived %v", got)
		}
	})
}

// TestManySuspendedLanesAreNotLookedInto: nobody claims for them.
func TestManySuspendedLanesAreNotLookedInto(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		claims := 0
		q := &hookedQueue{Queue: memory(t), afterClaim: func() { claims++ }}
		cfg := w.twoRoutes()
		cfg.Queue = q
		s := w.start(cfg)
		w.suspend(s, sender.Target{Stream: "news"})
		for i := range 300 {
			w.enqueueTo(s, "news", fmt.Sprintf("a@d%d.example", i))
		}
		time.Sleep(3 * time.Hour)
		if claims != 0 {
			t.Errorf("%d claims", claims)
		}
		w.enqueueTo(s, "resets", users(3, "example.com")...)
		time.Sleep(time.Second)
		if mx.Inbox().Len() != 3 {
			t.Error("the others wait")
		}
		st, err := s.Stats(bg)
		w.must(err)
		if st.Streams[1].Waiting != 300 {
			t.Errorf("%+v", st.Streams[1])
		}
	})
}

// TestRefusedMailHoldsUpNobody: a message that the only open route has refused waits for the other one alone, which an operator has suspended. What comes after it goes out.
func TestRefusedMailHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.transact = func(ctx context.Context, c *conversation, e *transport.Envelope) ([]transport.Result, error) {
			if e.To[0] == "one@example.com" && via(c.target, "b") {
				return all(e, said(bounce.StageMail, 554, "5.7.1 Service unavailable; Client host [198.51.100.1] blocked using zen.spamhaus.org")), nil
			}
			return takes(time.Second)(ctx, c, e)
		}
		s := st.start(st.config("a", "b"))
		if err := s.Suspend(bg, sender.Hold{Target: sender.Target{Route: "a"}, Act: ada}); err != nil {
			t.Fatal(err)
		}
		one := st.enqueue(s, "", "one@example.com")
		time.Sleep(5 * time.Second)
		st.enqueue(s, "", "two@example.com")
		time.Sleep(5 * time.Second)
		if st.sentTo("two@example.com") != 1 {
			t.Errorf("not sent, though a route is open to it: %+v", st.explain(s, one.MessageID))
		}
		if ex := st.explain(s, one.MessageID); ex.State != queue.Waiting || !waitsFor(ex, sender.WaitSuspended) {
			t.Errorf("the refused one: %+v", ex)
		}
		if err := s.Resume(bg, sender.Target{Route: "a"}, ada); err != nil {
			t.Fatal(err)
		}
		time.Sleep(16 * time.Minute)
		if st.sentTo("one@example.com") != 1 {
			t.Errorf("not sent over the route that was resumed: %+v", st.explain(s, one.MessageID))
		}
	})
}
