package throttle

import (
	"strings"
	"testing"
	"time"
)

// replied is a signal with the text of a reply.
func replied(kind SignalKind, code int, text string) Signal {
	return Signal{Kind: kind, Code: code, Text: text, Domain: "example.net"}
}

// Reactions act beside what the signal does, count in true windows, and end.
func TestReactionsOfPaths(t *testing.T) {
	const tss04 = "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints"
	newYahoo := func(t *testing.T, changes *[]Change) (*Limiter, Path) {
		l := newLimiter(t, Config{
			Backoff:  Backoff{RateLimited: time.Second}, // so that the reactions can be told from the signal
			OnChange: func(c Change) { *changes = append(*changes, c) },
		})
		return l, Path{"mta1", "yahoo"}
	}
	t.Run("suspend", func(t *testing.T) {
		var changes []Change
		l, p := newYahoo(t, &changes)
		now := start
		l.ObserveAt(now, p, replied(SignalRateLimited, 421, tss04))
		now = now.Add(59 * time.Minute)
		l.ObserveAt(now, p, replied(SignalOther, 421, "4.7.0 [TSS99] something else"))
		s := l.StateAt(now, p)
		if s.Phase == PhaseStopped {
			t.Fatalf("after one: %v", s)
		}
		l.ObserveAt(now, p, replied(SignalRateLimited, 421, tss04))
		s = l.StateAt(now, p)
		if s.Phase != PhaseStopped || s.Until.Sub(now) != 2*time.Hour || s.Reason != ReasonSuspended {
			t.Fatalf("after two within an hour: %v", s)
		}
		last := changes[len(changes)-1]
		if last.Kind != ChangeStopped || last.Reaction != "yahoo/tss04" || last.Reply != tss04 || !last.Until.Equal(s.Until) {
			t.Errorf("told %+v", last)
		}
		if s = l.StateAt(s.Until, p); s.Phase != PhaseRamping || s.Limits.Connections != 1 {
			t.Errorf("after it: %v", s)
		}
	})
	t.Run("a true window", func(t *testing.T) {
		var changes []Change
		l, p := newYahoo(t, &changes)
		for i := range 10 {
			now := start.Add(time.Duration(i) * time.Hour)
			l.ObserveAt(now, p, replied(SignalRateLimited, 421, tss04))
			if s := l.StateAt(now.Add(time.Minute), p); s.Phase == PhaseStopped && s.Reason == ReasonSuspended {
				t.Fatalf("suspended by replies an hour apart: %v", s)
			}
		}
	})
	t.Run("what is under way counts once", func(t *testing.T) {
		var changes []Change
		l, p := newYahoo(t, &changes)
		for range 10 {
			l.ObserveAt(start, p, replied(SignalRateLimited, 421, tss04))
		}
		if s := l.StateAt(start, p); s.Until.Sub(start) > time.Second {
			t.Fatalf("ten at once: %v", s)
		}
	})
	t.Run("rate", func(t *testing.T) {
		var changes []Change
		l, p := newYahoo(t, &changes)
		l.ObserveAt(start, p, replied(SignalOther, 421, "4.16.55 [TS02] Messages from 192.0.2.1 temporarily deferred due to user complaints"))
		if r := l.StateAt(start, p).Limits.MessageRate; r != (Rate{1, time.Minute}) {
			t.Fatalf("%v", r)
		}
		now, sent := start, 0
		for range 29 * 60 {
			now = now.Add(time.Second)
			if d := l.AcquireAt(now, p, TokenMessage); d.OK {
				sent++
			} else if d.Reason != ReasonMessageRate || d.Until.Sub(now) > time.Minute {
				t.Fatalf("%+v", d)
			}
		}
		if sent != 29 {
			t.Errorf("%d messages in 29 minutes", sent)
		}
		now = start.Add(30 * time.Minute)
		for range 20 {
			now = now.Add(20 * time.Millisecond)
			if d := l.AcquireAt(now, p, TokenMessage); !d.OK {
				t.Fatalf("when it has ended: %+v", d)
			}
		}
	})
	t.Run("connections", func(t *testing.T) {
		l := newLimiter(t, Config{})
		p := Path{"mta1", "outlook"}
		l.count(p, l.path(start, p), 5)
		l.ObserveAt(start, p, replied(SignalTooManyConnections, 451, "4.7.652 The mail server [192.0.2.1] has exceeded the maximum number of connections. (S3115)"))
		if n := l.StateAt(start.Add(59*time.Minute), p).Limits.Connections; n != 1 {
			t.Errorf("%d connections", n)
		}
		if n := l.StateAt(start.Add(61*time.Minute), p).Limits.Connections; n < 3 {
			t.Errorf("%d connections an hour later", n)
		}
	})
	t.Run("domain", func(t *testing.T) {
		l := newLimiter(t, Config{})
		p := Path{"mta1", "comcast"}
		if l.LimitsDomainAt(start, "mta1", "example.net") {
			t.Fatal("limited at first")
		}
		l.ObserveAt(start, p, replied(SignalOther, 421, "resimta-a1 192.0.2.1 Try again later, or see RL000010"))
		if s := l.StateAt(start, p); s.Phase != PhaseOpen {
			t.Fatalf("the whole provider: %v", s)
		}
		if !l.LimitsDomainAt(start, "mta1", "example.net") || l.LimitsDomainAt(start, "mta1", "example.org") || l.LimitsDomainAt(start, "mta2", "example.net") {
			t.Fatal("the domain is not limited, or others are")
		}
		d := l.AcquireAt(start, DomainPath("mta1", "example.net"), TokenMessage)
		if d.OK || d.Until.Sub(start) != 5*time.Minute {
			t.Fatalf("%+v", d)
		}
		now := d.Until
		if d = l.AcquireAt(now, DomainPath("mta1", "example.net"), TokenMessage); !d.OK {
			t.Fatalf("%+v", d)
		}
		for range 20 {
			l.ObserveAt(now, DomainPath("mta1", "example.net"), success)
		}
		if l.LimitsDomainAt(now, "mta1", "example.net") {
			t.Error("limited for ever")
		}
	})
	t.Run("domains count apart", func(t *testing.T) {
		reactions, err := NewReactions(ReactionsConfig{Reactions: []Reaction{{
			Name: "own/full", Any: []string{"hs-17"}, Scope: ScopeDomain, Suspend: true, For: time.Hour, Trigger: Rate{3, time.Hour},
			Match: []string{"451 hs-17"}, Miss: []string{"451 hs"},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		l := newLimiter(t, Config{Reactions: reactions})
		reply := func(route, domain string) {
			l.ObserveAt(start, Path{route, "hoster.example"}, Signal{Kind: SignalOther, Code: 451, Text: "hs-17", Domain: domain})
		}
		stopped := func(route, domain string) bool {
			return l.StateAt(start, DomainPath(route, domain)).Phase == PhaseStopped
		}
		for range 2 {
			for _, domain := range []string{"a.example", "b.example", "c.example", ""} {
				reply("mta1", domain)
			}
			reply("mta2", "a.example")
		}
		for _, domain := range []string{"a.example", "b.example", "c.example"} {
			if stopped("mta1", domain) || l.LimitsDomainAt(start, "mta1", domain) {
				t.Errorf("%s has two of three, and is stopped", domain)
			}
		}
		reply("mta1", "a.example")
		if !stopped("mta1", "a.example") || !l.LimitsDomainAt(start, "mta1", "a.example") {
			t.Error("a.example has three, and is not stopped")
		}
		if stopped("mta1", "b.example") || stopped("mta2", "a.example") {
			t.Error("others are stopped with it")
		}
	})
	t.Run("a domain longer than Idle", func(t *testing.T) {
		l := newLimiter(t, Config{Idle: time.Minute})
		l.ObserveAt(start, Path{"mta1", "comcast"}, replied(SignalOther, 421, "resimta-a1 192.0.2.1 Try again later, or see RL000010"))
		now := start.Add(4 * time.Minute)
		l.AcquireAt(now, example, TokenMessage)
		if !l.LimitsDomainAt(now, "mta1", "Example.Net") {
			t.Error("a running stop is forgotten")
		}
		if now = start.Add(10 * time.Minute); l.LimitsDomainAt(now, "mta1", "example.net") {
			t.Error("limited for ever")
		}
	})
	t.Run("none", func(t *testing.T) {
		l := newLimiter(t, Config{Reactions: &Reactions{}, Backoff: Backoff{RateLimited: time.Second}})
		for i := range 3 {
			l.ObserveAt(start.Add(time.Duration(i)*time.Minute), Path{"mta1", "yahoo"}, replied(SignalRateLimited, 421, tss04))
		}
		if s := l.StateAt(start.Add(time.Hour), Path{"mta1", "yahoo"}); s.Phase == PhaseStopped {
			t.Errorf("%v", s)
		}
	})
}

// Change.String has all that is known.
func TestChangeString(t *testing.T) {
	c := Change{Path: Path{"mta1", "yahoo"}, Kind: ChangeLowered, Cause: SignalRateLimited, Reaction: "yahoo/ts02", Until: start, Detail: "message rate: 1/m"}
	if got, want := c.String(), "mta1/yahoo: lowered (rate-limited) by yahoo/ts02 until 2026-03-01T12:00:00Z: message rate: 1/m"; got != want {
		t.Errorf("%s\n%s", got, want)
	}
	if !strings.HasPrefix((Change{Kind: ChangeOpened}).String(), "/: opened") {
		t.Error("opened")
	}
}
