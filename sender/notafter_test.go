package sender_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
)

// TestNotAfter: what comes too late is refused, and nothing is stored; what is accepted expires then.
func TestNotAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		w.mx("example.net", sendertest.ServerConfig{})
		cfg := w.config()
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 5, MessageRate: throttle.Rate{N: 1, Per: time.Second}}}
		cfg.Streams = []sender.Stream{{Name: "password", ExpireAfter: 4 * time.Hour}}
		s := w.start(cfg)
		w.enqueue(s, "first@example.com", "first@example.net")
		time.Sleep(time.Second)
		w.enqueue(s, users(1000, "example.com")...)
		try := func(id string, after time.Duration, to ...string) (sender.Receipt, error) {
			m := note(to...)
			m.ID, m.NotAfter = id, time.Now().Add(after)
			return s.Enqueue(context.Background(), m)
		}
		accepted := func() int {
			st, err := s.Stats(context.Background())
			w.must(err)
			return int(st.Streams[0].Accepted)
		}
		n := accepted()
		var late *sender.TooLateError
		_, err := try("late", 10*time.Minute, "a@example.net", "a@example.com")
		if !errors.As(err, &late) || late.Forecast.Destination != "example.com" || late.Forecast.Ahead < 900 {
			t.Errorf("%v", err)
		}
		t.Log(err)
		if accepted() != n {
			t.Error("something was stored")
		}
		if _, err := s.Explain(context.Background(), "late"); err == nil {
			t.Error("something was stored")
		}
		if r, err := try("good", 30*time.Minute, "a@example.com"); err != nil || time.Until(r.Forecast.At) < 15*time.Minute {
			t.Errorf("%v, %+v", err, r)
		}
		x, err := s.Explain(context.Background(), "good")
		w.must(err)
		if life := x[0].Expires.Sub(x[0].Created); life != 30*time.Minute {
			t.Errorf("lives for %v", life)
		}
		if _, err := try("new", 2*time.Second, "a@nobody.example"); err != nil { // nothing is known of that
			t.Errorf("%v", err)
		}
		for _, after := range []time.Duration{-time.Minute, 0, 500 * time.Millisecond, 4*time.Hour + time.Second} {
			var field *sender.FieldError
			if _, err := try("field", after, "a@example.net"); !errors.As(err, &field) || field.Field != "NotAfter" {
				t.Errorf("%v: %v", after, err)
			}
		}
		// The same again, when it is late by now: it was accepted.
		for _, after := range []time.Duration{time.Minute, -time.Hour} {
			if r, err := try("good", after, "a@example.com"); err != nil || !r.Duplicate || len(r.Deliveries) != 1 {
				t.Errorf("again: %v, %+v", err, r)
			}
		}
		if _, err := try("soon", time.Minute, "a@example.net"); err != nil {
			t.Error(err)
		}
	})
}

// TestNotAfterEndsALife: what was accepted, and is not out by then, expires.
func TestNotAfterEndsALife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.transact = answers(said(bounce.StageRcpt, 450, "4.2.1 later"))
		s := st.start(st.config("out"))
		m, now := note("a@example.com"), time.Now()
		m.NotAfter = now.Add(40 * time.Minute)
		r, err := s.Enqueue(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(45 * time.Minute)
		ended := st.of(sender.EventExpired)
		if len(ended) != 1 || ended[0].MessageID != r.MessageID || ended[0].QueueTime > 42*time.Minute {
			t.Errorf("%+v", ended)
		}
	})
}

// TestNotAfterOfAnOldSpeed: how slow a receiver was many hours ago is told, and no reason to refuse mail.
func TestNotAfterOfAnOldSpeed(t *testing.T) {
	for _, c := range []struct {
		silence time.Duration
		refused bool
	}{{time.Minute, true}, {20 * time.Hour, false}} {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			st.limits = throttle.Limits{Connections: 2}
			st.transact = takes(20 * time.Second)
			s := st.start(st.config("a"))
			st.enqueue(s, "", users(40, "example.com")...)
			time.Sleep(400*time.Second + c.silence)
			st.set(func() { st.transact = takes(50 * time.Millisecond) })
			st.enqueue(s, "", users(60, "example.com")...)
			m := note("reset@example.com")
			m.NotAfter = time.Now().Add(5 * time.Minute)
			r, err := s.Enqueue(bg, m)
			if late := (*sender.TooLateError)(nil); errors.As(err, &late) != c.refused || !c.refused && err != nil {
				t.Fatalf("%v after the latest attempt: %v", c.silence, err)
			}
			if c.refused {
				return
			}
			if r.Forecast.Basis != sender.BasisUnknown || time.Until(r.Forecast.At) < 5*time.Minute {
				t.Errorf("%+v", r.Forecast)
			}
			time.Sleep(30 * time.Second)
			if st.sentTo("reset@example.com") != 1 {
				t.Error("not sent")
			}
		})
	}
}

// TestNotAfterWithSlowGates: the time that gates take is not added to NotAfter, and a NotAfter that has passed meanwhile is an error.
func TestNotAfterWithSlowGates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		cfg := st.config("a")
		cfg.Gate = sender.GateFunc(func(context.Context, sender.Recipient) (string, error) {
			time.Sleep(10 * time.Second)
			return "", nil
		})
		s := st.start(cfg)
		m := note("a@example.com")
		m.NotAfter = time.Now().Add(30 * time.Second)
		r, err := s.Enqueue(bg, m)
		if err != nil {
			t.Fatal(err)
		}
		if ex := st.explain(s, r.MessageID); ex.Expires.After(m.NotAfter) {
			t.Errorf("expires %v after NotAfter", ex.Expires.Sub(m.NotAfter))
		}
		m.ID, m.NotAfter = "late", time.Now().Add(5*time.Second)
		_, err = s.Enqueue(bg, m)
		if field := (*sender.FieldError)(nil); !errors.As(err, &field) || field.Field != "NotAfter" {
			t.Errorf("%v", err)
		}
		if _, err := s.Explain(bg, "late"); err == nil {
			t.Error("something was stored")
		}
	})
}
