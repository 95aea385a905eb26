package warmup

import (
	"context"
	"testing"
	"time"
)

// TestClockAhead: a clock that jumps ahead and is put right stops a path for no longer than its windows are.
func TestClockAhead(t *testing.T) {
	year := 365 * 24 * time.Hour
	for _, c := range []struct {
		name  string
		store bool
		jump  time.Duration
		stage int // of three, a day later
	}{
		{"a year", false, year, 1},
		{"a year, with a store", true, year, 1},
		{"five hours", true, 5 * time.Hour, 3},
		{"to the end of time", true, 200 * year, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Plans: plans(Plan{Stages: []Stage{{80, 80, 80}, {100, 100, 100}, {120, 120, 120}}})}
			if c.store {
				cfg.Store = NewMemoryStore()
			}
			l := mustOpen(t, cfg)
			now := start
			send(l, now, google, 80)
			if now = now.Add(25 * time.Hour); send(l, now, google, 30) != 30 {
				t.Fatal("not at stage 2")
			}
			ahead := now.Add(c.jump)
			first := send(l, ahead, google, 200)
			if first == 0 {
				t.Fatal("it does not jump")
			}
			restart := func() {
				if c.store {
					if err := l.Close(context.Background()); err != nil {
						t.Fatal(err)
					}
					l = mustOpen(t, cfg) // The store keeps the wrong time.
				}
			}
			restart()
			now = now.Add(time.Minute)
			sent := 0
			for from := now; now.Before(from.Add(24 * time.Hour)); now = now.Add(time.Minute) {
				r := l.ReserveAt(now, google, 1)
				for ; r.OK; r = l.ReserveAt(now, google, 1) {
					l.CommitAt(now, r)
					sent++
				}
				if r.Until.After(from.Add(25 * time.Hour)) {
					t.Fatalf("after %v: got %+v", now.Sub(from), r)
				}
				if now.Sub(from) == 12*time.Hour {
					restart()
				}
			}
			state := l.StateAt(now, google)
			if day := state.Day.Cap; first+sent > day {
				t.Errorf("%d and %d in 24 hours, the cap is %d", first, sent, day)
			}
			now = now.Add(30 * time.Minute)
			if n := send(l, now, google, 200); n < 70 || state.Stage != c.stage {
				t.Errorf("a day later: sent %d in stage %d", n, state.Stage)
			}
		})
	}
}

// TestClockAheadOfOthers: when one owner has put the time right, another one that slept meanwhile does not bring the wrong one back.
func TestClockAheadOfOthers(t *testing.T) {
	store := NewMemoryStore()
	cfg := Config{Plans: plans(flat(100, 100, 100)), Store: store, Owner: "a"}
	a := mustOpen(t, cfg)
	cfg.Owner = "b"
	b := mustOpen(t, cfg)
	ahead := start.Add(10 * 24 * time.Hour)
	send(a, ahead, google, 1)
	send(b, ahead, google, 1)
	now := start
	for range 12 {
		a.ReserveAt(now, google, 100) // Is refused.
		now = now.Add(time.Minute)
	}
	seen := func() time.Time {
		rec, err := decodeRecord(store.values[recordKey(google)])
		if err != nil {
			t.Fatal(err)
		}
		return unstamp(rec.Seen)
	}
	if got := seen(); got.After(now) {
		t.Fatalf("it stays at %v", got)
	}
	if n := send(b, now, google, 100); n == 0 || n > 98 {
		t.Errorf("b sent %d", n)
	}
	if got := seen(); got.After(now) {
		t.Errorf("b brought %v back", got)
	}
}

// TestClockBackForAMoment: a clock that is wrong for a moment only frees nothing.
func TestClockBackForAMoment(t *testing.T) {
	l := mustOpen(t, Config{Plans: plans(flat(100, 10, 10)), Store: NewMemoryStore()})
	now := start
	if n := send(l, now, google, 20); n != 10 {
		t.Fatalf("sent %d", n)
	}
	for now = now.Add(-3 * time.Hour); now.Before(start.Add(-3*time.Hour + 10*time.Minute)); now = now.Add(time.Minute) {
		if n := send(l, now, google, 1); n != 0 {
			t.Fatalf("sent %d at %v", n, now)
		}
	}
	if n := send(l, start.Add(10*time.Minute), google, 1); n != 0 {
		t.Errorf("sent %d when it was right again", n)
	}
	if n := send(l, start.Add(61*time.Minute), google, 10); n != 10 {
		t.Errorf("sent %d an hour later", n)
	}
}

// TestStoreAwayWhileClockIsBack: the store is tried again after its time even if the path's time stands still.
func TestStoreAwayWhileClockIsBack(t *testing.T) {
	store := &flakyStore{Store: NewMemoryStore()}
	l := mustOpen(t, Config{Plans: plans(flat(100, 100, 100)), Store: store})
	send(l, start, google, 1)
	store.fail = "before"
	now := start.Add(-30 * time.Minute)
	if r := l.ReserveAt(now, google, 1); r.OK || r.Reason != ReasonStore || !r.Until.Equal(now.Add(5*time.Second)) {
		t.Errorf("got %+v", r)
	}
	store.fail = ""
	if n := send(l, now.Add(5*time.Second), google, 1); n != 1 {
		t.Error("not tried again")
	}
}
