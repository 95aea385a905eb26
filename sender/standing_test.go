package sender_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/transport"
)

// earlyQueue is a queue in which what an operator's order claims meets something first.
type earlyQueue struct {
	*hookedQueue
	early func()
}

func (q *earlyQueue) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	if c.Early && q.early != nil {
		q.early()
	}
	return q.hookedQueue.Claim(ctx, c)
}

// TestOrderLeavesYoungMailAlone: what is accepted after the order was given is no part of it, though the queue takes its time, and goes out.
func TestOrderLeavesYoungMailAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		q := &earlyQueue{hookedQueue: &hookedQueue{Queue: memory(t)}}
		cfg := st.config("a")
		cfg.Queue = q
		s := st.start(cfg)
		target := sender.Target{Route: "a"}
		if err := s.Suspend(bg, sender.Hold{Target: target, Act: ada}); err != nil {
			t.Fatal(err)
		}
		old := st.enqueue(s, "", "old@example.com")
		time.Sleep(time.Minute)
		var young sender.Receipt
		q.early = func() {
			q.early = nil
			time.Sleep(100 * time.Millisecond)
			young = st.enqueue(s, "", "young@example.com")
			time.Sleep(400 * time.Millisecond)
		}
		r, err := s.Cancel(bg, sender.Filter{Destinations: []string{"example.com"}}, ada)
		if err != nil || r.Done != 1 || st.explain(s, old.MessageID).State != queue.Cancelled {
			t.Errorf("%+v, %v", r, err)
		}
		if ex := st.explain(s, young.MessageID); ex.State != queue.Waiting || leased(t, q) != 0 {
			t.Errorf("%+v, %d are leased", ex, leased(t, q))
		}
		if err := s.Resume(bg, target, ada); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if st.sentTo("young@example.com") != 1 || st.sentTo("old@example.com") != 0 {
			t.Error("sent", st.order())
		}
	})
}

// TestOrderWaitsForTheQueue: what is on its way between the Sender and the queue when an order is given is part of it.
func TestOrderWaitsForTheQueue(t *testing.T) {
	closedForLong := func(st *stage) { st.acquire = closed(map[string]time.Time{"a": time.Now().Add(10 * time.Hour)}) }
	const n = 100
	for _, c := range []struct {
		name string
		set  func(st *stage, q *hookedQueue) (begin func(s *sender.Sender)) // begin returns when it is on its way
	}{
		{"leases that are given back", func(st *stage, q *hookedQueue) func(*sender.Sender) {
			closedForLong(st)
			giving := make(chan struct{}, 1)
			q.settle = func(_ context.Context, batch []queue.Settlement) ([]string, error) {
				if len(batch) == n && batch[0].State == queue.Waiting {
					select {
					case giving <- struct{}{}:
						time.Sleep(time.Second)
					default:
					}
				}
				return nil, nil
			}
			return func(*sender.Sender) { <-giving }
		}},
		{"a claim", func(st *stage, q *hookedQueue) func(*sender.Sender) {
			closedForLong(st)
			claiming := make(chan struct{}, 1)
			q.afterClaim = func() {
				select {
				case claiming <- struct{}{}:
					time.Sleep(time.Second)
				default:
				}
			}
			return func(s *sender.Sender) {
				if err := s.Resume(bg, sender.Target{Stream: "default"}, ada); err != nil {
					t.Fatal(err)
				}
				<-claiming
			}
		}},
		{"what a hold gives back", func(st *stage, q *hookedQueue) func(*sender.Sender) {
			closedForLong(st)
			return func(s *sender.Sender) {
				time.Sleep(time.Second)
				q.mu.Lock()
				q.settle = func(context.Context, []queue.Settlement) ([]string, error) {
					time.Sleep(time.Second)
					return nil, nil
				}
				q.mu.Unlock()
				if err := s.Suspend(bg, sender.Hold{Target: sender.Target{Stream: "default"}, Act: ada}); err != nil {
					t.Fatal(err)
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				q := &hookedQueue{Queue: memory(t)}
				cfg := st.config("a")
				cfg.Queue = q
				begin := c.set(st, q)
				s := st.start(cfg)
				if c.name == "a claim" { // which there is none of mail that was leased when it was put
					if err := s.Suspend(bg, sender.Hold{Target: sender.Target{Stream: "default"}, Act: ada}); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := s.Enqueue(bg, note(users(n, "example.com")...)); err != nil {
					t.Fatal(err)
				}
				begin(s)
				r, err := s.Cancel(bg, sender.Filter{Streams: []string{"default"}}, ada)
				if err != nil || r.Done != n || r.InFlight != 0 {
					t.Errorf("%+v, %v", r, err)
				}
				time.Sleep(time.Minute)
				if left, err := s.Lanes(bg); err != nil || len(left) != 0 || len(st.of(sender.EventCancelled)) != n {
					t.Errorf("left %+v, %v", left, err)
				}
			})
		})
	}
}

// TestOrderAndAnAttemptThatEnds: what is deferred while an order begins is written before the order looks for it.
func TestOrderAndAnAttemptThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		greylisted := said(bounce.StageRcpt, 450, "4.2.0 Greylisted, try again later")
		ends := make(chan struct{})
		st.transact = func(ctx context.Context, _ *conversation, e *transport.Envelope) ([]transport.Result, error) {
			if e.To[0] == "second@example.com" {
				<-ends
			}
			return all(e, greylisted), nil
		}
		q := &hookedQueue{Queue: memory(t)}
		var ordered atomic.Bool
		q.lanes = func() { // the order looks for lanes
			if !ordered.CompareAndSwap(true, false) {
				return
			}
			q.mu.Lock()
			q.settle = func(context.Context, []queue.Settlement) ([]string, error) {
				time.Sleep(time.Second)
				return nil, nil
			}
			q.mu.Unlock()
			close(ends)
			time.Sleep(time.Millisecond)
		}
		cfg := st.config("a")
		cfg.Queue = q
		s := st.start(cfg)
		st.enqueue(s, "", "first@example.com") // in the lane that the second one will be in
		time.Sleep(10 * time.Second)
		st.enqueue(s, "", "second@example.com")
		time.Sleep(time.Second)
		ordered.Store(true)
		r, err := s.Cancel(bg, sender.Filter{Destinations: []string{"example.com"}}, ada)
		if err != nil || r.Done != 2 || r.InFlight != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// TestOrderAndUnwrittenSettlement: the queue is away for longer than a lease and gives an order what was delivered meanwhile. It stays delivered.
func TestOrderAndUnwrittenSettlement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.limits.Connections = 1
		ends, back, asked := make(chan struct{}), make(chan struct{}), make(chan struct{})
		st.transact = func(_ context.Context, _ *conversation, e *transport.Envelope) ([]transport.Result, error) {
			<-ends
			return all(e, said(bounce.StageDot, 250, "ok")), nil
		}
		q := &earlyQueue{hookedQueue: &hookedQueue{Queue: memory(t)}}
		q.early = func() {
			q.early = nil
			close(asked)
			<-back
		}
		cfg := st.config("a")
		cfg.Queue = q
		s := st.start(cfg)
		first := st.enqueue(s, "", "first@example.com")
		second := st.enqueue(s, "", "second@example.com")
		time.Sleep(time.Second)
		done := make(chan error)
		go func() {
			r, err := s.Cancel(bg, sender.Filter{All: true}, ada)
			if r.Done != 1 {
				err = fmt.Errorf("%+v, %w", r, err)
			}
			done <- err
		}()
		<-asked
		q.breakSettle(errors.New("away"))
		close(ends)
		time.Sleep(16 * time.Minute) // its lease is over
		close(back)
		time.Sleep(50 * time.Millisecond)
		q.breakSettle(nil)
		if err := <-done; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if a, b := st.explain(s, first.MessageID), st.explain(s, second.MessageID); a.State != queue.Delivered || b.State != queue.Cancelled {
			t.Errorf("%s and %s", a.State, b.State)
		}
		if d, c := st.of(sender.EventDelivered), st.of(sender.EventCancelled); len(d) != 1 || len(c) != 1 || leased(t, q) != 0 {
			t.Errorf("%d and %d events, %d are leased", len(d), len(c), leased(t, q))
		}
	})
}
