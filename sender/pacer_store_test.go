package sender_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/warmup"
)

// troubledStore is a store that takes its time, hangs or fails.
type troubledStore struct {
	warmup.Store
	mu    sync.Mutex
	takes time.Duration // by each use; below 0: for ever
	err   error
	uses  int
}

func (s *troubledStore) Update(ctx context.Context, key string, fn func([]byte) ([]byte, error)) error {
	s.mu.Lock()
	s.uses++
	takes, err := s.takes, s.err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	var after <-chan time.Time
	if takes >= 0 {
		after = time.After(takes)
	}
	select {
	case <-after:
		return s.Store.Update(ctx, key, fn)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *troubledStore) set(takes time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes, s.err = takes, err
}

func (s *troubledStore) used() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uses
}

// coldBesideWarm is a Config with a stream "cold" over a route with a plan of one stage, and a stream "warm" over another route.
func coldBesideWarm(st *stage, store warmup.Store, dayCap int) sender.Config {
	cfg := st.config("cold", "warm")
	cfg.WarmupStore = store
	cfg.Routes[0].Warmup = warmup.Plan{Name: "one", Stages: []warmup.Stage{{Day: dayCap, Hour: dayCap, Minute: dayCap}}}
	cfg.Pools = []sender.Pool{{Name: "cold", Routes: []string{"cold"}}, {Name: "warm", Routes: []string{"warm"}}}
	cfg.Streams = []sender.Stream{{Name: "cold", Pool: "cold"}, {Name: "warm", Pool: "warm"}}
	return cfg
}

// overCold is how many messages went over the cold route.
func overCold(st *stage) int { return get(st, func() int { return st.over["cold.example.org"] }) }

// TestAStoreInTroubleHoldsOnlyColdMail: while the store of the warm-up is slow, hangs or fails, mail of other routes goes on as if
// nothing was, and cold mail follows when the store lets it, up to the cap.
func TestAStoreInTroubleHoldsOnlyColdMail(t *testing.T) {
	for _, c := range []struct {
		name     string
		takes    time.Duration
		err      error
		sent     int // cold messages in ten minutes of trouble
		most     int // uses of the store in them
		detail   string
		promptly time.Duration // how soon cold mail follows when the store is well
	}{
		{"slow", 10 * time.Second, nil, 40, 12, "day-cap: 40 of 40 used", 0},
		{"hanging", -1, nil, 0, 11, "store: ", 66 * time.Second},
		{"failing", 0, errors.New("no such table"), 0, 121, "store: ", 6 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const dayCap = 40
				st := newStage(t)
				store := &troubledStore{Store: warmup.NewMemoryStore(), takes: c.takes, err: c.err}
				s := st.start(coldBesideWarm(st, store, dayCap))
				var last sender.Receipt
				for i := range 600 {
					if i < 60 {
						last = st.enqueue(s, "cold", fmt.Sprintf("cold%d@x.example", i))
					}
					st.enqueue(s, "warm", fmt.Sprintf("warm%d@x.example", i))
					time.Sleep(time.Second)
				}
				warm := 0
				for _, e := range st.of(sender.EventDelivered) {
					if e.Stream == "warm" {
						warm++
						if e.QueueTime > 0 {
							t.Fatalf("a message of the other route waited for %v", e.QueueTime)
						}
					}
				}
				if warm != 600 || overCold(st) != c.sent || store.used() > c.most {
					t.Errorf("sent %d of 600 and %d cold messages, want %d, with %d uses of the store", warm, overCold(st), c.sent, store.used())
				}
				time.Sleep(time.Second / 2)
				ex := st.explain(s, last.MessageID)
				if !waitsFor(ex, sender.WaitWarmup) || !strings.HasPrefix(ex.Waits[0].Detail, c.detail) || ex.Attempts > 0 {
					t.Errorf("the last one waits for %+v", ex.Waits)
				}
				store.set(0, nil)
				if time.Sleep(c.promptly); overCold(st) != dayCap {
					t.Errorf("%d cold messages %v after the store was well, want %d", overCold(st), c.promptly, dayCap)
				}
				if time.Sleep(23 * time.Hour); overCold(st) != dayCap {
					t.Errorf("%d cold messages in a day: the cap is %d", overCold(st), dayCap)
				}
			})
		})
	}
}

// TestAStoreThatTakesAMomentCausesNoOverflow: mail waits for the answer for up to a second, and takes the other routes only then.
func TestAStoreThatTakesAMomentCausesNoOverflow(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		cold  int // of 100 messages
	}{{0, 40}, {100 * time.Millisecond, 40}, {10 * time.Second, 0}} {
		for _, overflow := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, overflow %t", c.takes, overflow), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					st := newStage(t)
					store := &troubledStore{Store: warmup.NewMemoryStore(), takes: c.takes}
					cfg := coldBesideWarm(st, store, 40)
					cfg.Streams = nil
					cfg.Pools = []sender.Pool{{Name: "main", Routes: []string{"cold", "warm"}}}
					if overflow {
						cfg.Pools = []sender.Pool{{Name: "main", Routes: []string{"cold"}, Overflow: []string{"warm"}}}
					}
					s := st.start(cfg)
					st.enqueue(s, "", users(100, "x.example")...)
					time.Sleep(9 * time.Second)
					if n := len(st.of(sender.EventDelivered)); n != 100 || overCold(st) != c.cold {
						t.Errorf("%d of 100 delivered, %d over the cold route, want %d", n, overCold(st), c.cold)
					}
					store.set(0, nil)
				})
			})
		}
	}
}

// TestManyColdPathsDoNotWaitForEachOther: each path is prepared by itself.
func TestManyColdPathsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		store := &troubledStore{Store: warmup.NewMemoryStore(), takes: time.Second}
		s := st.start(coldBesideWarm(st, store, 40))
		for i := range 50 {
			st.enqueue(s, "cold", fmt.Sprintf("u@d%d.example", i))
		}
		if time.Sleep(1500 * time.Millisecond); overCold(st) != 50 {
			t.Errorf("%d of 50 sent", overCold(st))
		}
		store.set(0, nil)
	})
}

// preparedPacer is a stagePacer with an answer that has to be prepared.
type preparedPacer struct {
	stagePacer
	mu      sync.Mutex
	ready   bool
	calls   int
	prepare func(ctx context.Context) (ready bool)
}

func (d *preparedPacer) ReserveAt(time.Time, warmup.Path, int) warmup.Reservation {
	panic("asked in a way that may block")
}

func (d *preparedPacer) TryReserveAt(now time.Time, p warmup.Path, n int) (warmup.Reservation, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ready {
		return warmup.Reservation{}, false
	}
	return d.stagePacer.ReserveAt(now, p, n), true
}

func (d *preparedPacer) PrepareAt(ctx context.Context, _ time.Time, _ warmup.Path, _ int) {
	ready := d.prepare(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	d.ready = ready
}

func (d *preparedPacer) called() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// TestPreparing: what a host's pacer may do while it prepares.
func TestPreparing(t *testing.T) {
	prepared := func(st *stage, prepare func(ctx context.Context) bool) (*sender.Sender, *preparedPacer) {
		cfg := coldBesideWarm(st, nil, 40)
		d := &preparedPacer{stagePacer: stagePacer{st}, prepare: prepare}
		cfg.Pacer = d
		return st.start(cfg), d
	}
	t.Run("it is of no use", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			s, d := prepared(st, func(context.Context) bool { return false })
			last := st.enqueue(s, "cold", users(20, "x.example")...)
			time.Sleep(10*time.Second + time.Second/2)
			if n := d.called(); n < 10 || n > 12 || !waitsFor(st.explain(s, last.MessageID), sender.WaitWarmup) {
				t.Errorf("called %d times in ten seconds", n)
			}
		})
	})
	t.Run("in order", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			st.provider, st.limits.Connections = "big", 1
			s, d := prepared(st, func(context.Context) bool { time.Sleep(5 * time.Second); return true })
			var want []string
			for i := range 20 {
				want = append(want, fmt.Sprintf("u@d%d.example", i))
				st.enqueue(s, "cold", want[i])
				time.Sleep(300 * time.Millisecond) // The last ones come when it is ready.
			}
			time.Sleep(time.Minute)
			if began := get(st, func() []string { return st.began }); !slices.Equal(began, want) || d.called() != 1 {
				t.Errorf("sent %v after %d preparations", began, d.called())
			}
		})
	})
	t.Run("a Sender that stops", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			s, d := prepared(st, func(ctx context.Context) bool { <-ctx.Done(); return false })
			st.enqueue(s, "cold", "one@x.example")
			time.Sleep(3 * time.Second)
			began := time.Now()
			if err := s.Stop(context.Background()); err != nil || time.Since(began) > 0 || d.called() != 1 {
				t.Errorf("stopped after %v with %d preparations: %v", time.Since(began), d.called(), err)
			}
		})
	})
	t.Run("too long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			s, d := prepared(st, func(ctx context.Context) bool { <-ctx.Done(); return true })
			st.enqueue(s, "cold", "one@x.example")
			if time.Sleep(61 * time.Second); d.called() != 1 || st.sentTo("one@x.example") != 1 {
				t.Errorf("%d preparations ended", d.called())
			}
			time.Sleep(time.Hour)
			if h := sender.HeldBy(s); h != (sender.Held{}) {
				t.Errorf("later it holds %+v", h)
			}
		})
	})
}
