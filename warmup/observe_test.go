package warmup

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestRampOf45Days(t *testing.T) {
	for _, store := range []Store{nil, NewMemoryStore()} {
		plan := SES(2000)
		l := mustOpen(t, Config{Plans: plans(plan), Store: store})
		now := start
		var sent []int // per stage
		for days := 0; ; {
			state := l.StateAt(now, google)
			if state.Phase == PhaseComplete {
				break
			}
			if now.Sub(start) > 47*24*time.Hour {
				t.Fatalf("after 47 days still %+v", state)
			}
			for days < state.Stage {
				sent, days = append(sent, 0), days+1
			}
			r := l.ReserveAt(now, google, 1)
			if !r.OK {
				now = r.Until
				continue
			}
			l.CommitAt(now, r)
			l.ObserveAt(now, google, Delivered, 1)
			sent[l.StateAt(now, google).Stage-1]++
		}
		if took := now.Sub(start).Hours() / 24; took < 45 || took > 46 {
			t.Errorf("took %.1f days", took)
		}
		for i, n := range sent {
			if limit := plan.Stages[i].Day; n > limit || 100*n < 98*limit && limit > 100 {
				t.Errorf("stage %d: sent %d, the cap is %d", i+1, n, limit)
			}
		}
		if r := l.ReserveAt(now, google, 1_000_000); !r.OK || r.Cap != 0 {
			t.Errorf("complete: got %+v", r)
		}
		if s := l.StateAt(now, google); s.Stage != 46 || s.Stages != 45 || s.Needed != 0 || s.Day.Cap != 0 {
			t.Errorf("complete: got %+v", s)
		}
	}
}

func TestHoldAndAdvance(t *testing.T) {
	l := mustOpen(t, Config{Plans: plans(Geometric(100, 1.4, 1000))})
	now := start
	day := func(deliver int, want string) {
		t.Helper()
		for h := range 24 {
			for range 20 {
				at := now.Add(time.Duration(h)*time.Hour + 3*time.Minute)
				if r := l.ReserveAt(at, google, 1); r.OK {
					l.CommitAt(at, r)
				}
			}
		}
		l.ObserveAt(now.Add(23*time.Hour), google, Delivered, deliver)
		l.ObserveAt(now.Add(23*time.Hour), google, Bounced, 3)
		now = now.Add(25 * time.Hour)
		s := l.StateAt(now, google)
		if got := fmt.Sprintf("%d %d %s %s", s.Stage, s.Day.Cap, s.Phase, s.Cause); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	day(89, "1 100 holding volume")
	day(90, "2 140 warming ")
	day(125, "2 140 holding volume")
	day(126, "3 196 warming ")
}

func TestIdleLedger(t *testing.T) {
	store := NewMemoryStore()
	cfg := Config{Plans: plans(Plan{Stages: []Stage{{100, 100, 100}, {140, 140, 140}, {190, 190, 190}}}), Store: store}
	l := mustOpen(t, cfg)
	now := start
	for range 3 {
		send(l, now, google, 190)
		now = now.Add(25 * time.Hour)
	}
	if s := l.StateAt(now, google); s.Phase != PhaseComplete {
		t.Fatalf("got %+v", s)
	}
	send(l, now, google, 1000)
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		days  float64
		stage int
		cap   int
	}{{2.9, 4, 0}, {3.1, 3, 190}, {6.1, 2, 140}, {9.1, 1, 100}, {31, 1, 100}} {
		l := mustOpen(t, cfg)
		at := now.Add(time.Duration(c.days * 24 * float64(time.Hour)))
		if s := l.StateAt(at, google); s.Stage != c.stage || s.Day.Cap != c.cap {
			t.Errorf("after %v days: got %+v", c.days, s)
		}
	}
	l = mustOpen(t, cfg)
	now = now.Add(4 * 24 * time.Hour)
	if r := l.ReserveAt(now, google, 1); !r.OK || r.Cap != 190 {
		t.Errorf("got %+v", r)
	}
}

// TestObserveAfterTheDay: what is delivered after the 24 hours is no part of their result.
func TestObserveAfterTheDay(t *testing.T) {
	for _, store := range []Store{nil, NewMemoryStore()} {
		for _, c := range []struct {
			after time.Duration
			stage int
		}{{24*time.Hour - 1, 2}, {24 * time.Hour, 1}, {47 * time.Hour, 1}} {
			l := mustOpen(t, Config{Plans: plans(Plan{Stages: []Stage{{100, 100, 100}, {140, 140, 140}}}), Store: store})
			p := Path{"new", c.after.String()}
			for range 100 {
				l.CommitAt(start, l.ReserveAt(start, p, 1))
			}
			l.ObserveAt(start.Add(c.after), p, Delivered, 95)
			now := start.Add(48 * time.Hour)
			l.ReserveAt(now, p, 1)
			if s := l.StateAt(now, p); s.Stage != c.stage {
				t.Errorf("delivered after %v: in stage %d, want %d", c.after, s.Stage, c.stage)
			}
		}
	}
}
