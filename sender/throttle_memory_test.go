package sender_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
)

// TestStopsOutliveTheProcess: a Sender that starts anew keeps to what a receiver told the one before.
func TestStopsOutliveTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Times(1, sendertest.RejectAt("mail", "421 4.7.28 an unusual rate of mail from your IP address"))})
		cfg := w.config()
		cfg.ThrottleStore = throttle.NewMemoryStore()
		s := w.start(cfg)
		w.enqueue(s, "one@example.com")
		time.Sleep(30 * time.Second)
		w.must(s.Stop(context.Background()))
		began := time.Now()
		s = w.start(cfg)
		m := note("two@example.com")
		m.ID = "two"
		_, err := s.Enqueue(context.Background(), m)
		w.must(err)
		time.Sleep(5 * time.Minute)
		ex, err := s.Explain(context.Background(), "two")
		w.must(err)
		if n := mx.Inbox().Len(); n != 0 || len(ex[0].Waits) == 0 || ex[0].Waits[0].Reason != sender.WaitBackoff {
			t.Fatalf("%d arrived; waits for %+v", n, ex[0].Waits)
		}
		w.await(func() bool { return mx.Inbox().Len() == 1 }, time.Hour)
		if took := time.Since(began); took > 10*time.Minute {
			t.Errorf("arrived %v after the restart", took)
		}
	})
}

// TestSendersShareLimits: two Senders on one store send as much together as one may.
func TestSendersShareLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		store := throttle.NewMemoryStore()
		for _, owner := range []string{"a", "b"} {
			cfg := w.config()
			cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 4, MessageRate: throttle.Rate{N: 10, Per: time.Second}}}
			cfg.ThrottleStore, cfg.ThrottleOwner = store, owner
			s := w.start(cfg)
			w.enqueue(s, users(1000, "example.com")...)
		}
		time.Sleep(10 * time.Second)
		before := mx.Inbox().Len()
		time.Sleep(time.Minute)
		if n := mx.Inbox().Len() - before; n < 570 || n > 615 {
			t.Errorf("%d in a minute, and the limit is 600", n)
		}
		if most := mx.Stats().MaxOpen; most > 4 {
			t.Errorf("%d connections at a time", most)
		}
	})
}

// TestSharedCapStarvesNobody: under a cap that two Senders share, one busy provider does not keep the other from its connections.
func TestSharedCapStarvesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		slow := sendertest.Script{OnDot: func(s *sendertest.Session, _ string) *sendertest.Answer { s.Sleep(time.Second); return nil }}
		w.mx("big.example", sendertest.ServerConfig{Script: slow})
		small := w.mx("small.example", sendertest.ServerConfig{Script: slow})
		store := throttle.NewMemoryStore()
		var s *sender.Sender
		for _, owner := range []string{"a", "b"} {
			cfg := w.config()
			cfg.Routes[0].Cap.Connections = 4
			cfg.ThrottleStore, cfg.ThrottleOwner = store, owner
			s = w.start(cfg)
			w.enqueue(s, users(2000, "big.example")...)
		}
		time.Sleep(30 * time.Second)
		w.enqueue(s, users(20, "small.example")...)
		w.await(func() bool { return small.Inbox().Len() == 20 }, 3*time.Minute)
	})
}
