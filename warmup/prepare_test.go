package warmup

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// gatedStore lets something happen during its next use.
type gatedStore struct {
	Store
	during func()
	after  error // fails when it is done
	uses   int
}

func (s *gatedStore) Update(ctx context.Context, key string, fn func([]byte) ([]byte, error)) error {
	s.uses++
	if during := s.during; during != nil {
		s.during = nil
		during()
	}
	if err := s.Store.Update(ctx, key, fn); err != nil {
		return err
	}
	return s.after
}

// tryAll sends what TryReserveAt gives, and returns how much that is and the first other answer.
func tryAll(l *Ledger, now time.Time) (n int, r Reservation, ready bool) {
	for {
		if r, ready = l.TryReserveAt(now, google, 1); !r.OK {
			return n, r, ready
		}
		l.CommitAt(now, r)
		l.ObserveAt(now, google, Delivered, 1)
		n++
	}
}

func TestTryReserve(t *testing.T) {
	ctx := context.Background()
	store := &flakyStore{Store: NewMemoryStore()}
	l := mustOpen(t, Config{Plans: plans(flat(100, 100, 100)), Store: store})
	if r, ready := l.TryReserveAt(start, google, 1); ready || r.OK {
		t.Fatalf("a path that was never agreed with the store: got %+v", r)
	}
	if n := len(l.store.(*flakyStore).Store.(*MemoryStore).values); n != 0 {
		t.Errorf("%d records were written", n)
	}
	l.PrepareAt(ctx, start, google, 1)
	if n, r, ready := tryAll(l, start); n != 8 || ready {
		t.Errorf("sent %d of a block of 8, then %+v", n, r)
	}
	store.fail = "before"
	l.PrepareAt(ctx, start, google, 1)
	if r, ready := l.TryReserveAt(start, google, 1); !ready || r.Reason != ReasonStore || !r.Until.Equal(start.Add(5*time.Second)) {
		t.Errorf("the store is away: got %+v, %t", r, ready)
	}
	store.fail = ""
	now := start.Add(5 * time.Second)
	if r, ready := l.TryReserveAt(now, google, 1); ready {
		t.Errorf("the store may be back: got %+v", r)
	}
	l.PrepareAt(ctx, now, google, 92)
	if r, ready := l.TryReserveAt(now, google, 93); !ready || r.OK {
		t.Errorf("above the cap: got %+v, %t", r, ready)
	}
	if n, r, ready := tryAll(l, now); n != 92 || !ready || r.Reason != ReasonDayCap {
		t.Errorf("sent %d of 92, then %+v, %t", n, r, ready)
	}
	for name, l := range map[string]*Ledger{"no store": mustOpen(t, Config{Plans: plans(flat(5, 5, 5))}), "no plan": mustOpen(t, Config{})} {
		l.PrepareAt(ctx, start, google, 1)
		if _, ready := l.TryReserveAt(start, google, 1); !ready {
			t.Errorf("%s: not ready", name)
		}
	}
}

// TestGivenUp: a caller that gives up says nothing of the store.
func TestGivenUp(t *testing.T) {
	l := mustOpen(t, Config{Plans: plans(flat(100, 100, 100)), Store: NewMemoryStore()})
	ctx, cancel := context.WithCancel(context.Background())
	l.store = &gatedStore{Store: l.store, during: cancel}
	l.PrepareAt(ctx, start, google, 1)
	if r, ready := l.TryReserveAt(start, google, 1); ready {
		t.Errorf("got %+v", r)
	}
}

// TestLow: who prepares when he is told to never meets an answer that is not ready, as long as there is allowance, and does not use
// the store in vain.
func TestLow(t *testing.T) {
	for _, c := range []struct{ dayCap, most int }{{1000, 70}, {100, 20}, {8, 9}} {
		t.Run(fmt.Sprint(c.dayCap), func(t *testing.T) {
			store := &gatedStore{Store: NewMemoryStore()}
			l := mustOpen(t, Config{Plans: plans(flat(c.dayCap, c.dayCap, c.dayCap)), Store: store})
			ctx, now := context.Background(), start
			l.PrepareAt(ctx, now, google, 1)
			for i := range c.dayCap {
				now = now.Add(time.Second)
				r, ready := l.TryReserveAt(now, google, 1)
				if !r.OK || !ready {
					t.Fatalf("message %d: got %+v, %t", i, r, ready)
				}
				if r.Low {
					l.PrepareAt(ctx, now, google, 1)
				}
				l.CommitAt(now, r)
			}
			if store.uses > c.most {
				t.Errorf("%d uses of the store", store.uses)
			}
			// A promise that is nearly too old is low, too.
			l = mustOpen(t, Config{Plans: plans(flat(1000, 1000, 1000)), Store: NewMemoryStore()})
			l.PrepareAt(ctx, start, google, 1)
			for _, at := range []struct {
				after time.Duration
				low   bool
			}{{time.Minute, false}, {8 * time.Minute, true}} {
				if r, _ := l.TryReserveAt(start.Add(at.after), google, 1); r.Low != at.low {
					t.Errorf("after %v: got %+v", at.after, r)
				}
			}
		})
	}
}

// TestUseMeanwhile: whatever is used, settled and refunded while the store is used, two owners together stay at the cap.
func TestUseMeanwhile(t *testing.T) {
	for _, fails := range []error{nil, errFlaky} {
		for _, ask := range []int{1, 5, 30, 40} { // The last one is refused.
			t.Run(fmt.Sprintf("%v, asks for %d", fails, ask), func(t *testing.T) {
				const dayCap = 64
				memory := NewMemoryStore()
				store := &gatedStore{Store: memory}
				cfg := Config{Plans: plans(flat(dayCap, dayCap, dayCap)), Store: store, Owner: "a", RetryStore: time.Nanosecond}
				a := mustOpen(t, cfg)
				cfg.Store, cfg.Owner = memory, "b"
				b := mustOpen(t, cfg)
				ctx, now, sent := context.Background(), start, send(b, start, google, 20)
				var held []Reservation
				a.PrepareAt(ctx, now, google, 8)
				for range 7 { // One is left: the promise is low.
					r, ready := a.TryReserveAt(now, google, 1)
					if !r.OK || !ready {
						t.Fatalf("got %+v", r)
					}
					held = append(held, r)
				}
				store.after = fails
				store.during = func() {
					a.CommitAt(now, held[0])
					a.CommitAt(now, held[1])
					a.CancelAt(now, held[2])
					sent += 2
					n, r, ready := tryAll(a, now)
					if sent += n; n < 1 || n > 2 || ready {
						t.Errorf("used %d meanwhile, then %+v", n, r)
					}
				}
				a.PrepareAt(ctx, now, google, ask)
				store.after = nil
				n, _, _ := tryAll(a, now)
				sent += n
				sent += send(b, now, google, 100)
				for _, r := range held[3:] {
					a.CommitAt(now, r)
					sent++
				}
				now = now.Add(time.Second)
				sent += send(a, now, google, 100)
				if sent += send(b, now, google, 100); sent != dayCap {
					t.Errorf("sent %d, the cap is %d", sent, dayCap)
				}
			})
		}
	}
}

// TestTryAndPrepareIsReserve: trying, preparing and trying again decides as ReserveAt does.
func TestTryAndPrepareIsReserve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawPlan(t)
		var stores [2]*flakyStore
		var ledgers [2]*Ledger
		for i := range ledgers {
			stores[i] = &flakyStore{Store: NewMemoryStore()}
			l, err := Open(context.Background(), Config{Store: stores[i], Plans: plans(plan)})
			if err != nil {
				t.Fatal(err)
			}
			ledgers[i] = l
		}
		now := start
		var held [2][]Reservation
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now = now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, 11 * time.Minute, 25 * time.Hour, 100 * time.Hour,
				-2 * time.Hour}).Draw(t, "pass"))
			n := rapid.IntRange(1, 5).Draw(t, "n")
			fail := rapid.SampledFrom([]string{"", "", "", "before", "after"}).Draw(t, "fail")
			stores[0].fail, stores[1].fail = fail, fail
			got := ledgers[0].ReserveAt(now, google, n)
			want, ready := ledgers[1].TryReserveAt(now, google, n)
			if !ready {
				ledgers[1].PrepareAt(context.Background(), now, google, n)
				want, ready = ledgers[1].TryReserveAt(now, google, n)
			}
			for i, r := range []Reservation{got, want} {
				if r.OK {
					held[i] = append(held[i], r)
				}
			}
			if got.ticket, want.ticket, want.Low = (ticket{}), (ticket{}), false; got != want || !ready {
				t.Fatalf("ReserveAt: %+v\nTryReserveAt: %+v, %t", got, want, ready)
			}
			what := rapid.IntRange(0, 3).Draw(t, "what")
			for i, l := range ledgers {
				if len(held[i]) == 0 || what == 0 {
					continue
				}
				if what == 1 {
					l.CancelAt(now, held[i][0])
				} else {
					l.CommitAt(now, held[i][0])
					l.ObserveAt(now, google, Delivered, held[i][0].N)
				}
				held[i] = held[i][1:]
			}
			if a, b := ledgers[0].StateAt(now, google), ledgers[1].StateAt(now, google); a != b {
				t.Fatalf("ReserveAt: %+v\nTryReserveAt: %+v", a, b)
			}
		}
	})
}

// slowStore takes a while for each use.
type slowStore struct {
	Store
	takes time.Duration
}

func (s slowStore) Update(ctx context.Context, key string, fn func([]byte) ([]byte, error)) error {
	select {
	case <-time.After(s.takes):
		return s.Store.Update(ctx, key, fn)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestNobodyWaitsForTheStore: while PrepareAt uses it for a path, everything else takes no time, for that path and others.
func TestNobodyWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustOpen(t, Config{Plans: plans(flat(100, 100, 100)), Store: slowStore{NewMemoryStore(), 10 * time.Second}})
		ctx, other := context.Background(), Path{"new", "other"}
		l.PrepareAt(ctx, time.Now(), other, 8)
		l.PrepareAt(ctx, time.Now(), google, 8)
		var held []Reservation
		for range 7 {
			r, _ := l.TryReserveAt(time.Now(), google, 1)
			held = append(held, r)
		}
		done := 0
		var mu sync.Mutex
		for range 2 { // The second one waits for the first, and has nothing to do then.
			go func() {
				l.PrepareAt(ctx, time.Now(), google, 1)
				mu.Lock()
				done++
				mu.Unlock()
			}()
		}
		synctest.Wait()
		began := time.Now()
		l.CommitAt(time.Now(), held[0])
		l.CancelAt(time.Now(), held[1])
		l.ObserveAt(time.Now(), google, Delivered, 1)
		for _, p := range []Path{google, google, other} {
			if r, ready := l.TryReserveAt(time.Now(), p, 1); !r.OK || !ready {
				t.Errorf("%v: got %+v, %t", p, r, ready)
			}
		}
		if r, ready := l.TryReserveAt(time.Now(), google, 1); ready {
			t.Errorf("more than there is: got %+v", r)
		}
		if s := l.StatesAt(time.Now()); s[0].Day.Used != 8 || s[0].Outstanding != 7 || s[0].Outcomes.Delivered != 1 {
			t.Errorf("got %+v", s[0])
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("took %v", took)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if mu.Lock(); done != 2 {
			t.Errorf("%d of 2 preparations ended", done)
		}
		mu.Unlock()
		if r, ready := l.TryReserveAt(time.Now(), google, 1); !r.OK || !ready {
			t.Errorf("prepared, and got %+v, %t", r, ready)
		}
		if s := l.StateAt(time.Now(), google); s.Outcomes.Delivered != 1 || s.Day.Used != 9 {
			t.Errorf("what happened meanwhile was lost: %+v", s)
		}
	})
}

// TestAllAtOnce: everything at the same time, over a slow store and between two owners, never exceeds the cap.
func TestAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const dayCap = 500
		store := slowStore{NewMemoryStore(), 20 * time.Millisecond}
		var wg sync.WaitGroup
		var mu sync.Mutex
		sent := 0
		for _, owner := range []string{"a", "b"} {
			l := mustOpen(t, Config{Plans: plans(flat(dayCap, dayCap, dayCap)), Store: store, Owner: owner})
			for i := range 8 {
				wg.Go(func() {
					for range 200 {
						n := 1 + i%3
						r, ready := l.TryReserveAt(time.Now(), google, n)
						if !ready && i%2 == 0 {
							r = l.ReserveAt(time.Now(), google, n)
						} else if !ready || r.Low {
							l.PrepareAt(context.Background(), time.Now(), google, n)
						}
						time.Sleep(time.Millisecond)
						if i == 7 {
							l.CancelAt(time.Now(), r)
						} else if l.CommitAt(time.Now(), r); r.OK {
							l.ObserveAt(time.Now(), google, Delivered, n)
							mu.Lock()
							sent += n
							mu.Unlock()
						}
						l.StatesAt(time.Now())
					}
				})
			}
		}
		wg.Wait()
		if sent > dayCap || sent < dayCap*9/10 {
			t.Errorf("sent %d, the cap is %d", sent, dayCap)
		}
	})
}
