package warmup

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// sendFor3Days sends what it can to google, trying every minute, and returns how much that was.
func sendFor3Days(l *Ledger, from time.Time) int {
	sent := 0
	for now := from; now.Before(from.Add(3 * 24 * time.Hour)); now = now.Add(time.Minute) {
		sent += send(l, now, google, 1000)
	}
	return sent
}

// TestSilentOwner: what an owner leaves behind when it falls silent, dies or is renamed costs the others little.
func TestSilentOwner(t *testing.T) {
	for _, plan := range []Plan{Conservative(100_000), Geometric(1000, 1.4, 100_000), SparkPost(100_000), SendGrid(100_000)} {
		cfg := Config{Plans: plans(plan)}
		alone := sendFor3Days(mustOpen(t, cfg), start)
		for _, c := range []struct {
			name string
			end  func(a *Ledger) (held Reservation)
		}{
			{"idle", func(*Ledger) Reservation { return Reservation{} }},
			{"holding", func(a *Ledger) Reservation { return a.ReserveAt(start.Add(time.Minute+time.Second), google, 1) }},
			{"closed", func(a *Ledger) Reservation {
				if err := a.Close(context.Background()); err != nil {
					t.Error(err)
				}
				return Reservation{}
			}},
		} {
			t.Run(plan.Name+", "+c.name, func(t *testing.T) {
				cfg := cfg
				cfg.Store, cfg.Owner = NewMemoryStore(), "a"
				a := mustOpen(t, cfg)
				if n := send(a, start, google, 1); n != 1 {
					t.Fatal("the first owner could not send")
				}
				held := c.end(a)
				cfg.Owner = "b" // Another process, or the same one under a new name.
				sent := sendFor3Days(mustOpen(t, cfg), start.Add(time.Minute))
				if sent < alone*9/10 || sent > alone*101/100 { // The days are others.
					t.Errorf("sent %d in three days, alone it would have been %d", sent, alone)
				}
				record := string(cfg.Store.(*MemoryStore).values[recordKey(google)])
				if strings.Contains(record, `"a":`) {
					t.Errorf("the first owner was not forgotten: %s", record)
				}
				// It may come back as if nothing had been.
				a.CommitAt(start.Add(2*24*time.Hour), held)
				if now := start.Add(5 * 24 * time.Hour); send(a, now, google, 1) != 1 && c.name != "closed" {
					t.Errorf("the first owner cannot go on: %+v", a.ReserveAt(now, google, 1))
				}
			})
		}
	}
}

// TestPromise: its size by the caps of the stage, and its life.
func TestPromise(t *testing.T) {
	for _, c := range []struct {
		day, hour, minute int
		n                 int
		want              int
	}{
		{50, 7, 1, 1, 1},          // No eighth of a minute's cap.
		{1000, 125, 5, 3, 3},      // What is asked for.
		{1000, 125, 32, 1, 4},     // An eighth of a minute's cap.
		{1000, 1000, 1000, 1, 20}, // A fiftieth of a day's.
		{200, 200, 200, 1, 8},     // Small, but not too small.
		{40, 40, 40, 1, 5},        // An eighth of a day's cap.
		{40, 40, 40, 38, 38},
	} {
		store := &flakyStore{Store: NewMemoryStore()}
		l := mustOpen(t, Config{Plans: plans(flat(c.day, c.hour, c.minute)), Store: store})
		r := l.ReserveAt(start, google, c.n)
		l.CommitAt(start, r)
		store.fail = "before"
		if n := c.n + send(l, start, google, 1000); n != c.want {
			t.Errorf("%+v: %d messages were promised", c, n)
		}
	}
	store := &flakyStore{Store: NewMemoryStore()}
	l := mustOpen(t, Config{Plans: plans(flat(1000, 1000, 1000)), Store: store})
	send(l, start, google, 1)
	store.fail = "before"
	for _, c := range []struct {
		at   time.Duration
		sent int
	}{{10*time.Minute - 1, 1}, {10 * time.Minute, 0}, {-time.Minute, 1}, {-2 * time.Minute, 0}} {
		if n := send(l, start.Add(c.at), google, 1); n != c.sent {
			t.Errorf("%v after the lease, with the store away: sent %d", c.at, n)
		}
	}
}

// TestPromiseOfOthers: it counts in full until its end, as used from there on, and no more once it is known what was used.
func TestPromiseOfOthers(t *testing.T) {
	store := NewMemoryStore()
	cfg := Config{Plans: plans(flat(80, 80, 80)), Store: store, Owner: "a"}
	a := mustOpen(t, cfg)
	send(a, start, google, 1) // Of 8 that were promised.
	cfg.Owner = "b"
	b := mustOpen(t, cfg)
	take := func(now time.Time) int {
		n := 0
		for r := b.ReserveAt(now, google, 1); r.OK; r = b.ReserveAt(now, google, 1) {
			b.CommitAt(now, r)
			n++
		}
		return n
	}
	if n := take(start); n != 72 {
		t.Errorf("sent %d of 80 beside a promise of 8", n)
	}
	r := b.ReserveAt(start, google, 1)
	if r.OK || r.Reason != ReasonDayCap || r.Used != 80 || !r.Until.Equal(start.Add(24*time.Hour+15*time.Minute)) {
		t.Errorf("got %+v", r)
	}
	for _, c := range []struct {
		at   time.Duration
		sent int
	}{
		{24*time.Hour + 15*time.Minute, 72}, // What b sent counts no more; the stage is held, since nothing was delivered.
		{25*time.Hour + 14*time.Minute, 0},  // The promise came to its end at 1:10 h, and counts from there on.
		{25*time.Hour + 15*time.Minute, 8},
	} {
		if n := take(start.Add(c.at)); n != c.sent {
			t.Errorf("after %v: sent %d, want %d", c.at, n, c.sent)
		}
	}
}

// TestOwnersLapse: where the windows have room for one message, the next owner's turn comes although each one dies with its promise.
func TestOwnersLapse(t *testing.T) {
	store := NewMemoryStore()
	cfg := Config{Plans: plans(flat(50, 7, 1)), Store: store}
	now := start
	for i := range 20 { // Each one dies after a message.
		cfg.Owner = fmt.Sprint("process-", i)
		l := mustOpen(t, cfg)
		tries := 0
		for send(l, now, google, 1) == 0 {
			now = l.ReserveAt(now, google, 1).Until
			if tries++; tries > 100 {
				t.Fatalf("owner %d waits for ever", i)
			}
		}
	}
	if took := now.Sub(start); took > 25*time.Hour {
		t.Errorf("took %v", took)
	}
	rec, err := decodeRecord(store.values[recordKey(google)])
	if err != nil || len(rec.Owners) > 20 {
		t.Errorf("got %+v, error %v", rec, err)
	}
}
