package throttle

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
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
		for range 120 { // nobody uses any of them
			now = now.Add(time.Minute)
			syncAt(t, stored, now)
		}
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
		if err == nil && old != nil && string(value) == string(old) && strings.HasPrefix(key, "path/") {
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

// A process that uses a path and knows nothing of it leaves the record alone. Who wrote that renews it, in 45 minutes twice, also when its own part is over.
func TestRenewalOfOthers(t *testing.T) {
	store := &renewals{MemoryStore: NewMemoryStore()}
	limits, other := map[string]Limits{"example.com": {Connections: 1}}, Path{"mta2", "example.com"}
	a := newLimiter(t, Config{Store: store, Owner: "a", Limits: limits})
	b := newLimiter(t, Config{Store: store, Owner: "b", Limits: limits})
	a.ObserveAt(start, example, limited)
	a.ObserveAt(start, other, Signal{Kind: SignalTooManyMessages, Messages: 3})
	syncAt(t, a, start)
	now := start.Add(10 * time.Minute)
	a.ObserveAt(now, example, success) // it is open again
	for l, p := range map[*Limiter]Path{a: example, b: other} {
		store.n = 0
		for at := now; at.Before(now.Add(45 * time.Minute)); at = at.Add(syncStates) {
			l.AcquireAt(at, p, TokenMessage)
			l.ObserveAt(at, p, success)
			syncAt(t, l, at)
		}
		if want := map[Path]int{example: 4, other: 0}[p]; store.n != want {
			t.Errorf("%v: renewed %d times, want %d", p, store.n, want)
		}
	}
	if found := records(t, store); len(found) != 2 {
		t.Errorf("%v", found)
	}
}

// Whoever starts removes within a while the records that are over, and only those.
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
	for name, value := range map[string]string{ // whoever wrote that had a wrong clock
		"mad.example": `{"v":1,"at":1,"cause":"blocked","until":9999999999999}`, "odd.example": `{"v":1,"at":1,"imposed":{"own/slow":9999999999999}}`,
	} {
		store.Update(context.Background(), memoryKey(Path{"r", name}), func([]byte) ([]byte, error) { return []byte(value), nil })
	}
	now := start
	for range 120 { // the other process goes on
		now = now.Add(time.Minute)
		other.AcquireAt(now, used, TokenMessage)
		syncAt(t, other, now)
	}
	l = loadAt(t, a, now)
	for end := now.Add(syncRenew); now.Before(end); {
		now = now.Add(time.Minute)
		other.AcquireAt(now, used, TokenMessage)
		syncAt(t, other, now)
		syncAt(t, l, now)
	}
	found := records(t, store)
	if len(found) != 2 || found[running] == nil || found[used] == nil {
		t.Errorf("%v", found)
	}
	if s := l.StateAt(now, used); s.Limits.MessagesPerConnection != 3 {
		t.Errorf("%+v", s)
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
	syncAt(t, l, now.Add(syncRenew))
	if found := records(t, config.Store); len(found) != 1 || found[example] == nil {
		t.Errorf("%v", found)
	}
	// And none of it for ever.
	now = start.Add(2 * time.Hour)
	l = loadAt(t, config, now)
	if syncAt(t, l, now.Add(syncRenew)); len(records(t, config.Store)) != 0 {
		t.Errorf("%v", records(t, config.Store))
	}
}

// No more paths are loaded than are kept.
func TestLoadIsBounded(t *testing.T) {
	store := NewMemoryStore()
	l := newLimiter(t, Config{Store: store})
	const n = 10
	for i := range n {
		l.ObserveAt(start, Path{"r", fmt.Sprintf("d%d.example", i)}, limited)
	}
	syncAt(t, l, start)
	l = loadAt(t, Config{Store: store, MaxPaths: 3}, start)
	stopped := 0
	for i := range n {
		if l.LookAt(start, Path{"r", fmt.Sprintf("d%d.example", i)}).Phase == PhaseStopped {
			stopped++
		}
	}
	if stopped != 3 {
		t.Errorf("%d stops are loaded", stopped)
	}
	if len(records(t, store)) != n {
		t.Errorf("%d records of %d are left", len(records(t, store)), n)
	}
}

// What could not be written is written when the store is back, and at the end.
func TestMemoryIsWrittenLater(t *testing.T) {
	ctx := context.Background()
	for name, write := range map[string]func(*Limiter, time.Time) error{
		"when the store is back": func(l *Limiter, now time.Time) error { _, err := l.SyncAt(ctx, now); return err },
		"at the end":             func(l *Limiter, now time.Time) error { return l.CloseAt(ctx, now) },
	} {
		store := &flaky{MemoryStore: NewMemoryStore()}
		l := newLimiter(t, Config{Store: store})
		l.ObserveAt(start, example, limited)
		store.set(true)
		if _, err := l.SyncAt(ctx, start); err == nil {
			t.Fatalf("%s: no error", name)
		}
		store.set(false)
		if err := write(l, start.Add(syncStates)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(records(t, store)) != 1 {
			t.Errorf("%s: not written", name)
		}
	}
}

// A process that ends writes what it learnt last.
func TestCloseWritesMemory(t *testing.T) {
	store := NewMemoryStore()
	l := newLimiter(t, Config{Store: store})
	syncAt(t, l, start)
	l.ObserveAt(start, example, limited)
	if err := l.CloseAt(context.Background(), start); err != nil {
		t.Fatal(err)
	}
	if len(records(t, store)) != 1 {
		t.Error("not written")
	}
}

// A record is taken up only as far as it can be true.
func TestRecall(t *testing.T) {
	reactions, err := NewReactions(ReactionsConfig{Reactions: []Reaction{{
		Name: "own/slow", Any: []string{"hs-18"}, MessageRate: Rate{1, time.Minute}, For: time.Hour,
		Match: []string{"421 hs-18"}, Miss: []string{"421 hs"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) int64 { return milli(start.Add(d)) }
	newState := func(used time.Duration, m memory) State {
		store := NewMemoryStore()
		m.Version, m.At = memoryVersion, at(0)
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		store.Update(context.Background(), memoryKey(example), func([]byte) ([]byte, error) { return data, nil })
		l := loadAt(t, Config{Store: store, Reactions: reactions, Idle: 5 * time.Hour, Limits: map[string]Limits{"example.com": {Connections: 8}}}, start)
		return l.StateAt(start.Add(used), example)
	}
	// Its writer's clock was ahead: it ramped already.
	stop := memory{Cause: SignalRateLimited, Until: at(time.Hour), Began: at(0), Length: time.Hour.Milliseconds(), Allowed: 4, Goal: 8}
	if s := newState(0, stop); s.Phase != PhaseStopped || s.Limits.Connections != 1 {
		t.Errorf("a running stop: %+v", s)
	}
	if s := newState(time.Hour, stop); s.Phase != PhaseRamping || s.Limits.Connections != 4 {
		t.Errorf("a stop that is over: %+v", s)
	}
	if s := newState(5*time.Hour, stop); s.Phase != PhaseOpen {
		t.Errorf("a stop that is over, after Idle: %+v", s)
	}
	crowded := memory{Connections: &memoryConnections{Most: 3, Top: 8, At: at(0), Wait: 1}}
	if s := newState(5*time.Hour-time.Second, crowded); s.Limits.Connections != 3 {
		t.Errorf("connections before Idle: %+v", s)
	}
	if s := newState(5*time.Hour, crowded); s.Limits.Connections != 8 {
		t.Errorf("connections after Idle: %+v", s)
	}
	for until, want := range map[time.Duration]Rate{time.Hour: {1, time.Minute}, time.Hour + time.Second: {}, -time.Second: {}} {
		m := memory{Imposed: map[string]int64{"own/slow": at(until), "own/gone": at(time.Hour)}}
		if s := newState(0, m); s.Limits.MessageRate != want {
			t.Errorf("a measure that ends after %v: %v", until, s.Limits.MessageRate)
		}
	}
	for until, want := range map[time.Duration]Phase{4 * time.Hour: PhaseStopped, 4*time.Hour + time.Second: PhaseOpen} {
		if s := newState(0, memory{Cause: SignalBlocked, Until: at(until), Allowed: 1, Goal: 8}); s.Phase != want {
			t.Errorf("a stop that ends after %v: %v", until, s)
		}
	}
}
