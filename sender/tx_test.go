package sender_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// durable runs a test in a bubble with a queue in a file.
func durable(t *testing.T, f func(t *testing.T, w *world, q *sqlqueue.Queue)) {
	path := filepath.Join(t.TempDir(), "queue.db")
	synctest.Test(t, func(t *testing.T) {
		q, err := sqlitequeue.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		})
		f(t, newWorld(t), q)
	})
}

// inTx runs f in a transaction and ends it.
func inTx(t *testing.T, q *sqlqueue.Queue, commit bool, f func(tx *sql.Tx)) {
	t.Helper()
	tx, err := q.DB().Begin()
	if err != nil {
		t.Fatal(err)
	}
	f(tx)
	if commit {
		err = tx.Commit()
	} else {
		err = tx.Rollback()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestEnqueueTx: mail goes out within a second after the host's commit, once, and not at all after a roll-back.
func TestEnqueueTx(t *testing.T) {
	durable(t, func(t *testing.T, w *world, q *sqlqueue.Queue) {
		mx := w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.config()
		cfg.Queue = q
		cfg.Gate = sender.GateFunc(func(_ context.Context, r sender.Recipient) (string, error) {
			if r.Address == "no@example.com" {
				return "never again", nil
			}
			return "", nil
		})
		s := w.start(cfg)
		ctx := context.Background()
		m := note("a@example.com", "no@example.com")
		m.ID = "order-1"
		inTx(t, q, false, func(tx *sql.Tx) {
			if _, err := s.EnqueueTx(ctx, tx, m); err != nil {
				t.Fatal(err)
			}
		})
		time.Sleep(20 * time.Second)
		if n := mx.Inbox().Len() + len(w.of(sender.EventAccepted)); n != 0 {
			t.Errorf("a roll-back sent %d", n)
		}
		inTx(t, q, true, func(tx *sql.Tx) {
			r, err := s.EnqueueTx(ctx, tx, m)
			if err != nil || r.MessageID != "order-1" || len(r.Deliveries) != 1 || len(r.Refused) != 1 || r.Duplicate {
				t.Fatalf("%+v, %v", r, err)
			}
			time.Sleep(10 * time.Second) // the host takes its time
		})
		time.Sleep(time.Second)
		if n := mx.Inbox().Len(); n != 1 {
			t.Errorf("a second after the commit: %d", n)
		}
		inTx(t, q, true, func(tx *sql.Tx) {
			if r, err := s.EnqueueTx(ctx, tx, m); err != nil || !r.Duplicate {
				t.Errorf("again: %+v, %v", r, err)
			}
		})
		inTx(t, q, true, func(tx *sql.Tx) {
			bad := m
			bad.From = "a@b\r\nRCPT"
			var field *sender.FieldError
			if _, err := s.EnqueueTx(ctx, tx, bad); !errors.As(err, &field) {
				t.Errorf("malformed: %v", err)
			}
		})
		time.Sleep(20 * time.Second)
		got := w.of(sender.EventAccepted, sender.EventDelivered)
		if len(got) != 2 || got[0].Type != sender.EventAccepted || got[1].Type != sender.EventDelivered || mx.Inbox().Len() != 1 {
			t.Errorf("events %+v", got)
		}
		if st, err := s.Stats(ctx); err != nil || st.Streams[0].Accepted != 1 || st.Streams[0].Delivered != 1 {
			t.Errorf("stats %+v, %v", st.Streams, err)
		}
	})
}

// TestEnqueueTxNeedsAQueueThatCan: the queue in memory has no transactions.
func TestEnqueueTxNeedsAQueueThatCan(t *testing.T) {
	s, err := sender.New(newStage(t).config("r"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.EnqueueTx(context.Background(), nil, note("a@example.com")); !errors.Is(err, sender.ErrNoTx) {
		t.Errorf("memory: %v", err)
	}
	cfg := newStage(t).config("r")
	durable(t, func(t *testing.T, _ *world, q *sqlqueue.Queue) {
		cfg.Queue = q
		s, err := sender.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var field *sender.FieldError
		if _, err := s.EnqueueTx(context.Background(), nil, note("a@example.com")); !errors.As(err, &field) {
			t.Errorf("no transaction: %v", err)
		}
	})
}

// TestARestartGoesOn: a Sender on the same file finds what is waiting, under its old allowance.
func TestARestartGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		run := func(f func(s *sender.Sender)) {
			q, err := sqlitequeue.OpenConfig(context.Background(), path, sqlqueue.Config{Poll: time.Hour})
			w.must(err)
			cfg := w.config()
			cfg.Queue = q
			cfg.Routes[0].Warmup = warmup.Plan{Name: "test", Stages: []warmup.Stage{{Day: 10, Hour: 10, Minute: 10}, {Day: 19, Hour: 19, Minute: 19}}}
			s, err := sender.New(cfg)
			w.must(err)
			f(s)
			w.must(s.Stop(context.Background()))
			w.must(q.Close())
		}
		run(func(s *sender.Sender) { w.enqueue(s, users(25, "example.com")...) }) // never started
		for range 3 {
			run(func(s *sender.Sender) {
				w.must(s.Start(context.Background()))
				time.Sleep(time.Hour)
			})
		}
		if n := mx.Inbox().Len(); n != 10 {
			t.Errorf("%d went out on the first day of a plan of 10", n)
		}
		run(func(s *sender.Sender) {
			w.must(s.Start(context.Background()))
			time.Sleep(25 * time.Hour)
		})
		if n := mx.Inbox().Len(); n != 25 {
			t.Errorf("%d of 25 arrived", n)
		}
	})
}

// TestNewsOfLanes: what another process had leased and lost goes out when the queue tells of it.
func TestNewsOfLanes(t *testing.T) {
	durable(t, func(t *testing.T, w *world, q *sqlqueue.Queue) {
		mx := w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.config()
		cfg.Queue = q
		p := queue.Put{
			Message:     &queue.Message{ID: "m", Stream: "", From: "a@example.org", Recipients: 1, Data: note("a@example.com").Data},
			Deliveries:  []queue.Delivery{{ID: "m/1", MessageID: "m", Recipient: "a@example.com", Lane: queue.Lane{Domain: "example.com"}}},
			ExpireAfter: time.Hour, LeaseFor: 90 * time.Second,
		}
		if _, err := q.Put(context.Background(), p); err != nil {
			t.Fatal(err)
		}
		w.start(cfg)
		time.Sleep(89 * time.Second)
		if n := mx.Inbox().Len(); n != 0 {
			t.Error("it was taken from its owner")
		}
		time.Sleep(62 * time.Second)
		if n := mx.Inbox().Len(); n != 1 {
			t.Errorf("%d arrived", n)
		}
	})
}

// TestNotAfterInATransaction: what comes too late leaves the host's transaction as it is.
func TestNotAfterInATransaction(t *testing.T) {
	durable(t, func(t *testing.T, w *world, q *sqlqueue.Queue) {
		mx := w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.config()
		cfg.Queue = q
		cfg.Limits = map[string]throttle.Limits{"example.com": {MessageRate: throttle.Rate{N: 1, Per: time.Hour}}}
		s := w.start(cfg)
		ctx := context.Background()
		w.enqueue(s, "first@example.com")
		time.Sleep(time.Second)
		w.enqueue(s, "second@example.com")
		time.Sleep(time.Second)
		m := note("a@example.com")
		m.ID, m.NotAfter = "reset", time.Now().Add(30*time.Minute)
		inTx(t, q, true, func(tx *sql.Tx) {
			var late *sender.TooLateError
			if _, err := s.EnqueueTx(ctx, tx, m); !errors.As(err, &late) {
				t.Errorf("%v", err)
			}
		})
		if _, err := s.Explain(ctx, "reset"); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("%v", err)
		}
		m.NotAfter = time.Now().Add(3 * time.Hour)
		inTx(t, q, true, func(tx *sql.Tx) {
			r, err := s.EnqueueTx(ctx, tx, m)
			if err != nil || r.Forecast.At.Sub(time.Now().Add(2*time.Hour)).Abs() > time.Minute {
				t.Errorf("%v, %+v", err, r.Forecast)
			}
		})
		time.Sleep(2*time.Hour + time.Minute)
		if n := mx.Inbox().Len(); n != 3 {
			t.Errorf("%d arrived", n)
		}
	})
}
