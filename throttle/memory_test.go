package throttle

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// records are the memories in a store.
func records(t *testing.T, store Store) map[Path]*memory {
	t.Helper()
	found := map[Path]*memory{}
	if err := store.Load(context.Background(), func(key string, value []byte) error {
		p, ok := pathOfKey(key)
		if !ok {
			return nil
		}
		m, err := parseMemory(value)
		found[p] = m
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// syncAt is SyncAt that must not fail.
func syncAt(t *testing.T, l *Limiter, now time.Time) {
	t.Helper()
	if _, err := l.SyncAt(context.Background(), now); err != nil {
		t.Fatal(err)
	}
}

// loadAt is a new start of a Limiter on a store.
func loadAt(t *testing.T, config Config, now time.Time) *Limiter {
	t.Helper()
	l := newLimiter(t, config)
	if err := l.LoadAt(context.Background(), now); err != nil {
		t.Fatal(err)
	}
	return l
}

// With a Store as few paths are kept as without one, and as few records.
func TestForgettingWithStore(t *testing.T) {
	for _, owner := range []string{"", "a"} {
		config := Config{Idle: time.Hour, MaxPaths: 10, Owner: owner, Store: NewMemoryStore()}
		stored, plain := newLimiter(t, config), newLimiter(t, Config{Idle: time.Hour, MaxPaths: 10})
		now := start
		for hour := range 24 {
			for i := range 50 {
				p := Path{"r", fmt.Sprintf("d%d-%d.example", hour, i)}
				for _, l := range []*Limiter{stored, plain} {
					l.AcquireAt(now, p, TokenMessage)
					l.ObserveAt(now, p, limited)
				}
			}
			for range 60 {
				now = now.Add(time.Minute)
				syncAt(t, stored, now)
			}
		}
		if got, want := stored.paths.Len(), plain.paths.Len(); got > want {
			t.Errorf("owner %q: %d paths with a store, %d without", owner, got, want)
		}
		if n := len(records(t, config.Store)); n > 100 { // those of the last hour, and of the one that is being removed
			t.Errorf("owner %q: %d records", owner, n)
		}
		now = now.Add(2 * time.Hour)
		syncAt(t, stored, now)
		if n := len(records(t, config.Store)); n != 0 {
			t.Errorf("owner %q: %d records when all is over", owner, n)
		}
		if len(stored.sharing.written) != 0 {
			t.Errorf("owner %q: %d paths to be renewed", owner, len(stored.sharing.written))
		}
	}
}

// renewals counts the writes of a store that changed nothing.
type renewals struct {
	*MemoryStore
	n int
}

func (s *renewals) Update(ctx context.Context, key string, fn func([]byte) ([]byte, error)) error {
	return s.MemoryStore.Update(ctx, key, func(old []byte) ([]byte, error) {
		value, err := fn(old)
		if err == nil && old != nil && string(value) == string(old) {
			s.n++
		}
		return value, err
	})
}

// A record is renewed, so that the store does not forget it, and that does not make it younger. So is one that was loaded and whose path is not used.
func TestRenewal(t *testing.T) {
	store := &renewals{MemoryStore: NewMemoryStore()}
	config := Config{Store: store, Idle: 3 * time.Hour}
	first := newLimiter(t, config)
	first.ObserveAt(start, example, limited)
	for name, l := range map[string]*Limiter{"who learnt it": first, "who loaded it": nil} {
		now := start
		if syncAt(t, first, now); l == nil {
			l = loadAt(t, config, now)
		}
		for range 2 {
			store.n = 0
			for range 40 {
				now = now.Add(time.Minute)
				syncAt(t, l, now)
			}
			if store.n < 1 || store.n > 3 {
				t.Errorf("%s: renewed %d times in 40 minutes", name, store.n)
			}
		}
		if m := records(t, store)[example]; m == nil || m.At != milli(start) {
			t.Errorf("%s: %+v", name, m)
		}
	}
	// A later use makes it younger, though nothing else has changed.
	first.ObserveAt(start.Add(2*time.Hour), example, other)
	syncAt(t, first, start.Add(2*time.Hour))
	syncAt(t, first, start.Add(2*time.Hour+syncRenew))
	if m := records(t, store)[example]; m == nil || m.At != milli(start.Add(2*time.Hour)) {
		t.Errorf("used again: %+v", m)
	}
}

// A start removes the records that are over, and only those.
func TestLoadRemovesWhatIsOver(t *testing.T) {
	store := NewMemoryStore()
	a, b := Config{Store: store, Owner: "a", Idle: time.Hour}, Config{Store: store, Owner: "b", Idle: time.Hour}
	old, running, used := Path{"r", "old.example"}, Path{"r", "running.example"}, Path{"r", "used.example"}
	l := newLimiter(t, a)
	l.ObserveAt(start, old, limited)
	l.ObserveAt(start, running, Signal{Kind: SignalRateLimited, RetryAfter: 3 * time.Hour})
	syncAt(t, l, start)
	other := newLimiter(t, b)
	other.ObserveAt(start, used, Signal{Kind: SignalTooManyMessages, Messages: 3})
	now := start
	for range 120 { // the other process goes on
		now = now.Add(time.Minute)
		other.AcquireAt(now, used, TokenMessage)
		syncAt(t, other, now)
	}
	l = loadAt(t, a, now)
	found := records(t, store)
	if len(found) != 2 || found[running] == nil || found[used] == nil {
		t.Errorf("%v", found)
	}
	if s := l.StateAt(now, used); s.Limits.MessagesPerConnection != 3 {
		t.Errorf("%+v", s)
	}
	// What comes between the look and the removal stays.
	if err := l.dropMemory(context.Background(), memoryKey(used), now); err != nil {
		t.Fatal(err)
	}
	if err := l.dropMemory(context.Background(), memoryKey(old), now); err != nil {
		t.Fatal(err)
	}
	if records(t, store)[used] == nil {
		t.Error("a record that is not over was removed")
	}
	// Who used the path longer ago does not make the record older again.
	l.ObserveAt(now, used, Signal{Kind: SignalTooManyMessages, Messages: 3})
	syncAt(t, l, now)
	now = now.Add(30 * time.Minute)
	other.ObserveAt(now, used, Signal{Kind: SignalTooManyMessages, Messages: 2})
	syncAt(t, other, now)
	syncAt(t, l, now.Add(time.Minute))
	if m := records(t, store)[used]; m == nil || m.At != milli(now) {
		t.Errorf("%+v", m)
	}
}

// A stop and a measure that last longer than Idle outlive a restart; what was learnt beside them does not.
func TestStopLongerThanIdleOverRestart(t *testing.T) {
	const yahooSlow = "4.16.55 [TS02] Messages from 192.0.2.1 temporarily deferred due to user complaints" // for half an hour
	config := Config{Store: NewMemoryStore(), Idle: 20 * time.Minute}
	l := newLimiter(t, config)
	yahoo, ramping := Path{"mta1", "yahoo"}, Path{"mta1", "ramping.example"}
	l.ObserveAt(start, example, Signal{Kind: SignalTooManyMessages, Messages: 3})
	l.ObserveAt(start, example, blocked)
	l.ObserveAt(start, example, blocked)
	l.ObserveAt(start, yahoo, replied(SignalOther, 421, yahooSlow))
	l.ObserveAt(start, yahoo, limited) // stopped for ten minutes: it ramps when the measure still holds
	l.ObserveAt(start, ramping, limited)
	if err := l.CloseAt(context.Background(), start); err != nil {
		t.Fatal(err)
	}
	now := start.Add(25 * time.Minute)
	l = loadAt(t, config, now)
	if s := l.StateAt(now, example); s.Phase != PhaseStopped || s.Until.Sub(start) != 2*time.Hour || s.Limits.MessagesPerConnection != s.Configured.MessagesPerConnection {
		t.Errorf("%+v", s)
	}
	if s := l.StateAt(now, yahoo); s.Phase != PhaseOpen || s.Limits.MessageRate != (Rate{1, time.Minute}) {
		t.Errorf("%+v", s)
	}
	if s := l.StateAt(now, ramping); s.Phase != PhaseOpen {
		t.Errorf("%+v", s)
	}
	if found := records(t, config.Store); len(found) != 2 {
		t.Errorf("%v", found)
	}
	// And none of it for ever.
	if l = loadAt(t, config, start.Add(2*time.Hour)); len(records(t, config.Store)) != 0 {
		t.Errorf("%v", records(t, config.Store))
	}
}
