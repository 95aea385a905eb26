package warmup

import (
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestWarmRouteIsFree(t *testing.T) {
	l := mustOpen(t, Config{Plans: plans(flat(1, 0, 0)), Store: &flakyStore{Store: NewMemoryStore(), fail: "before"}})
	p := Path{"old", "google"}
	for range 3 {
		r := l.ReserveAt(start, p, math.MaxInt)
		if !r.OK || r.Path != p || r.N != math.MaxInt || r.Cap != 0 {
			t.Fatalf("got %+v", r)
		}
		l.CommitAt(start, r)
		l.CancelAt(start, r)
		l.ObserveAt(start, p, Delivered, 1)
	}
	if got := l.StateAt(start, p); got != (State{Path: p, Phase: PhaseWarm}) {
		t.Errorf("got %+v", got)
	}
	if got := l.StatesAt(start); len(got) != 0 {
		t.Errorf("something was kept: %+v", got)
	}
}

func TestReserveIsAllOrNone(t *testing.T) {
	l := mustOpen(t, Config{Plans: plans(flat(10, 10, 10))})
	a := l.ReserveAt(start, google, 7)
	if !a.OK || a.Cap != 10 || a.Used != 7 || a.Reason != "" || !a.Until.IsZero() || a.N != 7 || a.Path != google {
		t.Fatalf("got %+v", a)
	}
	if r := l.ReserveAt(start, google, 4); r.OK || r.Reason != ReasonDayCap || r.Cap != 10 || r.Used != 7 {
		t.Fatalf("got %+v", r)
	}
	if r := l.ReserveAt(start, google, 0); !r.OK || r.N != 0 {
		t.Fatalf("for none: got %+v", r)
	}
	b := l.ReserveAt(start, google, 3)
	if !b.OK {
		t.Fatalf("got %+v", b)
	}
	// Both are outstanding: only time or a cancellation will tell.
	if r := l.ReserveAt(start, google, 1); r.OK || !r.Until.Equal(start.Add(time.Second)) {
		t.Fatalf("got %+v", r)
	}
	l.CancelAt(start, a)
	l.CancelAt(start, a)
	l.CommitAt(start, a)
	l.CommitAt(start, b)
	l.CommitAt(start, b)
	l.CancelAt(start, b)
	if s := l.StateAt(start, google); s.Day != (Use{10, 3}) || s.Outstanding != 0 {
		t.Fatalf("got %+v", s)
	}
	other := mustOpen(t, Config{Plans: plans(flat(10, 10, 10))})
	c := other.ReserveAt(start, google, 5)
	l.CommitAt(start, c)
	l.CancelAt(start, c)
	if s := other.StateAt(start, google); s.Outstanding != 5 {
		t.Errorf("another ledger settled it: %+v", s)
	}
	l.CommitAt(start, Reservation{OK: true, Path: google, N: 5})
	if s := l.StateAt(start, google); s.Day.Used != 3 {
		t.Errorf("a made-up reservation counted: %+v", s)
	}
	if r := l.ReserveAt(start, google, 11); r.OK || !r.Until.Equal(start.Add(24*time.Hour)) {
		t.Errorf("above the cap: got %+v", r)
	}
	if r := l.ReserveAt(start, google, math.MaxInt/2); r.OK {
		t.Errorf("got %+v", r)
	}
}

func TestReasons(t *testing.T) {
	l := mustOpen(t, Config{Plans: plans(flat(100, 20, 5))})
	now := start
	expect := func(reason Reason, limit, used int, until time.Duration) {
		t.Helper()
		r := l.ReserveAt(now, google, 1)
		if r.OK || r.Reason != reason || r.Cap != limit || r.Used != used || r.Until.Sub(start) != until {
			t.Fatalf("at %v: got %+v, until %v", now.Sub(start), r, r.Until.Sub(start))
		}
	}
	if n := send(l, now, google, 100); n != 5 {
		t.Fatalf("sent %d", n)
	}
	// The second, then 60 more.
	expect(ReasonMinuteCap, 5, 5, 61*time.Second)
	for range 3 {
		now = now.Add(61 * time.Second)
		send(l, now, google, 100)
	}
	expect(ReasonHourCap, 20, 20, 61*time.Minute)
	for day := range 4 {
		now = start.Add(time.Duration(day+1) * 61 * time.Minute)
		for range 4 {
			send(l, now, google, 100)
			now = now.Add(61 * time.Second)
		}
	}
	expect(ReasonDayCap, 100, 100, 24*time.Hour+15*time.Minute)
}

func TestClockBack(t *testing.T) {
	var log strings.Builder
	l := mustOpen(t, Config{Plans: plans(flat(100, 10, 10)), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if n := send(l, start, google, 20); n != 10 {
		t.Fatalf("sent %d", n)
	}
	for _, back := range []time.Duration{time.Second, time.Hour, 48 * time.Hour, 100 * 365 * 24 * time.Hour} {
		until := start.Add(61 * time.Minute)
		if back > time.Hour { // The time may be put right before that.
			until = unstamp(max(1, stamp(start.Add(-back)))).Add(10 * time.Minute)
		}
		r := l.ReserveAt(start.Add(-back), google, 1)
		if r.OK || !r.Until.Equal(until) {
			t.Errorf("%v back: got %+v", back, r)
		}
	}
	if n := strings.Count(log.String(), "clock is behind"); n != 1 {
		t.Errorf("got the log\n%s", &log)
	}
}

// TestConcurrent: many goroutines on few paths never use more than the cap, and leave nothing behind.
func TestConcurrent(t *testing.T) {
	for _, store := range []Store{nil, NewMemoryStore()} {
		l := mustOpen(t, Config{Plans: plans(flat(500, 500, 500)), Store: store})
		var wg sync.WaitGroup
		var mu sync.Mutex
		committed := make(map[Path]int)
		for worker := range 8 {
			wg.Go(func() {
				for i := range 1000 {
					p := Path{"new", fmt.Sprint(i % 3)}
					r := l.ReserveAt(start, p, 1)
					if i%17 == 0 {
						l.StateAt(start, p)
						l.StatesAt(start)
					}
					if (i+worker)%2 == 0 {
						l.CancelAt(start, r)
						continue
					}
					l.CommitAt(start, r)
					if r.OK {
						mu.Lock()
						committed[p]++
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		for p, n := range committed {
			if s := l.StateAt(start, p); n > 500 || s.Day.Used != n || s.Outstanding != 0 {
				t.Errorf("%v: committed %d, state %+v", p, n, s)
			}
		}
	}
}

// TestHotPathAllocates nothing, however many paths there are.
func TestHotPathAllocates(t *testing.T) {
	l := mustOpen(t, Config{Plans: plans(flat(MaxCap, MaxCap, MaxCap)), Store: NewMemoryStore()})
	now := start
	paths := make([]Path, 1000)
	for i := range paths {
		paths[i] = Path{"new", fmt.Sprint("provider", i)}
		send(l, now, paths[i], 1)
	}
	i := 0
	allocs := testing.AllocsPerRun(10000, func() {
		p := paths[i%len(paths)]
		i++
		l.CommitAt(now, l.ReserveAt(now, p, 1))
		l.ObserveAt(now, p, Delivered, 1)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
