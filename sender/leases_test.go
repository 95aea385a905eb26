package sender_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/route"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// TestALaneInAnotherLineSendsOnce: a lane that has sent all its mail over one route may still stand in the line of
// another. When that line is served, mail that has come for the lane since must not lose the lane that holds its lease.
func TestALaneInAnotherLineSendsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		start := time.Now()
		st.acquire = closed(map[string]time.Time{"a": start.Add(time.Minute), "b": start.Add(40 * time.Minute)})
		s := st.start(st.config("a", "b"))
		st.enqueue(s, "", "one@x.example") // stands in both lines
		time.Sleep(2 * time.Minute)
		if st.sentTo("one@x.example") != 1 {
			t.Fatal("not sent over the route that opened")
		}
		st.set(func() {
			st.acquire = closed(map[string]time.Time{"a": start.Add(3 * time.Hour), "b": start.Add(3 * time.Hour)})
		})
		time.Sleep(37 * time.Minute)
		st.set(func() { st.transact = takes(5 * time.Second) })
		st.enqueue(s, "", "two@x.example")
		time.Sleep(4 * time.Hour) // past the first alarm of b, past the lease, past the opening
		for _, to := range []string{"one@x.example", "two@x.example"} {
			if n := st.sentTo(to); n != 1 {
				t.Errorf("%s was sent %d times", to, n)
			}
		}
		if h := sender.HeldBy(s); h.Lanes != 0 || h.Paths != 0 {
			t.Errorf("still remembers %+v", h)
		}
	})
}

// TestALeaseOutlivesItsAttempt: an attempt may take longer than a lease, also when the lease was old when it began.
func TestALeaseOutlivesItsAttempt(t *testing.T) {
	for _, c := range []struct {
		name string
		took time.Duration
		mail int
	}{
		{"long attempt", time.Hour, 1},
		{"claimed long before", 9*time.Minute + 50*time.Second, 6},
		{"claimed long before a long attempt", 14*time.Minute + 50*time.Second, 4},
		{"attempt just under a lease", 14*time.Minute + 59*time.Second, 3},
		{"attempt just over a lease", 15*time.Minute + time.Second, 3},
		{"short attempts in a long line", 7 * time.Second, 300},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.limits.Connections = 1
				st.transact = takes(c.took)
				s := st.start(st.config("a"))
				time.Sleep(30 * time.Second) // not in step with the dispatcher's clocks
				st.enqueue(s, "", users(c.mail, "x.example")...)
				time.Sleep(time.Duration(c.mail+2)*c.took + time.Hour)
				if n := len(st.order()); n != c.mail {
					t.Errorf("%d transactions began for %d messages", n, c.mail)
				}
				if n := len(st.of(sender.EventDelivered)); n != c.mail {
					t.Errorf("%d of %d were told as delivered", n, c.mail)
				}
			})
		})
	}
}

// TestASlowReceiverGetsItsMailOnce is the same with a receiver that takes its time for each reply.
func TestASlowReceiverGetsItsMailOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Tarpit(100 * time.Second)})
		cfg := w.config()
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 1}}
		s := w.start(cfg)
		time.Sleep(30 * time.Second)
		w.enqueue(s, "anna@example.com", "otto@example.com")
		time.Sleep(5 * time.Hour)
		if n := mx.Inbox().Len(); n != 2 || len(w.of(sender.EventDelivered)) != 2 {
			t.Errorf("%d arrived of 2, %d told as delivered", n, len(w.of(sender.EventDelivered)))
		}
	})
}

// TestMailComesWhileLeasesGoBack: a queue may take its time to take back what a lane has had for too long. What comes for the lane meanwhile waits for
// that, and is not asked for in vain all the time.
func TestMailComesWhileLeasesGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.limits.Connections = 1
		known, entered := false, make(chan struct{}, 100)
		var claims atomic.Int32
		st.resolve = func(_ context.Context, domain string) (route.Destination, error) {
			if !get(st, func() bool { return known }) {
				return route.Destination{}, errors.New("no answer")
			}
			return found(domain), nil
		}
		cfg := st.config("a")
		cfg.Queue = &hookedQueue{Queue: memory(t), afterClaim: func() { claims.Add(1) }, settle: func(_ context.Context, batch []queue.Settlement) ([]string, error) {
			if batch[0].State == queue.Waiting {
				entered <- struct{}{}
				time.Sleep(20 * time.Second)
			}
			return nil, nil
		}}
		s := st.start(cfg)
		st.enqueue(s, "", "one@x.example")
		select {
		case <-entered:
		case <-time.After(time.Hour):
			t.Fatal("the lease was kept until it had run out")
		}
		before := claims.Load()
		st.enqueue(s, "", "two@x.example")
		time.Sleep(10 * time.Second)
		if n := claims.Load() - before; n != 0 {
			t.Errorf("asked the queue %d times for mail that must not overtake", n)
		}
		st.set(func() { known = true })
		time.Sleep(time.Hour)
		if got, want := st.order(), []string{"one@x.example", "two@x.example"}; !slices.Equal(got, want) {
			t.Errorf("sent %v, want %v", got, want)
		}
	})
}

// TestAnUnwrittenSettlementIsNotForgotten: when the queue takes no settlements for longer than a lease lasts, what was
// delivered is not sent again; the settlement is written under the lease that the delivery has by then.
func TestAnUnwrittenSettlementIsNotForgotten(t *testing.T) {
	for _, c := range []struct {
		name  string
		reply bounce.Reply
		final queue.State
		event sender.EventType
	}{
		{"delivered", said(bounce.StageDot, 250, "ok"), queue.Delivered, sender.EventDelivered},
		{"bounced", said(bounce.StageRcpt, 550, "5.1.1 no such user"), queue.Bounced, sender.EventBounced},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				q := &hookedQueue{Queue: memory(t)}
				q.breakSettle(errDisk)
				st.transact = answers(c.reply)
				cfg := st.config("a")
				cfg.Queue = q
				s := st.start(cfg)
				to := users(5, "x.example")
				last := st.enqueue(s, "", to...)
				time.Sleep(2 * time.Hour)
				if n := len(st.of(c.event)); n != 0 {
					t.Errorf("%d were told before they were durable", n)
				}
				q.breakSettle(nil)
				time.Sleep(time.Hour)
				if n := len(st.order()); n != len(to) {
					t.Errorf("%d transactions for %d messages", n, len(to))
				}
				if n := len(st.of(c.event)); n != len(to) {
					t.Errorf("%d of %d were told", n, len(to))
				}
				if ex := st.explain(s, last.MessageID); ex.State != c.final || ex.Attempts != 1 {
					t.Errorf("is %s after %d attempts", ex.State, ex.Attempts)
				}
			})
		})
	}
}

// TestAnUnwrittenDeferralIsKept: the same for what is to be tried again. The wait counts from when it is written.
func TestAnUnwrittenDeferralIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		q := &hookedQueue{Queue: memory(t)}
		q.breakSettle(errDisk)
		st.transact = answers(said(bounce.StageRcpt, 451, "4.3.0 try again later"))
		cfg := st.config("a")
		cfg.Queue = q
		s := st.start(cfg)
		r := st.enqueue(s, "", "one@x.example")
		time.Sleep(2 * time.Hour)
		if n := len(st.order()); n != 1 {
			t.Errorf("%d attempts while the first could not be written", n)
		}
		st.set(func() { st.transact = nil })
		q.breakSettle(nil)
		time.Sleep(time.Hour)
		if ex := st.explain(s, r.MessageID); ex.State != queue.Delivered || ex.Attempts != 2 {
			t.Errorf("is %s after %d attempts: %+v", ex.State, ex.Attempts, ex.Waits)
		}
	})
}

// TestLostSettlementsAreNotTold: of a delivery that another process has taken over nothing is told.
func TestLostSettlementsAreNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		gate := &memoryGate{}
		q := &hookedQueue{Queue: memory(t), settle: func(_ context.Context, batch []queue.Settlement) (lost []string, err error) {
			for _, b := range batch {
				lost = append(lost, b.ID)
			}
			return lost, nil
		}}
		st.transact = func(_ context.Context, _ *conversation, e *transport.Envelope) ([]transport.Result, error) {
			if e.To[0] == "dead@x.example" {
				return all(e, said(bounce.StageRcpt, 550, "5.1.1 no such user")), nil
			}
			return all(e, said(bounce.StageDot, 250, "ok")), nil
		}
		cfg := st.config("a")
		cfg.Queue, cfg.Gate = q, gate
		s := st.start(cfg)
		st.enqueue(s, "", "one@x.example", "dead@x.example")
		time.Sleep(time.Minute)
		if n := len(st.order()); n != 2 {
			t.Errorf("%d transactions", n)
		}
		if told := st.of(sender.EventDelivered, sender.EventBounced, sender.EventDeferred); len(told) != 0 {
			t.Errorf("told %+v", told)
		}
		if len(gate.dead) != 0 {
			t.Errorf("suppressed %v", gate.dead)
		}
	})
}

// TestStopGivesEverythingBack: nothing stays leased after Stop, whatever the queue was busy with when it was called.
func TestStopGivesEverythingBack(t *testing.T) {
	t.Run("a claim under way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			q := &hookedQueue{Queue: memory(t), afterClaim: func() { time.Sleep(time.Second) }}
			cfg := st.config("a")
			cfg.Queue = q
			s, err := sender.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			st.enqueue(s, "", users(5, "x.example")...)
			if err := s.Start(context.Background()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond)
			if leased(t, q) == 0 {
				t.Fatal("no claim is under way")
			}
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			if n := leased(t, q); n != 0 {
				t.Errorf("%d stay leased", n)
			}
		})
	})
	t.Run("an Enqueue under way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			q := &hookedQueue{Queue: memory(t), afterPut: func() { time.Sleep(time.Second) }}
			cfg := st.config("a")
			cfg.Queue = q
			s := st.start(cfg)
			done := make(chan error)
			go func() {
				_, err := s.Enqueue(context.Background(), note("one@x.example"))
				done <- err
			}()
			time.Sleep(100 * time.Millisecond)
			if leased(t, q) == 0 {
				t.Fatal("the delivery was not leased with its Put")
			}
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Errorf("Enqueue of what the queue has: %v", err)
			}
			if n := leased(t, q); n != 0 {
				t.Errorf("%d stay leased", n)
			}
			if n := len(st.of(sender.EventAccepted)); n != 1 {
				t.Errorf("told %d times that it was accepted", n)
			}
		})
	})
	t.Run("a line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			st.limits.Connections = 2
			st.transact = takes(10 * time.Second)
			q := memory(t)
			cfg := st.config("a")
			cfg.Queue = q
			s := st.start(cfg)
			for i := range 20 {
				st.enqueue(s, "", users(10, fmt.Sprintf("d%d.example", i))...)
			}
			time.Sleep(15 * time.Second)
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			if n := leased(t, q); n != 0 {
				t.Errorf("%d stay leased", n)
			}
		})
	})
}

// TestABrokenOffAttemptCounts: a transaction that Stop broke off may have been seen by the receiver.
func TestABrokenOffAttemptCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.transact = takes(time.Hour)
		q := memory(t)
		cfg := st.config("a")
		cfg.Queue = q
		cfg.Pacer = stagePacer{st}
		cfg.Routes[0].Warmup = warmup.Moderate(1000)
		s := st.start(cfg)
		r := st.enqueue(s, "", "one@x.example")
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := s.Stop(ctx); err == nil {
			t.Error("Stop does not tell that it broke an attempt off")
		}
		ds, err := q.Get(context.Background(), r.MessageID)
		if err != nil || len(ds) != 1 || ds[0].State != queue.Waiting || ds[0].Attempts != 1 {
			t.Errorf("left in the queue: %+v, %v", ds, err)
		}
		if st.committed != 1 || st.cancelled != 0 {
			t.Errorf("%d of the allowance kept, %d given back", st.committed, st.cancelled)
		}
	})
}
