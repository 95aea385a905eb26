package sender_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
