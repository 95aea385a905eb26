package sender_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
)

// TestOrderBrokenOff: what was not done waits on, at once, and giving the order again does the rest.
func TestOrderBrokenOff(t *testing.T) {
	const n = 2000
	for _, how := range []string{"cancelled", "queue", "stop"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.mx("example.com", sendertest.ServerConfig{})
				ctx, cancel := context.WithCancel(bg)
				q := &hookedQueue{Queue: memory(t)}
				cfg := w.twoRoutes()
				cfg.Queue = q
				s := w.start(cfg)
				w.suspend(s, sender.Target{Stream: "news"})
				ids := w.enqueueTo(s, "news", users(n, "example.com")...)
				settles := 0
				away := errors.New("away")
				q.settle = func(context.Context, []queue.Settlement) ([]string, error) {
					switch settles++; {
					case settles == 3 && how == "cancelled":
						cancel()
					case settles == 3 && how == "stop":
						go s.Stop(bg)
						time.Sleep(time.Millisecond)
					case settles >= 3 && how == "queue":
						return nil, away
					}
					return nil, nil
				}
				r, err := s.Cancel(ctx, sender.Filter{All: true}, ada)
				want := map[string]error{"cancelled": context.Canceled, "stop": sender.ErrStopped, "queue": away}[how]
				if !errors.Is(err, want) || r.Done == 0 || r.Done == n {
					t.Fatalf("%+v, %v", r, err)
				}
				q.breakSettle(nil)
				if how == "queue" {
					time.Sleep(3 * time.Minute) // its leases run out
				}
				time.Sleep(time.Second)
				if got := leased(t, q); got != 0 {
					t.Errorf("%d are leased", got)
				}
				if how == "stop" {
					cfg.Queue = q
					var err error
					s, err = sender.New(cfg)
					w.must(err)
					w.suspend(s, sender.Target{Stream: "news"}) // before it could send any
					w.must(s.Start(bg))
					defer s.Stop(bg)
				} else if ops := w.of(sender.EventOperation); ops[1].Operation.Broken == "" || ops[1].Operation.Result.Done != r.Done {
					t.Errorf("event %s", mustJSON(ops[1]))
				}
				second, err := s.Cancel(bg, sender.Filter{All: true}, ada)
				if err != nil || second.Done+r.Done != n {
					t.Errorf("%+v and %+v, %v", r, second, err)
				}
				if got := w.all(s, ids...); got[queue.Cancelled] != n {
					t.Errorf("became %v", got)
				}
				synctest.Wait() // the Observer is told by a goroutine of its own
				if got := len(w.of(sender.EventCancelled)); got != n {
					t.Errorf("%d events", got)
				}
			})
		})
	}
}

// TestOrdersWhileMailGoesOut: every delivery is delivered or cancelled, once, whatever happens at the same time.
func TestOrdersWhileMailGoesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const domains, each = 12, 40
		mxs := map[string]*sendertest.Server{}
		for i := range domains {
			domain := fmt.Sprintf("d%d.example", i)
			script := sendertest.Tarpit(50 * time.Millisecond)
			if i%3 == 0 {
				script = sendertest.Greylist(time.Minute)
			}
			mxs[domain] = w.mx(domain, sendertest.ServerConfig{Script: script})
		}
		cfg := w.twoRoutes()
		cfg.Streams[1].ExpireAfter = 100 * time.Hour
		s := w.start(cfg)
		var wg sync.WaitGroup
		total := 0
		for i := range domains {
			total += each
			wg.Go(func() {
				for j := range each {
					m := note(fmt.Sprintf("u%d@d%d.example", j, i))
					m.Stream = []string{"news", "resets"}[j%2]
					if _, err := s.Enqueue(bg, m); err != nil {
						t.Error(err)
					}
					time.Sleep(30 * time.Millisecond)
				}
			})
		}
		done := make([]int, 4)
		for k, f := range []func() (sender.Result, error){
			func() (sender.Result, error) {
				return s.Move(bg, sender.Filter{Streams: []string{"news"}}, sender.MoveTo{Pool: "other"}, ada)
			},
			func() (sender.Result, error) {
				return s.Cancel(bg, sender.Filter{Destinations: []string{"d1.example", "d3.example"}}, ada)
			},
			func() (sender.Result, error) {
				return sender.Result{}, s.Suspend(bg, sender.Hold{Target: sender.Target{Route: "cold"}, Act: ada, Until: time.Now().Add(200 * time.Millisecond)})
			},
			func() (sender.Result, error) {
				err := s.Suspend(bg, sender.Hold{Target: sender.Target{Stream: "resets"}, Act: ada})
				time.Sleep(70 * time.Millisecond)
				return sender.Result{}, errors.Join(err, s.Resume(bg, sender.Target{Stream: "resets"}, ada))
			},
		} {
			wg.Go(func() {
				for range 10 {
					r, err := f()
					if err != nil {
						t.Error(err)
					}
					done[k] += r.Done
					time.Sleep(110 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		time.Sleep(4 * time.Hour)
		arrived := 0
		for domain, mx := range mxs {
			seen := map[string]bool{}
			for _, m := range mx.Inbox().Messages() {
				if seen[m.To[0]] {
					t.Errorf("%s: %s twice", domain, m.To[0])
				}
				seen[m.To[0]] = true
			}
			arrived += len(seen)
		}
		if got := len(w.of(sender.EventCancelled)); got != done[1] || arrived+got != total || len(w.of(sender.EventDelivered)) != arrived {
			t.Errorf("%d arrived, %d cancelled by events, %d by results, of %d", arrived, got, done[1], total)
		}
		if done[1] == 0 || done[0] == 0 {
			t.Errorf("done %v", done)
		}
		if n := leased(t, backlog{s}); n != 0 {
			t.Errorf("%d are leased", n)
		}
	})
}

// backlog lets leased count through a Sender.
type backlog struct{ s *sender.Sender }

func (b backlog) Lanes(ctx context.Context) ([]queue.LaneStatus, error) { return b.s.Lanes(ctx) }
