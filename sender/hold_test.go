package sender_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/sendertest"
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

func TestOrdersAreChecked(t *testing.T) {
	cfg := newStage(t).config("a", "b")
	cfg.Providers = nil
	cfg.Routes = append(cfg.Routes, sender.Route{Name: "esp", Relay: &sender.Relay{Addr: "192.0.2.1:25"}})
	s, err := sender.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	target := sender.Target{Route: "a"}
	for _, tt := range []struct {
		field string // of the error; empty: it is fine
		hold  sender.Hold
	}{
		{"", sender.Hold{Target: target, Act: ada}},
		{"", sender.Hold{Target: sender.Target{Route: "a", Provider: "google"}, Act: ada, Drain: true}},
		{"", sender.Hold{Target: sender.Target{Provider: "google+example.com"}, Act: ada}},
		{"", sender.Hold{Target: sender.Target{Route: "esp", Provider: "mail.example"}, Act: ada}},
		{"", sender.Hold{Target: sender.Target{Stream: "default"}, Act: ada, Until: time.Now().Add(time.Hour)}},
		{"", sender.Hold{Target: sender.Target{Destination: "Bücher.example"}, Act: ada}},
		{"Target", sender.Hold{Act: ada}},
		{"Target", sender.Hold{Target: sender.Target{Route: "a", Stream: "default"}, Act: ada}},
		{"Target", sender.Hold{Target: sender.Target{Destination: "example.com", Provider: "google"}, Act: ada}},
		{"Target.Route", sender.Hold{Target: sender.Target{Route: "c"}, Act: ada}},
		{"Target.Stream", sender.Hold{Target: sender.Target{Stream: "c"}, Act: ada}},
		{"Target.Destination", sender.Hold{Target: sender.Target{Destination: "example"}, Act: ada}},
		{"Target.Provider", sender.Hold{Target: sender.Target{Provider: "gogle"}, Act: ada}},
		{"Target.Provider", sender.Hold{Target: sender.Target{Route: "a", Provider: "Example.com"}, Act: ada}},
		{"Target.Provider", sender.Hold{Target: sender.Target{Route: "esp", Provider: "relay"}, Act: ada}},
		{"Target.Provider", sender.Hold{Target: sender.Target{Provider: "a.b\x00"}, Act: ada}},
		{"Act.Actor", sender.Hold{Target: target, Act: sender.Act{Reason: "x"}}},
		{"Act.Reason", sender.Hold{Target: target, Act: sender.Act{Actor: "x", Reason: " "}}},
		{"Act.Reason", sender.Hold{Target: target, Act: sender.Act{Actor: "x", Reason: "two\r\nlines"}}},
		{"Act.Reason", sender.Hold{Target: target, Act: sender.Act{Actor: "x", Reason: strings.Repeat("x", 501)}}},
		{"Act.Actor", sender.Hold{Target: target, Act: sender.Act{Actor: "\xff", Reason: "x"}}},
		{"Drain", sender.Hold{Target: sender.Target{Stream: "default"}, Act: ada, Drain: true}},
		{"Drain", sender.Hold{Target: sender.Target{Provider: "google"}, Act: ada, Drain: true}},
		{"Until", sender.Hold{Target: target, Act: ada, Until: time.Now()}},
	} {
		err := s.Suspend(bg, tt.hold)
		var oe *sender.OperationError
		if errors.As(err, &oe) != (tt.field != "") || tt.field == "" && err != nil || tt.field != "" && oe.Field != tt.field {
			t.Errorf("%+v: %v", tt.hold, err)
		}
	}
	if _, err := s.Bounce(bg, sender.Filter{}, ada); err == nil {
		t.Error("a filter without conditions is taken")
	}
	for field, f := range map[string]sender.Filter{
		"Filter":                 {},
		"Filter.All":             {All: true, Route: "a"},
		"Filter.Streams[1]":      {Streams: []string{"a", ""}},
		"Filter.Destinations[0]": {Destinations: []string{"x y"}},
		"Filter.MessageIDs[0]":   {MessageIDs: []string{"a\n"}},
		"Filter.Providers":       {Providers: make([]string, 10_001)},
		"Filter.Route":           {Route: "\x00"},
	} {
		_, err := s.Cancel(bg, f, ada)
		if oe := (*sender.OperationError)(nil); !errors.As(err, &oe) || oe.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := s.Move(bg, sender.Filter{All: true}, sender.MoveTo{Pool: "nowhere"}, ada); err == nil || !strings.Contains(err.Error(), "MoveTo.Pool") {
		t.Errorf("pool: %v", err)
	}
	if _, err := s.Move(bg, sender.Filter{All: true}, sender.MoveTo{Pool: "default"}, sender.Act{}); err == nil {
		t.Error("nobody gave the order")
	}
	if err := s.Resume(bg, sender.Target{Route: "b"}, ada); !errors.Is(err, sender.ErrNotSuspended) {
		t.Errorf("resume: %v", err)
	}
	if err := s.Resume(bg, sender.Target{Destination: "bücher.EXAMPLE"}, ada); err != nil {
		t.Errorf("resume: %v", err)
	}
	if hs, err := s.Holds(bg); err != nil || len(hs) != 5 || hs[0].Target.String() != "path a/google" || hs[0].Actor != "ada" || hs[0].Since.IsZero() || hs[0].Unsaved {
		t.Errorf("holds: %+v, %v", hs, err)
	}
	s.Stop(bg)
	if err := s.Suspend(bg, sender.Hold{Target: target, Act: ada}); !errors.Is(err, sender.ErrStopped) {
		t.Errorf("after Stop: %v", err)
	}
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

// TestRetriesWaitForASuspendedRoute: greylisting remembers the address. Draining instead lets them go.
func TestRetriesWaitForASuspendedRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Greylist(5 * time.Minute)})
		s := w.start(w.twoRoutes())
		id := w.enqueueTo(s, "resets", "anna@example.com")[0]
		time.Sleep(time.Minute)
		w.suspend(s, sender.Target{Route: "cold"})
		if wt := w.waits(s, id); len(wt) != 2 || wt[0].Reason != sender.WaitSuspended || wt[1].Reason != sender.WaitRetry {
			t.Errorf("waits for %+v", wt)
		}
		time.Sleep(time.Hour)
		if n := mx.Inbox().Len(); n != 0 {
			t.Errorf("%d arrived", n)
		}
		if wt := w.waits(s, id); len(wt) != 1 || wt[0].Reason != sender.WaitSuspended {
			t.Errorf("waits for %+v", wt)
		}
		w.must(s.Suspend(bg, sender.Hold{Target: sender.Target{Route: "cold"}, Act: ada, Drain: true}))
		time.Sleep(time.Minute)
		if got := bySource(mx.Inbox()); got[coldAddr] != 1 {
			t.Errorf("arrived %v", got)
		}
	})
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

// TestHoldsSurviveRestarts, and are obeyed before the first message goes.
func TestHoldsSurviveRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		run := func(f func(s *sender.Sender)) {
			q, err := sqlitequeue.Open(path)
			w.must(err)
			cfg := w.twoRoutes()
			cfg.Queue = q
			s, err := sender.New(cfg)
			w.must(err)
			f(s)
			w.must(s.Stop(bg))
			w.must(q.Close())
		}
		run(func(s *sender.Sender) { // before Start
			w.suspend(s, sender.Target{Stream: "news"})
			w.must(s.Suspend(bg, sender.Hold{Target: sender.Target{Route: "cold"}, Act: ada, Until: time.Now().Add(3 * time.Hour)}))
			w.enqueueTo(s, "news", users(3, "example.com")...)
		})
		run(func(s *sender.Sender) {
			w.must(s.Start(bg))
			w.enqueueTo(s, "resets", users(2, "example.com")...)
			time.Sleep(time.Hour)
			if got := bySource(mx.Inbox()); got[warmAddr] != 2 || len(got) != 1 {
				t.Errorf("arrived %v", got)
			}
			hs, err := s.Holds(bg)
			if err != nil || len(hs) != 2 || hs[0].Route != "cold" || hs[0].Until.IsZero() || hs[1].Stream != "news" || hs[1].Reason != "maintenance" || hs[1].Unsaved {
				t.Errorf("%+v, %v", hs, err)
			}
		})
		time.Sleep(3 * time.Hour) // one ends while nobody is there
		run(func(s *sender.Sender) {
			w.must(s.Start(bg))
			w.enqueueTo(s, "resets", users(1, "example.com")...)
			time.Sleep(time.Minute)
			w.must(s.Resume(bg, sender.Target{Stream: "news"}, ada))
			time.Sleep(time.Second)
			if got := bySource(mx.Inbox()); got[warmAddr] != 2 || got[coldAddr] != 4 {
				t.Errorf("arrived %v", got)
			}
		})
		// Those of the Sender that was never started had nobody to go to.
		if ops := w.of(sender.EventOperation); len(ops) != 2 || ops[0].Operation.Hold.Route != "cold" || ops[0].Operation.Verb != sender.VerbResume {
			t.Errorf("events %s", mustJSON(ops))
		}
	})
}

// orderStore is the store of operators' orders, which may be away.
type orderStore struct {
	*warmup.MemoryStore
	mu  sync.Mutex
	err error
}

// fail makes the store be away, or come back.
func (s *orderStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *orderStore) away() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *orderStore) Update(ctx context.Context, key string, fn func([]byte) ([]byte, error)) error {
	if err := s.away(); err != nil {
		return err
	}
	return s.MemoryStore.Update(ctx, key, fn)
}

func (s *orderStore) Load(ctx context.Context, fn func(string, []byte) error) error {
	if err := s.away(); err != nil {
		return err
	}
	return s.MemoryStore.Load(ctx, fn)
}

type orderQueue struct {
	sender.Queue
	store warmup.Store
}

func (q orderQueue) OperatorStore() warmup.Store { return q.store }

// TestHoldsOfOtherProcesses: two Senders with one store obey each other's orders within 15 seconds.
func TestHoldsOfOtherProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Greylist(5 * time.Minute)})
		store := &orderStore{MemoryStore: warmup.NewMemoryStore()}
		var ss [2]*sender.Sender
		for i := range ss {
			cfg := w.twoRoutes()
			cfg.Queue = orderQueue{memory(t), store}
			ss[i] = w.start(cfg)
		}
		w.suspend(ss[0], sender.Target{Stream: "resets"})
		time.Sleep(16 * time.Second)
		w.enqueueTo(ss[1], "resets", "anna@example.com")
		time.Sleep(time.Minute)
		if n := len(w.of(sender.EventDeferred)); n != 0 {
			t.Error("the other process sends")
		}
		w.must(ss[1].Suspend(bg, sender.Hold{Target: sender.Target{Route: "warm"}, Act: ada, Drain: true, Until: time.Now().Add(time.Hour)}))
		w.must(ss[0].Resume(bg, sender.Target{Stream: "resets"}, ada))
		time.Sleep(16 * time.Second)
		if n := len(w.of(sender.EventDeferred)); n != 1 {
			t.Error("the other process does not go on")
		}
		time.Sleep(2 * time.Hour)
		if n := mx.Inbox().Len(); n != 1 {
			t.Errorf("%d arrived", n)
		}
		if n := len(w.of(sender.EventDrained)); n != 1 {
			t.Errorf("told of the end of draining %d times", n)
		}
		if n := len(w.of(sender.EventOperation)); n != 4 { // with the end of the draining, once
			t.Errorf("%d events", n)
		}
		// Both can end what one began, once.
		w.suspend(ss[0], sender.Target{Route: "cold"})
		w.must(ss[1].Resume(bg, sender.Target{Route: "cold"}, ada))
		if err := ss[0].Resume(bg, sender.Target{Route: "cold"}, ada); !errors.Is(err, sender.ErrNotSuspended) {
			t.Errorf("ended twice: %v", err)
		}
	})
}

// TestSuspendWithoutItsStore: this process obeys whatever the store says, and the others do once it is back.
func TestSuspendWithoutItsStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		store := &orderStore{MemoryStore: warmup.NewMemoryStore()}
		cfg := w.twoRoutes()
		cfg.Queue = orderQueue{memory(t), store}
		s := w.start(cfg)
		away := errors.New("away")
		store.fail(away)
		target := sender.Target{Stream: "resets"}
		if err := s.Suspend(bg, sender.Hold{Target: target, Act: ada}); !errors.Is(err, away) {
			t.Fatalf("suspended: %v", err)
		}
		w.enqueueTo(s, "resets", "anna@example.com")
		time.Sleep(time.Minute)
		hs, err := s.Holds(bg)
		if !errors.Is(err, away) || len(hs) != 1 || !hs[0].Unsaved || mx.Inbox().Len() != 0 {
			t.Errorf("%+v, %v, %d arrived", hs, err, mx.Inbox().Len())
		}
		if err := s.Resume(bg, target, ada); !errors.Is(err, away) {
			t.Errorf("resumed: %v", err)
		}
		cfg.Queue = orderQueue{memory(t), store}
		other, err := sender.New(cfg)
		w.must(err)
		if err := other.Start(bg); !errors.Is(err, away) {
			t.Errorf("started without knowing what is suspended: %v", err)
		}
		store.fail(nil)
		time.Sleep(20 * time.Second)
		if hs, err := other.Holds(bg); err != nil || len(hs) != 1 || hs[0].Unsaved {
			t.Errorf("%+v, %v", hs, err)
		}
		w.must(s.Resume(bg, target, ada))
		time.Sleep(time.Second)
		if mx.Inbox().Len() != 1 {
			t.Error("it does not go on")
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
