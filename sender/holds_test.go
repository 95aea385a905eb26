package sender_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

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
