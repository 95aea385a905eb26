package sender_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// TestOrdersOfTwoSenders: what another one has leased is left alone and counted apart, what both are ordered to do is done once.
func TestOrdersOfTwoSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Tarpit(10 * time.Second)})
		var ss [2]*sender.Sender
		q := memory(t)
		for i := range ss {
			cfg := w.twoRoutes()
			cfg.Queue = q
			ss[i] = w.start(cfg)
		}
		ids := w.enqueueTo(ss[0], "news", users(60, "example.com")...) // leased to the first
		time.Sleep(time.Second)
		r, err := ss[1].Cancel(bg, sender.Filter{Streams: []string{"news"}}, ada)
		if err != nil || r.InFlight == 0 || r.Done+r.InFlight != 60 {
			t.Fatalf("%+v, %v", r, err)
		}
		w.suspend(ss[0], sender.Target{Stream: "news"})
		w.suspend(ss[1], sender.Target{Stream: "news"})
		time.Sleep(10 * time.Minute)
		ids = append(ids, w.enqueueTo(ss[1], "news", users(600, "example.com")...)...)
		var results [2]sender.Result
		var wg sync.WaitGroup
		for i := range ss {
			wg.Go(func() {
				var err error
				if results[i], err = ss[i].Cancel(bg, sender.Filter{All: true}, ada); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Second)
		got := w.all(ss[0], ids...)
		if got[queue.Cancelled] != r.Done+results[0].Done+results[1].Done || got[queue.Cancelled]+got[queue.Delivered] != 660 || len(w.of(sender.EventCancelled)) != got[queue.Cancelled] {
			t.Errorf("%+v and %+v: became %v", r, results, got)
		}
	})
}

// TestSuspendedOldRouteOfAMigration: mail of the new arm goes on, that of the old one waits.
func TestSuspendedOldRouteOfAMigration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		s := w.start(w.moving(warmup.Migration{Shares: []float64{0.5, 1}, MinSample: 1_000_000}))
		w.suspend(s, sender.Target{Route: "old"})
		w.enqueue(s, users(200, "example.com")...)
		time.Sleep(6 * time.Hour)
		got := bySource(mx.Inbox())
		if len(got) != 1 || got[coldAddr] < 60 || got[coldAddr] > 140 {
			t.Fatalf("arrived %v", got)
		}
		w.must(s.Resume(bg, sender.Target{Route: "old"}, ada))
		time.Sleep(20 * time.Minute)
		if got := bySource(mx.Inbox()); got[coldAddr]+got[warmAddr] != 200 {
			t.Errorf("arrived %v", got)
		}
		// Moved mail takes part in no migration.
		w.suspend(s, sender.Target{Stream: "news"})
		w.enqueue(s, users(10, "example.com")...)
		if r, err := s.Move(bg, sender.Filter{All: true}, sender.MoveTo{Pool: "main"}, ada); err != nil || r.Done != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// TestFilterAgainstModel: of random mail, an order is carried out on what a naive reading of its filter says, and nothing else.
func TestFilterAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			cfg := st.config("a", "b")
			cfg.Streams = []sender.Stream{{Name: "s0"}, {Name: "s1"}, {Name: "s2"}}
			q := memory(t)
			cfg.Queue = q
			s, err := sender.New(cfg) // it need not be started
			if err != nil {
				t.Fatal(err)
			}
			type mail struct {
				id, message, stream, domain, route string
				created                            time.Time
			}
			var mails []mail
			for i := range rapid.IntRange(0, 25).Draw(rt, "mails") {
				time.Sleep(time.Second)
				m := mail{
					message: fmt.Sprint("m", i), created: time.Now(),
					stream: fmt.Sprint("s", rapid.IntRange(0, 2).Draw(rt, "stream")), domain: fmt.Sprintf("d%d.example", rapid.IntRange(0, 2).Draw(rt, "domain")),
				}
				msg := note("a@" + m.domain)
				msg.ID, msg.Stream, msg.Priority = m.message, m.stream, rapid.IntRange(-1, 1).Draw(rt, "priority")
				if _, err := s.Enqueue(bg, msg); err != nil {
					t.Fatal(err)
				}
				m.id = m.message + "/1"
				if m.route = rapid.SampledFrom([]string{"", "", "a", "b"}).Draw(rt, "route"); m.route != "" {
					got, err := q.Claim(bg, queue.Claim{IDs: []string{m.id}, Limit: 1, LeaseFor: time.Minute})
					if err != nil {
						t.Fatal(err)
					}
					d := got.Deliveries[0]
					if _, err := q.Settle(bg, []queue.Settlement{{ID: d.ID, Lease: d.Lease, State: queue.Waiting, Route: m.route, After: time.Hour}}); err != nil {
						t.Fatal(err)
					}
				}
				mails = append(mails, m)
			}
			some := func(label, format string, n int) (out []string) {
				if rapid.Bool().Draw(rt, label) {
					return nil
				}
				for range rapid.IntRange(1, 2).Draw(rt, label+" count") {
					out = append(out, fmt.Sprintf(format, rapid.IntRange(0, n).Draw(rt, label+" value")))
				}
				return out
			}
			f := sender.Filter{
				Streams: some("streams", "s%d", 3), Destinations: some("destinations", "d%d.example", 3), Providers: some("providers", "d%d.example", 3),
				MessageIDs: some("messages", "m%d", 25), Route: rapid.SampledFrom([]string{"", "", "a"}).Draw(rt, "route of filter"),
			}
			if rapid.Bool().Draw(rt, "by time") && len(mails) > 0 {
				f.CreatedBefore = rapid.SampledFrom(mails).Draw(rt, "before").created
			}
			if len(f.Streams)+len(f.Destinations)+len(f.Providers)+len(f.MessageIDs) == 0 && f.Route == "" && f.CreatedBefore.IsZero() {
				f.All = true
			}
			r, err := s.Cancel(bg, f, ada)
			if err != nil || r.InFlight != 0 || r.Unresolved != 0 {
				rt.Fatalf("%+v: %+v, %v", f, r, err)
			}
			in := func(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }
			done := 0
			for _, m := range mails {
				meant := in(f.Streams, m.stream) && in(f.Destinations, m.domain) && in(f.Providers, m.domain) && in(f.MessageIDs, m.message) &&
					(f.Route == "" || f.Route == m.route) && (f.CreatedBefore.IsZero() || !m.created.After(f.CreatedBefore))
				ds, err := q.Get(bg, m.id)
				if err != nil {
					t.Fatal(err)
				}
				if (ds[0].State == queue.Cancelled) != meant || !meant && (ds[0].State != queue.Waiting || ds[0].Lane.Route != m.route || m.route != "" && !ds[0].Due.Equal(m.created.Add(time.Hour))) {
					rt.Errorf("%+v of %+v is %+v", f, m, ds[0])
				}
				if meant {
					done++
				}
			}
			if r.Done != done {
				rt.Errorf("%+v: %d done, %d are meant", f, r.Done, done)
			}
		})
	})
}

// TestOperationsTellNoAddresses: events of orders can be shown to anybody.
func TestOperationsTellNoAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cfg := w.twoRoutes()
		cfg.PlainAddresses = false
		s := w.start(cfg)
		w.suspend(s, sender.Target{Stream: "news"})
		w.enqueueTo(s, "news", "anna@example.com")
		if r, err := s.Bounce(bg, sender.Filter{Destinations: []string{"example.com"}}, ada); err != nil || r.Done != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		synctest.Wait()
		all := w.of(sender.EventOperation, sender.EventBounced)
		if text := mustJSON(all); len(all) != 3 || strings.Contains(text, "anna") || !strings.Contains(text, `"verb":"bounce"`) {
			t.Errorf("told %s", text)
		}
		var back []sender.Event
		if err := json.Unmarshal([]byte(mustJSON(all)), &back); err != nil || back[2].Operation.Filter.Destinations[0] != "example.com" || back[2].Operation.Result.Done != 1 {
			t.Errorf("read back %+v, %v", back, err)
		}
	})
}

// BenchmarkOrder moves the waiting deliveries of one lane, or of 1000, to another pool, and cancels them: 100,000 with REPUTE_SCALE=1.
func BenchmarkOrder(b *testing.B) {
	n := 10_000
	if os.Getenv("REPUTE_SCALE") != "" {
		n = 100_000
	}
	for _, engine := range []string{"memory", "sqlite"} {
		for _, lanes := range []int{1, 1000} {
			b.Run(fmt.Sprintf("%s/lanes=%d", engine, lanes), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					st := newStage(b)
					cfg := st.config("a", "b")
					cfg.Pools = []sender.Pool{{Name: "one", Routes: []string{"a"}}, {Name: "two", Routes: []string{"b"}}}
					cfg.Observer = nil
					cfg.Queue = memory(b)
					if engine == "sqlite" {
						q, err := sqlitequeue.Open(filepath.Join(b.TempDir(), "queue.db"))
						if err != nil {
							b.Fatal(err)
						}
						cfg.Queue = q
					}
					s, err := sender.New(cfg)
					if err != nil {
						b.Fatal(err)
					}
					for i := 0; i < n; i += 100 {
						put := queue.Put{Message: &queue.Message{ID: fmt.Sprint("m", i), Stream: "default", Recipients: 100, Data: []byte("x")}, ExpireAfter: time.Hour}
						for k := range 100 {
							put.Deliveries = append(put.Deliveries, queue.Delivery{
								ID: queue.DeliveryID(put.Message.ID, k+1), MessageID: put.Message.ID, Recipient: "a@example.com",
								Lane: queue.Lane{Stream: "default", Domain: fmt.Sprintf("d%d.example", (i+k)%lanes)},
							})
						}
						if _, err := cfg.Queue.Put(bg, put); err != nil {
							b.Fatal(err)
						}
					}
					b.StartTimer()
					began := time.Now()
					r, err := s.Move(bg, sender.Filter{All: true}, sender.MoveTo{Pool: "two"}, ada)
					if err != nil || r.Done != n {
						b.Fatalf("%+v, %v", r, err)
					}
					moved := time.Now()
					if r, err = s.Cancel(bg, sender.Filter{All: true}, ada); err != nil || r.Done != n {
						b.Fatalf("%+v, %v", r, err)
					}
					b.StopTimer()
					b.ReportMetric(moved.Sub(began).Seconds(), "s/move")
					b.ReportMetric(time.Since(moved).Seconds(), "s/cancel")
					if c, ok := cfg.Queue.(interface{ Close() error }); ok {
						c.Close()
					}
					b.StartTimer()
				}
			})
		}
	}
}
