package throttle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What is learnt survives a restart: stops, lowered limits and the measures of reactions.
func TestMemoryOverRestart(t *testing.T) {
	store := NewMemoryStore()
	config := Config{Store: store, Limits: map[string]Limits{"example.com": {Connections: 8, MessagesPerConnection: 50, Recipients: 100, MessageRate: Rate{10, time.Second}}}}
	ctx := context.Background()
	l := newLimiter(t, config)
	stopped, lowered, yahoo, odd := Path{"mta1", "example.com"}, Path{"mta2", "example.com"}, Path{"mta1", "yahoo"}, Path{"50% off/Ünïcode", "example.com"}
	now := start
	for range 240 {
		now = now.Add(500 * time.Millisecond)
		l.ObserveAt(now, stopped, success)
	}
	l.ObserveAt(now, stopped, limited)
	l.ObserveAt(now, odd, limited)
	l.count(lowered, l.path(now, lowered), 6)
	l.ObserveAt(now, lowered, crowd)
	l.ObserveAt(now, lowered, Signal{Kind: SignalTooManyMessages, Messages: 20})
	l.ObserveAt(now, lowered, Signal{Kind: SignalTooManyRecipients, Recipients: 30})
	l.count(lowered, l.path(now, lowered), -6)
	l.ObserveAt(now, yahoo, replied(SignalOther, 421, "4.16.55 [TS02] Messages from 192.0.2.1 temporarily deferred due to user complaints"))
	if _, err := l.SyncAt(ctx, now); err != nil {
		t.Fatal(err)
	}
	want := map[Path]State{}
	for _, p := range []Path{stopped, lowered, yahoo, odd} {
		want[p] = l.StateAt(now, p)
	}
	if err := l.CloseAt(ctx, now); err != nil {
		t.Fatal(err)
	}
	l = newLimiter(t, config)
	if err := l.LoadAt(ctx, now); err != nil {
		t.Fatal(err)
	}
	for p, was := range want {
		is := l.StateAt(now, p)
		if is.Phase != was.Phase || !is.Until.Equal(was.Until) || is.Limits != was.Limits || is.Cause != was.Cause {
			t.Errorf("%v:\n%+v\nwas\n%+v", p, is, was)
		}
	}
	// What is over leaves the store, and what is too old is not taken up.
	now = now.Add(10 * time.Minute)
	for range 8 {
		l.ObserveAt(now, odd, success)
	}
	if _, err := l.SyncAt(ctx, now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	keys := 0
	store.Load(ctx, func(key string, _ []byte) error {
		keys++
		if key == memoryKey(odd) {
			t.Error("what is over is kept")
		}
		return nil
	})
	if keys != 3 {
		t.Errorf("%d records", keys)
	}
	l = newLimiter(t, config)
	if err := l.LoadAt(ctx, now.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if s := l.StateAt(now.Add(24*time.Hour), lowered); s.Limits != s.Configured {
		t.Errorf("a day later: %+v", s)
	}
}

// A record that cannot be read is told of, and the others are read.
func TestBrokenMemory(t *testing.T) {
	store := NewMemoryStore()
	ctx := context.Background()
	l := newLimiter(t, Config{Store: store})
	l.ObserveAt(start, example, limited)
	l.SyncAt(ctx, start)
	for key, value := range map[string]string{
		"path/a/broken": "{", "path/a/later": `{"v":2}`, "path/a": "{}", "path/%G1/x": "{}", "other": "x",
		"path/a/mad": `{"v":1,"at":1772366400000,"cause":"blocked","until":9999999999999,"connections":{"most":-3,"at":1772366400000},"pace":{"rate":-1,"base":0}}`,
	} {
		store.Update(ctx, key, func([]byte) ([]byte, error) { return []byte(value), nil })
	}
	l = newLimiter(t, Config{Store: store})
	if err := l.LoadAt(ctx, start); err == nil {
		t.Error("no error")
	}
	if s := l.StateAt(start, example); s.Phase != PhaseStopped {
		t.Errorf("%v", s)
	}
	if s := l.StateAt(start, Path{"a", "mad"}); s.Phase != PhaseOpen || s.Limits != s.Configured {
		t.Errorf("%+v", s)
	}
}

// process is one of several that share a store, in a bubble: it syncs by itself, and sends whenever it may.
type process struct {
	l    *Limiter
	stop chan struct{}
	wg   sync.WaitGroup
}

func startProcess(t *testing.T, owner string, store Store, config Config) *process {
	t.Helper()
	config.Store, config.Owner = store, owner
	p := &process{l: newLimiter(t, config), stop: make(chan struct{})}
	if err := p.l.LoadAt(context.Background(), time.Now()); err != nil {
		t.Fatal(err)
	}
	p.wg.Go(func() {
		for {
			next, _ := p.l.SyncAt(context.Background(), time.Now())
			timer := time.NewTimer(time.Until(next))
			select {
			case <-p.stop:
				return
			case <-p.l.SyncWanted():
			case <-timer.C:
			}
			timer.Stop()
		}
	})
	return p
}

func (p *process) end() {
	close(p.stop)
	p.wg.Wait()
	p.l.CloseAt(context.Background(), time.Now())
}

// send sends over a path whenever it may, for as long as told, and notes when.
func (p *process) send(key Path, until time.Time, note func(time.Time)) {
	p.wg.Go(func() {
		for now := time.Now(); now.Before(until); now = time.Now() {
			d := p.l.AcquireAt(now, key, TokenMessage)
			if d.OK {
				note(now)
				continue
			}
			time.Sleep(max(time.Millisecond, min(d.Until.Sub(now), time.Second)))
		}
	})
}

// sent are the times of messages.
type sent struct {
	mu    sync.Mutex
	times []time.Time
}

func (s *sent) note(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times = append(s.times, t)
}

func (s *sent) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.times)
}

// most is the most messages in any time of this length.
func (s *sent) most(window time.Duration) (n int) {
	slices.SortFunc(s.times, time.Time.Compare)
	for i, j := 0, 0; j < len(s.times); j++ {
		for s.times[j].Sub(s.times[i]) >= window {
			i++
		}
		n = max(n, j-i+1)
	}
	return n
}

// Four processes share a rate of 100 a second: together they send that, and not more.
func TestProcessesShareARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, all := NewMemoryStore(), &sent{}
		limits := map[string]Limits{"example.com": {MessageRate: Rate{100, time.Second}}}
		var ps []*process
		for i := range 4 {
			ps = append(ps, startProcess(t, fmt.Sprintf("p%d", i), store, Config{Limits: limits}))
		}
		began := time.Now()
		for i, p := range ps {
			end := began.Add(2 * time.Minute)
			if i == 3 { // one has nothing to send after a minute
				end = began.Add(time.Minute)
			}
			p.send(example, end, all.note)
		}
		time.Sleep(2*time.Minute + time.Second)
		for _, p := range ps {
			p.end()
		}
		settled := 0
		for _, at := range all.times {
			if at.Sub(began) >= 10*time.Second {
				settled++
			}
		}
		if rate := float64(settled) / 110; rate < 97 || rate > 103 {
			t.Errorf("%.1f a second", rate)
		}
		if n := all.most(10 * time.Second); n > 1050 {
			t.Errorf("%d within 10 seconds", n)
		}
		t.Logf("%.1f a second, at most %d within 10 seconds", float64(settled)/110, all.most(10*time.Second))
	})
}

// Three processes share ten connections and a cap: the sum is never above, each has some, and one that ends leaves its own to the others.
func TestProcessesShareConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := NewMemoryStore()
		config := Config{
			Limits:    map[string]Limits{"example.com": {Connections: 10}, "other.example": {Connections: 10}},
			Providers: map[string]Cap{"example.com": {Connections: 6}},
		}
		var ps []*process
		open := make([]map[Path]int, 3)
		for i := range 3 {
			ps = append(ps, startProcess(t, fmt.Sprintf("p%d", i), store, config))
			open[i] = map[Path]int{}
		}
		paths := []Path{{"a", "example.com"}, {"b", "example.com"}, {"a", "other.example"}}
		sum := func(of func(Path) bool) (n int) {
			for i := range open {
				for p, o := range open[i] {
					if of(p) {
						n += o
					}
				}
			}
			return n
		}
		running := []int{0, 1, 2}
		got := make([]map[Path]bool, 3)
		for i := range got {
			got[i] = map[Path]bool{}
		}
		for step := range 60_000 / 50 {
			if step == 600 {
				ps[0].end()
				running = running[1:]
				open[0] = nil
				clear(got[1])
			}
			for _, i := range running {
				for k, p := range paths {
					if open[i][p] > 0 && (step+i+k)%7 == 0 { // a connection ends
						open[i][p]--
						ps[i].l.ReleaseAt(time.Now(), p, TokenConnection)
					}
				}
				for k := range paths { // who asks first has it
					p := paths[(k+step/7)%len(paths)]
					if d := ps[i].l.AcquireAt(time.Now(), p, TokenConnection); d.OK {
						open[i][p]++
						got[i][p] = true
					}
				}
			}
			for _, p := range paths {
				if n := sum(func(q Path) bool { return q == p }); n > 10 {
					t.Fatalf("%d connections of %v", n, p)
				}
			}
			if n := sum(func(p Path) bool { return p.Provider == "example.com" }); n > 6 {
				t.Fatalf("%d connections under a cap of 6", n)
			}
			time.Sleep(50 * time.Millisecond)
		}
		for _, i := range running {
			for _, p := range paths {
				if !got[i][p] {
					t.Errorf("process %d never had one of %v", i, p)
				}
			}
		}
		if n := sum(func(p Path) bool { return p == paths[2] }); n < 9 {
			t.Errorf("%d of 10 connections are used", n)
		}
		for _, i := range running {
			ps[i].end()
		}
	})
}

// What a receiver tells one process stops the others within seconds.
func TestProcessesShareStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := NewMemoryStore()
		a, b := startProcess(t, "a", store, Config{}), startProcess(t, "b", store, Config{})
		for _, p := range []*process{a, b} {
			p.l.AcquireAt(time.Now(), example, TokenMessage)
		}
		time.Sleep(5 * time.Second)
		a.l.ObserveAt(time.Now(), example, limited)
		until := a.l.StateAt(time.Now(), example).Until
		time.Sleep(5 * time.Second)
		if s := b.l.StateAt(time.Now(), example); s.Phase != PhaseStopped || s.Until.Sub(until).Abs() > time.Second {
			t.Errorf("the other one is %v", s)
		}
		time.Sleep(time.Until(until))
		for _, p := range []*process{a, b} {
			if s := p.l.StateAt(time.Now(), example); s.Phase != PhaseRamping || s.Limits.Connections != 1 {
				t.Errorf("after the stop: %v", s)
			}
			for range 12 {
				p.l.ObserveAt(time.Now(), example, success)
			}
		}
		time.Sleep(10 * time.Second)
		for _, p := range []*process{a, b} { // nobody brings the stop back that is over
			if s := p.l.StateAt(time.Now(), example); s.Phase != PhaseOpen {
				t.Errorf("in the end: %v", s)
			}
			p.end()
		}
	})
}

// flaky is a store that can be away.
type flaky struct {
	*MemoryStore
	mu   sync.Mutex
	away bool
}

func (f *flaky) Update(ctx context.Context, key string, fn func([]byte) ([]byte, error)) error {
	f.mu.Lock()
	away := f.away
	f.mu.Unlock()
	if away {
		return errors.New("away")
	}
	return f.MemoryStore.Update(ctx, key, fn)
}

func (f *flaky) set(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
}

// While the store is away each process keeps to the share that it has.
func TestShareWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, all := &flaky{MemoryStore: NewMemoryStore()}, &sent{}
		limits := map[string]Limits{"example.com": {MessageRate: Rate{100, time.Second}}}
		a, b := startProcess(t, "a", store, Config{Limits: limits}), startProcess(t, "b", store, Config{Limits: limits})
		end := time.Now().Add(5 * time.Minute)
		a.send(example, end, all.note)
		b.send(example, end, all.note)
		time.Sleep(20 * time.Second)
		store.set(true)
		before := all.len()
		time.Sleep(3 * time.Minute)
		if rate := float64(all.len()-before) / 180; rate < 90 || rate > 103 {
			t.Errorf("%.1f a second without the store", rate)
		}
		store.set(false)
		time.Sleep(2 * time.Minute)
		a.end()
		b.end()
		if n := all.most(10 * time.Second); n > 1050 {
			t.Errorf("%d within 10 seconds", n)
		}
	})
}

// A message that waits for a share is refused with a time, and none for ever.
func TestOwnerIsChecked(t *testing.T) {
	for want, config := range map[string]Config{
		"throttle: Config.Owner: is set, but no Store": {Owner: "a"},
		"throttle: Config.Owner: owner":                {Owner: "a\n", Store: NewMemoryStore()},
		"throttle: Config.TTL: 1s is less than 2s":     {TTL: time.Second},
	} {
		if _, err := New(config); err == nil || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
			t.Errorf("want %s, got %v", want, err)
		}
	}
}
