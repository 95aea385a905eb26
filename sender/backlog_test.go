package sender_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// TestStatsTellTheAgeOfTheBacklog: by stream and provider, what waits, since when, and how much of it for long; the same of both queues.
func TestStatsTellTheAgeOfTheBacklog(t *testing.T) {
	look := func(t *testing.T, cfg func(*sender.Config)) {
		st := newStage(t)
		st.acquire = closed(map[string]time.Time{"out": time.Now().Add(40 * time.Hour)})
		c := st.config("out")
		c.Streams = []sender.Stream{{Name: "password"}, {Name: "news"}}
		cfg(&c)
		began := time.Now()
		s := st.start(c)
		st.enqueue(s, "news", users(30, "a.example")...)
		st.enqueue(s, "password", "x@a.example")
		time.Sleep(9 * time.Hour)
		st.enqueue(s, "news", users(20, "a.example")...)
		st.enqueue(s, "news", users(5, "b.example")...)
		time.Sleep(4*time.Hour + time.Minute)
		st.enqueue(s, "news", users(2, "b.example")...)
		got, err := s.Stats(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		age := func(h time.Duration) string { return began.Add(h).Format(time.TimeOnly) }
		want := []string{
			"news a.example 50 0 " + age(0) + " 50 30", "news b.example 7 0 " + age(9*time.Hour) + " 5 0", "password a.example 1 0 " + age(0) + " 1 1",
		}
		var told []string
		for _, b := range got.Backlog {
			told = append(told, fmt.Sprintln(b.Stream, b.Provider, b.Waiting, b.InFlight, b.Oldest.Format(time.TimeOnly), b.Over4h, b.Over12h))
		}
		if len(told) != len(want) {
			t.Fatalf("%v", told)
		}
		for i := range want {
			if told[i] != want[i]+"\n" {
				t.Errorf("%s, want %s", told[i], want[i])
			}
		}
		if got.Streams[1].Waiting != 57 || got.Counted.After(time.Now()) {
			t.Errorf("%+v", got)
		}
		if f, err := s.Forecast(context.Background(), "news", "a.example"); err != nil || f.Ahead != 51 || f.Waits[0].Reason != sender.WaitBackoff {
			t.Errorf("%+v, %v", f, err)
		}
	}
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { look(t, func(*sender.Config) {}) })
	})
	t.Run("sqlite", func(t *testing.T) {
		durable(t, func(t *testing.T, w *world, q *sqlqueue.Queue) { look(t, func(c *sender.Config) { c.Queue = q }) })
	})
}

// TestStatsCountSeldom: where counting takes long, all who ask share a count.
func TestStatsCountSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		var counts atomic.Int32
		q := &hookedQueue{Queue: memory(t), lanes: func() {
			counts.Add(1)
			time.Sleep(2 * time.Second)
		}}
		cfg := st.config("out")
		cfg.Queue = q
		s, err := sender.New(cfg) // without Start, nobody else counts
		if err != nil {
			t.Fatal(err)
		}
		st.enqueue(s, "", "a@example.com")
		for range 20 {
			for range 5 {
				go s.Stats(context.Background())
			}
			time.Sleep(5 * time.Second)
		}
		if n := counts.Load(); n != 1 {
			t.Errorf("%d counts in 100 seconds, of which each takes 2", n)
		}
		time.Sleep(5 * time.Second)
		got, err := s.Stats(context.Background())
		if err != nil || counts.Load() != 2 || time.Since(got.Counted) != 2*time.Second || len(got.Backlog) != 1 || got.Backlog[0].Over4h != 0 {
			t.Errorf("%v, %d counts, %+v", err, counts.Load(), got)
		}
		time.Sleep(5 * time.Hour)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if got, err = s.Stats(context.Background()); err != nil || got.Backlog[0].Over4h != 1 { // as far as such a queue tells
			t.Errorf("%v, %+v", err, got)
		}
		go s.Stats(context.Background())
		synctest.Wait()
		<-ctx.Done()
		if _, err := s.Stats(ctx); err == nil {
			t.Error("the context has ended")
		}
		time.Sleep(time.Hour)
		if err := s.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestForecastKnowsWhatWasThere: of the mail of an earlier life, and of what is to be tried again.
func TestForecastKnowsWhatWasThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		q := memory(t)
		cfg := st.config("out")
		cfg.Queue = q
		s, err := sender.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		st.enqueue(s, "", users(700, "a.example")...)
		if err := s.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		st.acquire = closed(map[string]time.Time{"out": time.Now().Add(time.Hour)})
		s = st.start(cfg)
		time.Sleep(time.Second)
		if f, err := s.Forecast(context.Background(), "", "a.example"); err != nil || f.Ahead < 700-16 || f.Ahead > 700+16 { // what was claimed while it counted
			t.Errorf("%+v, %v", f, err)
		}
		time.Sleep(2 * time.Minute)
		if f, err := s.Forecast(context.Background(), "", "a.example"); err != nil || f.Ahead != 700 {
			t.Errorf("counted once more, %+v, %v", f, err)
		}
		time.Sleep(48 * time.Minute) // leases go back
		if f, err := s.Forecast(context.Background(), "", "a.example"); err != nil || f.Ahead != 700 {
			t.Errorf("%+v, %v", f, err)
		}
		st.set(func() { st.transact = answers(said(bounce.StageRcpt, 450, "4.2.1 later")) })
		time.Sleep(11 * time.Minute) // all are tried, and due again later
		f, err := s.Forecast(context.Background(), "", "a.example")
		if err != nil || f.Ahead != 0 {
			t.Errorf("%+v, %v", f, err)
		}
	})
}
