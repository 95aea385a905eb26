package warmup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCrash: the promise of a crashed ledger counts as used when it comes back, for a day.
func TestCrash(t *testing.T) {
	store := NewMemoryStore()
	cfg := Config{Plans: plans(flat(1000, 1000, 1000)), Store: store}
	l := mustOpen(t, cfg)
	if n := send(l, start, google, 5); n != 5 {
		t.Fatalf("sent %d", n)
	}
	now := start.Add(6 * time.Hour)
	l = mustOpen(t, cfg)
	if s := l.StateAt(now, google); s.Day.Used != 20 {
		t.Errorf("a fiftieth was promised: got %+v", s)
	}
	if n := send(l, now, google, 2000); n != 980 {
		t.Errorf("sent %d, 980 were left", n)
	}
	// What was promised to the first one may have gone out until its promise ended.
	if r := l.ReserveAt(now, google, 1); !r.Until.Equal(start.Add(time.Duration(promiseLife) + 24*time.Hour + 5*time.Minute)) {
		t.Errorf("got %+v", r)
	}
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	// After Close nothing is lost.
	l = mustOpen(t, cfg)
	now = now.Add(25 * time.Hour)
	if n := send(l, now, google, 10); n != 10 {
		t.Errorf("sent %d", n)
	}
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, cfg)
	if s := l.StateAt(now, google); s.Day.Used != 10 {
		t.Errorf("got %+v", s)
	}
}

func TestStoreAway(t *testing.T) {
	store := &flakyStore{Store: NewMemoryStore()}
	var log strings.Builder
	cfg := Config{Plans: plans(flat(1000, 1000, 1000)), Store: store, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	l := mustOpen(t, cfg)
	send(l, start, google, 1)
	store.fail = "before"
	if n := send(l, start, google, 100); n != 19 {
		t.Errorf("sent %d of what was promised, want 19", n)
	}
	r := l.ReserveAt(start, google, 1)
	if r.OK || r.Reason != ReasonStore || !r.Until.Equal(start.Add(5*time.Second)) {
		t.Errorf("got %+v", r)
	}
	if r := l.ReserveAt(start, Path{"new", "other"}, 1); r.OK || r.Reason != ReasonStore {
		t.Errorf("a path that was never promised anything: got %+v", r)
	}
	store.fail = ""
	if r := l.ReserveAt(start.Add(4*time.Second), google, 1); r.OK || !r.Until.Equal(start.Add(5*time.Second)) {
		t.Errorf("tried too early: got %+v", r)
	}
	if n := send(l, start.Add(5*time.Second), google, 2000); n != 980 {
		t.Errorf("sent %d, want the rest of 980", n)
	}
	if n := strings.Count(log.String(), "warm-up store failed"); n != 2 || !strings.Contains(log.String(), "provider=google error=flaky") {
		t.Errorf("got the log\n%s", &log)
	}
	store.fail = "before"
	if _, err := Open(context.Background(), Config{Plans: plans(flat(1, 0, 0)), Store: brokenStore{}}); !errors.Is(err, errFlaky) {
		t.Errorf("open: got error %v", err)
	}
}

// TestCompleteGoesOnWithoutStore: a path that is warm does not depend on the store.
func TestCompleteGoesOnWithoutStore(t *testing.T) {
	store := &flakyStore{Store: NewMemoryStore()}
	l := mustOpen(t, Config{Plans: plans(flat(10, 10, 10)), Store: store})
	send(l, start, google, 10)
	now := start.Add(25 * time.Hour)
	if r := l.ReserveAt(now, google, 100); !r.OK {
		t.Fatalf("got %+v", r)
	} else {
		l.CommitAt(now, r)
	}
	store.fail = "before"
	for range 50 {
		now = now.Add(time.Hour)
		if n := send(l, now, google, 100); n != 100 {
			t.Fatalf("sent %d", n)
		}
	}
	now = now.Add(4 * 24 * time.Hour)
	if r := l.ReserveAt(now, google, 1); r.OK || r.Reason != ReasonStore {
		t.Errorf("cold again, and the store is away: got %+v", r)
	}
}

func TestOwnersShare(t *testing.T) {
	store := NewMemoryStore()
	cfg := Config{Plans: plans(flat(100, 100, 100)), Store: store}
	var ledgers []*Ledger
	for i := range 4 {
		cfg.Owner = fmt.Sprint("process-", i)
		ledgers = append(ledgers, mustOpen(t, cfg))
	}
	var wg sync.WaitGroup
	sent := make([]int, len(ledgers))
	for i, l := range ledgers {
		wg.Go(func() { sent[i] = send(l, start, google, 200) })
	}
	wg.Wait()
	total := 0
	for _, n := range sent {
		total += n
	}
	if total != 100 {
		t.Errorf("sent %v, together %d", sent, total)
	}
	r := ledgers[0].ReserveAt(start, google, 1)
	if r.OK || r.Reason != ReasonDayCap || r.Cap != 100 || r.Used != 100 || !r.Until.After(start) {
		t.Errorf("got %+v", r)
	}
	// The stage moves on what all of them delivered.
	now := start.Add(24*time.Hour + 20*time.Minute)
	for i, l := range ledgers {
		if r := l.ReserveAt(now, google, 1000); !r.OK || r.Cap != 0 {
			t.Errorf("owner %d: got %+v", i, r)
		}
	}
}

// TestTakeover: when a second ledger takes the name of a running one, the first is refused.
func TestTakeover(t *testing.T) {
	store := NewMemoryStore()
	cfg := Config{Plans: plans(flat(1000, 1000, 1000)), Store: store}
	a := mustOpen(t, cfg)
	send(a, start, google, 5)
	b := mustOpen(t, cfg)
	n := send(b, start, google, 2000)
	m := send(a, start, google, 2000)
	if n+m+5 > 1000 || m != 15 || n != 980 {
		t.Errorf("sent 5, %d and %d", n, m)
	}
	if r := a.ReserveAt(start, google, 1); r.OK || r.Reason != ReasonStore {
		t.Errorf("got %+v", r)
	}
}
