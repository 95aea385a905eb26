package warmup

import (
	"context"
	"errors"
	"strings"
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

// TestPlacing: an operator puts a path somewhere while two processes use it; it is there at once in his own, within ten minutes in the other one, and over
// restarts; what was sent before still counts.
func TestPlacing(t *testing.T) {
	ctx := WithActor(context.Background(), "ops@example.org")
	for _, store := range []Store{nil, NewMemoryStore()} {
		var changes []Change
		cfg := Config{Plans: plans(Plan{Stages: []Stage{{10, 10, 10}, {19, 19, 19}, {30, 30, 30}}}), Store: store, Owner: "a", OnChange: func(c Change) { changes = append(changes, c) }}
		a := mustOpen(t, cfg)
		b := a
		if store != nil {
			cfg.Owner, cfg.OnChange = "b", nil
			b = mustOpen(t, cfg)
		}
		now := start
		if n := send(a, now, google, 6); n != 6 {
			t.Fatal(n)
		}
		for _, c := range []struct {
			name  string
			do    func() error
			stage int
			phase Phase
			more  int // how many more go out, on the first day
		}{
			{"SetStage", func() error { return a.SetStage(ctx, google, 2) }, 2, PhaseWarming, 13},
			{"Reset", func() error { return a.Reset(ctx, google) }, 1, PhaseWarming, 0},
			{"AlreadyWarm", func() error { return a.AlreadyWarm(ctx, google) }, 4, PhaseComplete, 100},
			{"SetStage of a complete one", func() error { return a.SetStage(ctx, google, 3) }, 3, PhaseWarming, 0},
		} {
			changes = nil
			if err := c.do(); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if len(changes) != 1 || changes[0].Actor != "ops@example.org" || changes[0].To.Stage != c.stage || changes[0].To.Cause != CauseOperator {
				t.Errorf("%s: told %v", c.name, changes)
			}
			now = now.Add(11 * time.Minute)
			if n := send(a, now, google, c.more+5); n < c.more || c.phase != PhaseComplete && n != c.more {
				t.Errorf("%s, store %t: %d more went out, want %d", c.name, store != nil, n, c.more)
			}
			for _, l := range []*Ledger{a, b} {
				l.PrepareAt(ctx, now, google, 1)
				if s := l.StateAt(now, google); s.Stage != c.stage || s.Phase != c.phase {
					t.Errorf("%s: %v", c.name, s)
				}
			}
		}
		for _, stage := range []int{-1, 0, 4} {
			if err := a.SetStage(ctx, google, stage); err == nil || !strings.Contains(err.Error(), "the plan has stages 1 to 3") {
				t.Errorf("stage %d: %v", stage, err)
			}
		}
		for _, err := range []error{a.SetStage(ctx, Path{"old", "google"}, 1), a.Reset(ctx, Path{"old", "google"}), a.AlreadyWarm(ctx, Path{"old", "google"})} {
			if !errors.Is(err, ErrWarm) {
				t.Errorf("a route without a plan: %v", err)
			}
		}
		if store == nil {
			continue
		}
		cfg.Owner = "c"
		if s := mustOpen(t, cfg).StateAt(now, google); s.Stage != 3 {
			t.Errorf("over a restart: %v", s)
		}
	}
}

// TestAlreadyWarmAfterSilence: a path that was silent for long and is declared warm is warm, and silence counts anew from when it is used.
func TestAlreadyWarmAfterSilence(t *testing.T) {
	ctx := context.Background()
	l := mustOpen(t, Config{Plans: plans(flat(10, 10, 10)), Store: NewMemoryStore()})
	send(l, start, google, 5)
	now := start.Add(50 * 24 * time.Hour)
	if err := l.AlreadyWarm(ctx, google); err != nil {
		t.Fatal(err)
	}
	now = now.Add(5 * 24 * time.Hour)
	if n := send(l, now, google, 50); n != 50 {
		t.Errorf("%d went out", n)
	}
	now = now.Add(4 * 24 * time.Hour)
	if n := send(l, now, google, 50); n != 10 {
		t.Errorf("%d went out after a silence", n)
	}
}

// TestAPauseStays: placing a paused path does not end its pause, and the change tells when it was made.
func TestAPauseStays(t *testing.T) {
	ctx := context.Background()
	var changes []Change
	l := mustOpen(t, Config{Plans: plans(flat(10, 10, 10)), Store: NewMemoryStore(), OnChange: func(c Change) { changes = append(changes, c) }})
	for _, do := range []func() error{
		func() error { return l.Pause(ctx, google) }, func() error { return l.AlreadyWarm(ctx, google) }, func() error { return l.Reset(ctx, google) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		if r := l.ReserveAt(start, google, 1); r.OK || r.Reason != ReasonPaused {
			t.Errorf("%+v", r)
		}
	}
	for _, c := range changes {
		if age := time.Since(c.Time); age < 0 || age > time.Minute {
			t.Errorf("%v is told as of %v", c, c.Time)
		}
	}
}

// TestPlansDisagree: of two processes whose plans differ in any cap, the later one keeps within the caps of the other.
func TestPlansDisagree(t *testing.T) {
	for _, c := range []struct{ first, second Stage }{
		{Stage{50, 50, 50}, Stage{100, 100, 100}}, {Stage{100, 10, 10}, Stage{100, 100, 100}}, {Stage{100, 100, 3}, Stage{100, 100, 100}},
		{Stage{30, 30, 30}, Stage{200, 200, 200}},
	} {
		store := NewMemoryStore()
		a := mustOpen(t, Config{Plans: plans(Plan{Name: "a", Stages: []Stage{c.first}}), Store: store, Owner: "a"})
		b := mustOpen(t, Config{Plans: plans(Plan{Name: "b", Stages: []Stage{c.second}}), Store: store, Owner: "b"})
		n := send(a, start, google, 1)
		for range 40 {
			n += send(b, start, google, 5)
			n += send(a, start, google, 1)
		}
		if n > c.first.Minute {
			t.Errorf("%+v and %+v: %d in a minute", c.first, c.second, n)
		}
	}
}

// TestRoomWithin: about as much as RoomWithinAt tells goes out within the time.
func TestRoomWithin(t *testing.T) {
	for _, stage := range []Stage{{Day: 100}, {Day: 100, Hour: 100, Minute: 100}, {Day: 5000, Hour: 300}, {Day: 3000, Hour: 500, Minute: 9}} {
		for _, within := range []time.Duration{time.Hour, 3 * time.Hour, 10 * time.Hour, 24 * time.Hour} {
			l := mustOpen(t, Config{Plans: plans(Plan{Stages: []Stage{stage}})})
			if r := l.ReserveAt(start, google, 1); stage.Minute == 0 {
				l.CommitAt(start, r) // else it stays under way
			}
			send(l, start.Add(time.Minute), google, 5) // and some out
			now := start.Add(2 * time.Minute)
			told := l.RoomWithinAt(now, google, within)
			sent, _ := l.spend(google, now, now.Add(within), 100_000)
			if told < sent*9/10-3 || told > sent*13/10+3 {
				t.Errorf("%+v within %v: told %d, %d went out", stage, within, told, sent)
			}
		}
	}
	l := mustOpen(t, Config{Plans: plans(flat(10, 10, 10))})
	if n := l.RoomWithinAt(start, google, 0); n != 0 {
		t.Errorf("within no time: %d", n)
	}
	if n := l.RoomWithinAt(start, Path{"old", "google"}, time.Hour); n < 1<<40 {
		t.Errorf("a warm route: %d", n)
	}
}
