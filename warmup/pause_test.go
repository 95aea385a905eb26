package warmup

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestPause: a pause holds in this process at once, in another one within ten minutes and over restarts, until it is ended.
func TestPause(t *testing.T) {
	ctx := context.Background()
	for _, complete := range []bool{false, true} {
		cfg := Config{Plans: plans(flat(1000, 1000, 1000)), Store: NewMemoryStore(), Owner: "a"}
		a := mustOpen(t, cfg)
		now := start
		if complete {
			send(a, now, google, 1000)
			now = now.Add(25 * time.Hour)
		}
		cfg.Owner = "b"
		b := mustOpen(t, cfg)
		if send(a, now, google, 1) != 1 || send(b, now, google, 1) != 1 {
			t.Fatal("it does not begin")
		}
		paused := func(l *Ledger, want bool) {
			t.Helper()
			r := l.ReserveAt(now, google, 1)
			if (r.Reason == ReasonPaused) != want || r.OK == want || (l.StateAt(now, google).Phase == PhasePaused) != want {
				t.Errorf("complete %t: got %+v, phase %s", complete, r, l.StateAt(now, google).Phase)
			}
			l.CommitAt(now, r)
		}
		for range 2 {
			if err := a.Pause(ctx, google); err != nil {
				t.Fatal(err)
			}
		}
		paused(a, true)
		now = now.Add(10*time.Minute + 1)
		paused(b, true)
		if err := a.Close(ctx); err != nil {
			t.Fatal(err)
		}
		cfg.Owner = "a"
		a = mustOpen(t, cfg)
		now = now.Add(24 * time.Hour)
		paused(a, true)
		if err := a.Resume(ctx, google); err != nil {
			t.Fatal(err)
		}
		paused(a, false)
		now = now.Add(10*time.Minute + 1)
		paused(b, false)
	}
}

func TestPauseOfUnknown(t *testing.T) {
	ctx := context.Background()
	for _, store := range []Store{nil, NewMemoryStore()} {
		flaky := &flakyStore{Store: store}
		cfg := Config{Plans: plans(flat(10, 10, 10))}
		if store != nil {
			cfg.Store = flaky
		}
		l := mustOpen(t, cfg)
		if err := l.Pause(ctx, Path{"old", "google"}); !errors.Is(err, ErrWarm) {
			t.Errorf("a route without a plan: got error %v", err)
		}
		if err := l.Pause(ctx, google); err != nil {
			t.Fatal(err)
		}
		if r := l.ReserveAt(start, google, 1); r.Reason != ReasonPaused || !r.Until.After(start) {
			t.Errorf("got %+v", r)
		}
		if s := l.StateAt(start, google); !s.Period.IsZero() || s.Phase != PhasePaused {
			t.Errorf("a paused path began its day at %v, phase %s", s.Period, s.Phase)
		}
		if store != nil {
			flaky.fail = "before"
			if err := l.Resume(ctx, google); !errors.Is(err, errFlaky) {
				t.Errorf("got error %v", err)
			}
			flaky.fail = ""
		}
		if err := l.Resume(ctx, google); err != nil {
			t.Fatal(err)
		}
		if n := send(l, start, google, 20); n != 10 {
			t.Errorf("sent %d", n)
		}
		if err := l.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if err := l.Pause(ctx, google); !errors.Is(err, ErrClosed) {
			t.Errorf("got error %v", err)
		}
	}
}

// TestPauseAndIdle: the stage stays during the pause, and the silence is judged after it.
func TestPauseAndIdle(t *testing.T) {
	l := mustOpen(t, Config{Plans: plans(Plan{Stages: []Stage{{10, 10, 10}, {15, 15, 15}}})})
	send(l, start, google, 10)
	now := start.Add(25 * time.Hour)
	send(l, now, google, 1)
	if err := l.Pause(context.Background(), google); err != nil {
		t.Fatal(err)
	}
	now = now.Add(4 * 24 * time.Hour)
	if s := l.StateAt(now, google); s.Stage != 2 {
		t.Errorf("in stage %d", s.Stage)
	}
	if err := l.Resume(context.Background(), google); err != nil {
		t.Fatal(err)
	}
	if r := l.ReserveAt(now, google, 1); !r.OK || r.Cap != 10 {
		t.Errorf("got %+v", r)
	}
}
