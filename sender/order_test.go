package sender_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/sendertest"
)

// all is the state of deliveries, by ID.
func (w *world) all(s *sender.Sender, ids ...string) map[queue.State]int {
	w.t.Helper()
	out := map[queue.State]int{}
	for _, id := range ids {
		ex, err := s.Explain(bg, id)
		w.must(err)
		out[ex[0].State]++
	}
	return out
}

// TestMoveFromASuspendedRoute: what waits for a route, new or to be tried again there, goes over the routes of another pool, when it is due, with its history.
func TestMoveFromASuspendedRoute(t *testing.T) {
	for _, engine := range []string{"memory", "sqlite"} {
		t.Run(engine, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "queue.db")
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Greylist(5 * time.Minute)})
				cfg := w.twoRoutes()
				cfg.Pools[0].Overflow = nil
				cfg.Streams[0].Weight = 3
				if engine == "sqlite" {
					q, err := sqlitequeue.Open(path)
					w.must(err)
					defer q.Close()
					cfg.Queue = q
				}
				s := w.start(cfg)
				defer s.Stop(bg)
				retried := w.enqueueTo(s, "resets", users(3, "example.com")...)
				time.Sleep(time.Minute)
				due := map[string]time.Time{}
				for _, id := range retried {
					due[id] = w.waits(s, id)[0].Until
				}
				w.suspend(s, sender.Target{Route: "cold"})
				fresh := w.enqueueTo(s, "resets", "fresh@example.com", "new@example.com")
				r, err := s.Move(bg, sender.Filter{Streams: []string{"resets"}}, sender.MoveTo{Pool: "other"}, ada)
				if err != nil || r.Done != 5 || r.InFlight != 0 {
					t.Fatalf("%+v, %v", r, err)
				}
				for _, id := range retried {
					wt := w.waits(s, id)
					if !slices.ContainsFunc(wt, func(wt sender.Wait) bool {
						return wt.Reason == sender.WaitRetry && wt.Until.Sub(due[id]).Abs() < time.Second
					}) {
						t.Errorf("%s waits for %+v, want %v", id, wt, due[id])
					}
				}
				time.Sleep(time.Second)
				if n := len(w.of(sender.EventDeferred)); n != 5 {
					t.Errorf("%d were deferred", n)
				}
				time.Sleep(time.Hour)
				if got := bySource(mx.Inbox()); got[warmAddr] != 5 || len(got) != 1 {
					t.Errorf("arrived %v", got)
				}
				ex, err := s.Explain(bg, retried[0])
				w.must(err)
				if h := ex[0].History; len(h) < 2 || h[0].Route != "cold" || h[len(h)-1].Route != "warm" || ex[0].Attempts != len(h) {
					t.Errorf("history %+v", ex[0].History)
				}
				if got := w.all(s, fresh...); got[queue.Delivered] != 2 {
					t.Errorf("became %v", got)
				}
				e := w.of(sender.EventOperation)[1]
				if e.Operation.Verb != sender.VerbMove || e.Operation.Pool != "other" || e.Operation.Result.Done != 5 || e.Operation.Filter.Streams[0] != "resets" || e.Actor != "ada" {
					t.Errorf("event %s", mustJSON(e))
				}
			})
		})
	}
}

// TestMovedMailStays: a mark outlives retries and restarts, "now" is at once, the way back is a move too, and a pool that is gone is no obstacle.
func TestMovedMailStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		busy := sendertest.RejectAt(bounce.StageRcpt, "451 4.3.2 System not accepting messages")
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Times(4, busy)})
		cfg := w.twoRoutes()
		cfg.Pools[0].Overflow = nil
		run := func(f func(s *sender.Sender)) {
			q, err := sqlitequeue.Open(path)
			w.must(err)
			cfg.Queue = q
			f(w.start(cfg))
		}
		stop := func(s *sender.Sender) {
			w.must(s.Stop(bg))
			w.must(cfg.Queue.(interface{ Close() error }).Close())
		}
		routes := func() (out string) {
			for _, e := range w.of(sender.EventDeferred, sender.EventDelivered) {
				out += e.Path.Route + " "
			}
			return out
		}
		m := note("anna@example.com")
		m.WarmOnly, m.Stream = true, "news"
		var id string
		run(func(s *sender.Sender) {
			r, err := s.Enqueue(bg, m)
			w.must(err)
			id = r.Deliveries[0].ID
			time.Sleep(time.Second)
			for _, pool := range []string{"other", "other"} { // the second time there is nothing to move
				_, err := s.Move(bg, sender.Filter{MessageIDs: []string{r.MessageID, "nobody"}}, sender.MoveTo{Pool: pool, Now: true}, ada)
				w.must(err)
			}
			time.Sleep(time.Second)
			if got := routes(); got != "cold warm " {
				t.Errorf("went over %s", got)
			}
			lanes, err := s.Lanes(bg)
			if err != nil || len(lanes) != 1 || lanes[0].Lane.Route != "warm~pool=other~warm" {
				t.Errorf("lanes %+v, %v", lanes, err)
			}
			stop(s)
		})
		pools := cfg.Pools
		run(func(s *sender.Sender) { // back: the route of its latest try is none of its pool
			time.Sleep(12 * time.Minute)
			if got := routes(); got != "cold warm warm " {
				t.Errorf("went over %s", got)
			}
			r, err := s.Move(bg, sender.Filter{All: true}, sender.MoveTo{Pool: "main"}, ada)
			if err != nil || r.Done != 1 {
				t.Errorf("%+v, %v", r, err)
			}
			lanes, err := s.Lanes(bg)
			if err != nil || len(lanes) != 1 || lanes[0].Lane.Route != "~warm" {
				t.Errorf("lanes %+v, %v", lanes, err)
			}
			_, err = s.Move(bg, sender.Filter{Destinations: []string{"EXAMPLE.com"}}, sender.MoveTo{Pool: "other"}, ada)
			w.must(err)
			stop(s)
		})
		cfg.Pools = pools[:1]
		run(func(s *sender.Sender) {
			time.Sleep(3 * time.Hour)
			if got := routes(); got != "cold warm warm cold cold " || w.all(s, id)[queue.Delivered] != 1 {
				t.Errorf("went over %s, arrived %v", got, bySource(mx.Inbox()))
			}
			stop(s)
		})
	})
}

// TestBounceByFilter: what is meant bounces, due or not, leased here or not, and nothing else is touched; nobody is suppressed for it.
func TestBounceByFilter(t *testing.T) {
	for _, verb := range []sender.Verb{sender.VerbBounce, sender.VerbCancel} {
		t.Run(string(verb), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Greylist(5 * time.Minute)})
				w.mx("example.net", sendertest.ServerConfig{Script: sendertest.Tarpit(20 * time.Second)})
				gate := &memoryGate{}
				cfg := w.twoRoutes()
				cfg.Gate = gate
				s := w.start(cfg)
				do := s.Bounce
				final, typ := queue.Bounced, sender.EventBounced
				if verb == sender.VerbCancel {
					do, final, typ = s.Cancel, queue.Cancelled, sender.EventCancelled
				}
				waiting := w.enqueueTo(s, "news", users(5, "example.com")...)
				kept := w.enqueueTo(s, "resets", users(5, "example.com")...)
				busy := w.enqueueTo(s, "news", users(30, "example.net")...) // some are attempted, some are in line
				outcome := make(chan sender.Outcome)
				go func() {
					m := note("waits@example.com")
					m.Stream = "news"
					out, err := s.Send(bg, m)
					if err != nil {
						t.Error(err)
					}
					outcome <- out[0]
				}()
				time.Sleep(5 * time.Second)
				r, err := do(bg, sender.Filter{Streams: []string{"news"}, Destinations: []string{"example.com"}, CreatedBefore: time.Now()}, ada)
				if err != nil || r.Done != 6 || r.InFlight != 0 {
					t.Fatalf("%+v, %v", r, err)
				}
				if o := <-outcome; o.State != final || o.Reason != "maintenance" {
					t.Errorf("outcome %+v", o)
				}
				if got := w.all(s, waiting...); got[final] != 5 {
					t.Errorf("became %v", got)
				}
				if got := w.all(s, append(kept, busy...)...); got[final] != 0 {
					t.Errorf("others became %v", got)
				}
				r, err = do(bg, sender.Filter{Providers: []string{"example.net"}}, ada)
				if err != nil || r.Done == 0 || r.InFlight == 0 || r.Done+r.InFlight != 30 {
					t.Fatalf("%+v, %v", r, err)
				}
				time.Sleep(time.Hour)
				if got := w.all(s, busy...); got[final] != r.Done || got[queue.Delivered] != r.InFlight {
					t.Errorf("became %v", got)
				}
				if got := w.all(s, kept...); got[queue.Delivered] != 5 || mx.Inbox().Len() != 5 {
					t.Errorf("others became %v, %d arrived", got, mx.Inbox().Len())
				}
				done := w.of(typ)
				if len(done) != 6+r.Done {
					t.Errorf("%d events", len(done))
				}
				for _, e := range done {
					if e.Actor != "ada" || e.Reason != "maintenance" || verb == sender.VerbBounce && (e.Verdict.Scope != bounce.ScopeMessage || e.Verdict.Category != bounce.Other ||
						e.Reply.Status.String() != "5.7.0" || !strings.Contains(e.Reply.Text(), "maintenance")) {
						t.Fatalf("event %s", mustJSON(e))
					}
				}
				ops := w.of(sender.EventOperation)
				if len(ops) != 2 || ops[1].Operation.Verb != verb || ops[1].Operation.Result != r || ops[1].Operation.Broken != "" {
					t.Errorf("events %s", mustJSON(ops))
				}
				if len(gate.dead) != 0 {
					t.Errorf("suppressed %v", gate.dead)
				}
				again, err := s.Enqueue(bg, note("user1@example.com"))
				if err != nil || len(again.Refused) != 0 {
					t.Errorf("%+v, %v", again, err)
				}
				st, err := s.Stats(bg)
				w.must(err)
				for _, p := range st.Paths {
					if p.Route == "" && p.First != 0 {
						t.Errorf("counted as first attempts: %+v", p)
					}
				}
			})
		})
	}
}

// TestOrderIsAboutOldMail: what is accepted later is not meant, and it goes out.
func TestOrderIsAboutOldMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		s := w.start(w.twoRoutes())
		w.suspend(s, sender.Target{Stream: "news"})
		old := w.enqueueTo(s, "news", users(3, "example.com")...)
		time.Sleep(time.Hour)
		at := time.Now()
		time.Sleep(time.Hour)
		young := w.enqueueTo(s, "news", users(2, "example.com")...)
		r, err := s.Cancel(bg, sender.Filter{CreatedBefore: at}, ada)
		if err != nil || r.Done != 3 {
			t.Fatalf("%+v, %v", r, err)
		}
		w.must(s.Resume(bg, sender.Target{Stream: "news"}, ada))
		time.Sleep(time.Minute)
		if got := w.all(s, young...); got[queue.Delivered] != 2 || mx.Inbox().Len() != 2 {
			t.Errorf("became %v", got)
		}
		if got := w.all(s, old...); got[queue.Cancelled] != 3 {
			t.Errorf("became %v", got)
		}
	})
}
