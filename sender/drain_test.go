package sender_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/warmup"
)

// TestDrainWaitsForAttempts: a route is drained when nothing is being sent over it; what goes to other providers is nothing to a path.
func TestDrainWaitsForAttempts(t *testing.T) {
	for _, c := range []struct {
		target sender.Target
		ends   time.Duration // when the last attempt has ended that counts
	}{
		{sender.Target{Route: "a"}, 100 * time.Second},
		{sender.Target{Route: "a", Provider: "example.com"}, 50 * time.Second},
		{sender.Target{Route: "b"}, 0},
	} {
		t.Run(c.target.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.transact = func(ctx context.Context, conv *conversation, e *transport.Envelope) ([]transport.Result, error) {
					if e.To[0] == "anna@example.com" {
						return takes(50*time.Second)(ctx, conv, e)
					}
					return takes(100*time.Second)(ctx, conv, e)
				}
				s := st.start(st.config("a", "b"))
				st.enqueue(s, "", "anna@example.com", "berta@example.net")
				synctest.Wait()
				began := time.Now()
				if err := s.Suspend(bg, sender.Hold{Target: c.target, Act: ada, Drain: true}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Minute)
				told := st.of(sender.EventDrained)
				if len(told) != 1 || told[0].Time.Sub(began) < c.ends || told[0].Time.Sub(began) > c.ends+20*time.Second {
					t.Errorf("told %s, want after %v", mustJSON(told), c.ends)
				}
			})
		})
	}
}

// TestDrainWaitsForTheQueue: what was deferred and is not written yet is left on the route.
func TestDrainWaitsForTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.transact = func(ctx context.Context, conv *conversation, e *transport.Envelope) ([]transport.Result, error) {
			if len(st.order()) == 1 {
				return all(e, said(bounce.StageRcpt, 450, "4.2.0 Greylisted, try again later")), nil
			}
			return takes(time.Second)(ctx, conv, e)
		}
		q := &hookedQueue{Queue: memory(t)}
		q.breakSettle(errors.New("away"))
		cfg := st.config("a", "b")
		cfg.Queue = q
		s := st.start(cfg)
		st.enqueue(s, "", "anna@example.com")
		time.Sleep(time.Second)
		if err := s.Suspend(bg, sender.Hold{Target: sender.Target{Route: "a"}, Act: ada, Drain: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if n := len(st.order()); n != 1 || len(st.of(sender.EventDrained)) != 0 {
			t.Errorf("told after %d tries", n)
		}
		q.breakSettle(nil)
		time.Sleep(2 * time.Hour)
		drained, delivered := st.of(sender.EventDrained), st.of(sender.EventDelivered)
		if len(drained) != 1 || len(delivered) != 1 || delivered[0].Path.Route != "a" || drained[0].Time.Before(delivered[0].Time) {
			t.Errorf("%s and %s", mustJSON(drained), mustJSON(delivered))
		}
	})
}

// TestDrainWaitsForOtherProcesses: they hear of an order some time later, so that nobody is told before a minute is over.
func TestDrainWaitsForOtherProcesses(t *testing.T) {
	for _, shared := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			cfg := st.config("a", "b")
			if cfg.Queue = memory(t); shared {
				cfg.Queue = orderQueue{cfg.Queue, warmup.NewMemoryStore()}
			}
			s := st.start(cfg)
			time.Sleep(time.Second)
			began := time.Now()
			if err := s.Suspend(bg, sender.Hold{Target: sender.Target{Route: "a"}, Act: ada, Drain: true}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Minute)
			told := st.of(sender.EventDrained)
			if len(told) != 1 || shared != (told[0].Time.Sub(began) >= time.Minute) {
				t.Errorf("shared %t: told %s", shared, mustJSON(told))
			}
		})
	}
}
