package throttle

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Slow caps of routes and of providers together: each path gets its part.
func TestSlowCapsMeet(t *testing.T) {
	perHour := Cap{MessageRate: Rate{500, time.Hour}}
	l := with(t, Limits{}, Config{
		Limits:    map[string]Limits{"google": {}, "yahoo": {}},
		Routes:    map[string]Cap{"a": perHour, "b": perHour},
		Providers: map[string]Cap{"google": perHour, "yahoo": perHour},
	})
	paths := []Path{{"a", "google"}, {"a", "yahoo"}, {"b", "google"}, {"b", "yahoo"}}
	sent, next := map[Path]int{}, map[Path]time.Time{}
	for now := start; now.Before(start.Add(4 * time.Hour)); now = now.Add(100 * time.Millisecond) {
		for _, p := range paths {
			if now.Before(next[p]) {
				continue
			}
			if d := l.AcquireAt(now, p, TokenMessage); d.OK {
				sent[p]++
			} else {
				next[p] = d.Until
			}
		}
	}
	for _, p := range paths {
		if sent[p] < 900 || sent[p] > 1100 {
			t.Errorf("%v: %d of the 1000 that are its part", p, sent[p])
		}
	}
}

// What a receiver said of a recipient domain is told of that, and outlives the process.
func TestDomainStopOverRestart(t *testing.T) {
	var told []Change
	config := Config{Store: NewMemoryStore(), OnChange: func(c Change) { told = append(told, c) }}
	ctx, p := context.Background(), Path{"mta1", "comcast"}
	l := newLimiter(t, config)
	l.ObserveAt(start, p, replied(SignalOther, 421, "resimta-a1 192.0.2.1 Try again later, or see RL000010"))
	if len(told) != 1 || told[0].Path != DomainPath("mta1", "example.net") {
		t.Errorf("told %+v", told)
	}
	if _, err := l.SyncAt(ctx, start); err != nil {
		t.Fatal(err)
	}
	l = newLimiter(t, config)
	if err := l.LoadAt(ctx, start); err != nil {
		t.Fatal(err)
	}
	now := start.Add(time.Minute)
	if !l.LimitsDomainAt(now, "mta1", "example.net") || l.LimitsDomainAt(now, "mta1", "example.org") {
		t.Error("the domain is not limited any more, or another one is")
	}
	if d := l.AcquireAt(now, DomainPath("mta1", "example.net"), TokenMessage); d.OK {
		t.Error("the stop is forgotten")
	}
}

// A reaction may stop a path for longer than any back-off does; that outlives the process too.
func TestLongStopOverRestart(t *testing.T) {
	reactions, err := NewReactions(ReactionsConfig{Reactions: []Reaction{{
		Name: "own/rest", Any: []string{"rest until tomorrow"}, Suspend: true, For: 24 * time.Hour,
		Match: []string{"421 rest until tomorrow"}, Miss: []string{"421 rest"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Store: NewMemoryStore(), Reactions: reactions}
	l := newLimiter(t, config)
	l.ObserveAt(start, example, replied(SignalOther, 421, "rest until tomorrow"))
	if _, err := l.SyncAt(context.Background(), start); err != nil {
		t.Fatal(err)
	}
	l = newLimiter(t, config)
	if err := l.LoadAt(context.Background(), start); err != nil {
		t.Fatal(err)
	}
	if s := l.StateAt(start.Add(23*time.Hour), example); s.Phase != PhaseStopped {
		t.Errorf("%v", s)
	}
}

// Two processes that both want all connections have half of them each, also when the first one had all.
func TestSharedConnectionsAreFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := NewMemoryStore()
		config := Config{Limits: map[string]Limits{"example.com": {Connections: 10}}}
		a := startProcess(t, "a", store, config)
		var b *process
		open := [2]int{}
		for step := range 2400 {
			if step == 400 {
				b = startProcess(t, "b", store, config)
			}
			for i, p := range []*process{a, b} {
				if p == nil {
					continue
				}
				if open[i] > 0 && step%5 == 0 { // a connection ends
					open[i]--
					p.l.ReleaseAt(time.Now(), example, TokenConnection)
				}
				for p.l.AcquireAt(time.Now(), example, TokenConnection).OK {
					open[i]++
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
		if open[0] < 4 || open[1] < 4 || open[0]+open[1] > 10 {
			t.Errorf("%d and %d of 10 connections", open[0], open[1])
		}
		a.end()
		b.end()
	})
}

// A clock that is set back stops no shares.
func TestSharesAfterTheClockWasSetBack(t *testing.T) {
	l := newLimiter(t, Config{Store: NewMemoryStore(), Owner: "a", Limits: map[string]Limits{"example.com": {MessageRate: Rate{10, time.Second}}}})
	send := func(now time.Time) (n int) {
		for range 100 {
			now = now.Add(100 * time.Millisecond)
			if _, err := l.SyncAt(context.Background(), now); err != nil {
				t.Fatal(err)
			}
			if l.AcquireAt(now, example, TokenMessage).OK {
				n++
			}
		}
		return n
	}
	if n := send(start); n < 80 {
		t.Fatalf("%d in ten seconds", n)
	}
	if n := send(start.Add(-time.Hour)); n < 60 {
		t.Errorf("%d in the ten seconds after the clock was set back", n)
	}
}

// Another process's looser limit does not lift one's own.
func TestLearntLimitsAreEachProcessesOwn(t *testing.T) {
	store, ctx := NewMemoryStore(), context.Background()
	limits := map[string]Limits{"example.com": {MessageRate: Rate{100, time.Second}}}
	a := newLimiter(t, Config{Store: store, Owner: "a", Limits: limits})
	b := newLimiter(t, Config{Store: store, Owner: "b", Limits: limits})
	now := start
	for i, l := range []*Limiter{b, a} {
		for range 600 * (1 - i) * 10 { // b had sent much more when it was told
			l.ObserveAt(now, example, success)
			now = now.Add(10 * time.Millisecond)
		}
		for range 240 {
			l.ObserveAt(now, example, success)
			now = now.Add(250 * time.Millisecond)
		}
		l.ObserveAt(now, example, limited)
		l.SyncAt(ctx, now)
		now = now.Add(10 * time.Minute)
	}
	before := a.StateAt(now, example).Limits.MessageRate
	b.ObserveAt(now.Add(time.Minute), example, success)
	b.SyncAt(ctx, now.Add(time.Minute))
	a.SyncAt(ctx, now.Add(2*time.Minute))
	if after := a.StateAt(now.Add(2*time.Minute), example).Limits.MessageRate; after != before {
		t.Errorf("%v became %v", before, after)
	}
}

// TestSurplus: a decision says how many connections are too many, those above a share of none among them.
func TestSurplus(t *testing.T) {
	l := with(t, Limits{Connections: 8}, Config{})
	for range 8 {
		l.AcquireAt(start, example, TokenConnection)
	}
	if d := l.AcquireAt(start, example, TokenMessage); d.Surplus != 0 {
		t.Errorf("%+v", d)
	}
	l.ObserveAt(start, example, Signal{Kind: SignalTooManyConnections})
	if d := l.AcquireAt(start.Add(time.Second), example, TokenMessage); d.Surplus != 8-d.Limits.Connections || d.Surplus < 1 {
		t.Errorf("after a refusal: %+v", d)
	}
	store := NewMemoryStore()
	var ls []*Limiter
	for _, owner := range []string{"a", "b"} {
		ls = append(ls, newLimiter(t, Config{Store: store, Owner: owner, Limits: map[string]Limits{"example.com": {Connections: 1}}}))
	}
	open, has := [2]int{}, [2]int{}
	for i := range 2400 {
		now := start.Add(time.Duration(i) * 250 * time.Millisecond)
		for j, l := range ls {
			if _, err := l.SyncAt(context.Background(), now); err != nil {
				t.Fatal(err)
			}
			if open[j] == 0 && l.AcquireAt(now, example, TokenConnection).OK {
				open[j]++
			}
			if open[j] > 0 {
				has[j]++
				if d := l.AcquireAt(now, example, TokenMessage); d.Surplus > 0 {
					l.ReleaseAt(now, example, TokenConnection)
					open[j]--
				}
			}
			if open[0]+open[1] > 1 {
				t.Fatalf("%v are open at a time", open)
			}
		}
	}
	if has[0] < 800 || has[1] < 800 {
		t.Errorf("the two had the connection for %v of 2400 steps", has)
	}
}

// Processes have the limits of a recipient domain together, too.
func TestExceptionIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, err := NewTable(TableConfig{Exceptions: []Exception{{Domain: "school.example", Limits: Limits{Connections: 2, MessageRate: Rate{10, time.Second}}}}})
		if err != nil {
			t.Fatal(err)
		}
		store, school := NewMemoryStore(), DomainPath("mta1", "school.example")
		var ps []*process
		all, open, end := &sent{}, 0, time.Now().Add(2*time.Minute)
		for _, owner := range []string{"a", "b", "c", "d"} {
			p := startProcess(t, owner, store, Config{Table: table})
			ps = append(ps, p)
			p.send(school, end, all.note)
		}
		time.Sleep(30 * time.Second)
		for range 100 {
			for _, p := range ps {
				if p.l.AcquireAt(time.Now(), school, TokenConnection).OK {
					open++
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Until(end) + time.Second)
		for _, p := range ps {
			p.end()
		}
		if open != 2 {
			t.Errorf("%d connections, want 2", open)
		}
		if n := all.most(10 * time.Second); n > 105 || all.len() < 1100 {
			t.Errorf("%d in two minutes and %d in ten seconds, at 10 a second", all.len(), n)
		}
	})
}
