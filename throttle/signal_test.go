package throttle

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// step is one moment in the life of a path: take and release connections, then one signal, then what the path allows.
type step struct {
	at     time.Duration // since start
	open   int           // connections to have open at the signal; as before when 0, none when -1
	signal Signal
	phase  Phase
	// allowed is Limits.Connections after the signal, messages is Limits.MessagesPerConnection; not looked at when 0.
	allowed, messages int
	until             time.Duration // end of the stop, since start
}

var (
	success   = Signal{Kind: SignalSuccess}
	limited   = Signal{Kind: SignalRateLimited}
	blocked   = Signal{Kind: SignalBlocked}
	crowd     = Signal{Kind: SignalTooManyConnections}
	tooMany   = Signal{Kind: SignalTooManyMessages}
	netFail   = Signal{Kind: SignalNetworkFailure}
	grey      = Signal{Kind: SignalGreylisted}
	other     = Signal{Kind: SignalOther}
	limitedIn = func(d time.Duration) Signal { return Signal{Kind: SignalRateLimited, RetryAfter: d} }
	began     = func(s Signal, at time.Duration) Signal { s.Began = start.Add(at); return s }
)

const m, h = time.Minute, time.Hour

func TestSignals(t *testing.T) {
	for _, c := range []struct {
		name    string
		limits  Limits // Defaults to 5 connections of 50 messages.
		backoff Backoff
		steps   []step
	}{
		{name: "success and other while open", steps: []step{
			{0, 1, success, PhaseOpen, 5, 50, 0},
			{0, 0, other, PhaseOpen, 5, 50, 0},
			{0, 0, grey, PhaseOpen, 5, 50, 0},
			{0, 0, netFail, PhaseOpen, 5, 50, 0},
			{0, 0, blocked, PhaseOpen, 5, 50, 0},
		}},
		{name: "the published recipe", steps: []step{
			{1 * m, 0, limited, PhaseStopped, 1, 0, 11 * m},
			{11 * m, 0, success, PhaseRamping, 2, 0, 11 * m},
			{11 * m, 0, success, PhaseRamping, 3, 0, 11 * m},
			{12 * m, 0, success, PhaseRamping, 4, 0, 11 * m},
			{13 * m, 0, success, PhaseOpen, 5, 0, 0},
			{14 * m, 0, limited, PhaseStopped, 1, 0, 24 * m}, // It came back whole, so it starts over.
		}},
		{name: "again while it ramps: twice as long, up to four hours", steps: []step{
			{0, 0, limited, PhaseStopped, 1, 0, 10 * m},
			{10 * m, 0, limited, PhaseStopped, 1, 0, 30 * m},
			{30 * m, 0, success, PhaseRamping, 2, 0, 30 * m},
			{30 * m, 0, limited, PhaseStopped, 1, 0, 70 * m},
			{70 * m, 0, limited, PhaseStopped, 1, 0, 150 * m},
			{150 * m, 0, limited, PhaseStopped, 1, 0, 310 * m},
			{310 * m, 0, limited, PhaseStopped, 1, 0, 550 * m},
			{550 * m, 0, limited, PhaseStopped, 1, 0, 790 * m},
		}},
		{name: "signals of messages under way", steps: []step{
			{0, 0, limited, PhaseStopped, 1, 0, 10 * m},
			{1 * m, 0, limited, PhaseStopped, 1, 0, 10 * m},
			{2 * m, 0, success, PhaseStopped, 1, 0, 10 * m},
			{2 * m, 0, netFail, PhaseStopped, 1, 0, 10 * m},
			{2 * m, 0, crowd, PhaseStopped, 1, 0, 10 * m},
			{9 * m, 0, limited, PhaseStopped, 1, 0, 10 * m},
			{11 * m, 0, began(limited, 0), PhaseRamping, 1, 0, 10 * m},
			{11 * m, 0, began(success, 9*m), PhaseRamping, 1, 0, 10 * m},
			{11 * m, 0, began(success, 10*m), PhaseRamping, 2, 0, 10 * m},
			{12 * m, 0, began(limited, 11*m), PhaseStopped, 1, 0, 32 * m},
		}},
		{name: "what the reply asks for", steps: []step{
			{0, 0, limitedIn(5 * m), PhaseStopped, 1, 0, 10 * m},
			{1 * m, 0, limitedIn(5 * m), PhaseStopped, 1, 0, 10 * m},
			{1 * m, 0, limitedIn(30 * m), PhaseStopped, 1, 0, 31 * m},
			{31 * m, 0, limitedIn(3 * h), PhaseStopped, 1, 0, 31*m + 3*h},
			{31*m + 3*h, 0, limitedIn(100 * h), PhaseStopped, 1, 0, 31*m + 7*h},
			{31*m + 7*h, 0, limitedIn(-h), PhaseStopped, 1, 0, 31*m + 11*h},
		}},
		{name: "a path of one connection", limits: Limits{Connections: 1}, steps: []step{
			{0, 0, limited, PhaseStopped, 1, 0, 10 * m},
			{10 * m, 0, limited, PhaseStopped, 1, 0, 30 * m},
			{30 * m, 0, success, PhaseOpen, 1, 0, 0},
		}},
		{name: "an unlimited path ramps to what it had", limits: Limits{TLS: TLSRequired}, steps: []step{
			{0, 12, limited, PhaseStopped, 1, 0, 10 * m},
			{10 * m, -1, success, PhaseRamping, 2, 0, 10 * m},
			{10 * m, 0, success, PhaseRamping, 3, 0, 10 * m},
			{10 * m, 0, success, PhaseRamping, 4, 0, 10 * m},
			{10 * m, 0, success, PhaseRamping, 5, 0, 10 * m},
			{10 * m, 0, success, PhaseRamping, 6, 0, 10 * m},
			{10 * m, 0, success, PhaseRamping, 7, 0, 10 * m},
			{10 * m, 0, success, PhaseRamping, 8, 0, 10 * m},
			{10 * m, 0, success, PhaseRamping, 9, 0, 10 * m},
			{10 * m, 0, success, PhaseRamping, 10, 0, 10 * m},
			{10 * m, 0, success, PhaseRamping, 11, 0, 10 * m},
			{10 * m, 0, success, PhaseOpen, 0, 0, 0},
		}},
		{name: "two blocks in a row", steps: []step{
			{0, 0, success, PhaseOpen, 5, 0, 0},
			{1 * m, 0, blocked, PhaseOpen, 5, 0, 0},
			{2 * m, 0, other, PhaseOpen, 5, 0, 0},
			{2 * m, 0, blocked, PhaseStopped, 1, 0, 2*h + 2*m},
			{3 * m, 0, blocked, PhaseStopped, 1, 0, 2*h + 2*m},
			{3 * m, 0, blocked, PhaseStopped, 1, 0, 2*h + 2*m},
			{2*h + 2*m, 0, success, PhaseRamping, 2, 0, 2*h + 2*m},
			{2*h + 3*m, 0, blocked, PhaseStopped, 1, 0, 6*h + 3*m},
			{6*h + 3*m, 0, blocked, PhaseStopped, 1, 0, 10*h + 3*m},
			{10*h + 3*m, 0, success, PhaseRamping, 2, 0, 10*h + 3*m},
			{10*h + 3*m, 0, success, PhaseRamping, 3, 0, 10*h + 3*m},
			{10*h + 3*m, 0, success, PhaseRamping, 4, 0, 10*h + 3*m},
			{10*h + 3*m, 0, success, PhaseOpen, 5, 0, 0},
		}},
		{name: "a row of blocks ends after an hour", steps: []step{
			{0, 0, blocked, PhaseOpen, 5, 0, 0},
			{60 * m, 0, blocked, PhaseOpen, 5, 0, 0},
			{119 * m, 0, blocked, PhaseStopped, 1, 0, 239 * m},
		}},
		{name: "five blocks within an hour", steps: []step{
			{0, 0, blocked, PhaseOpen, 5, 0, 0},
			{1 * m, 0, success, PhaseOpen, 5, 0, 0},
			{15 * m, 0, blocked, PhaseOpen, 5, 0, 0},
			{16 * m, 0, success, PhaseOpen, 5, 0, 0},
			{30 * m, 0, blocked, PhaseOpen, 5, 0, 0},
			{31 * m, 0, success, PhaseOpen, 5, 0, 0},
			{45 * m, 0, blocked, PhaseOpen, 5, 0, 0},
			{46 * m, 0, success, PhaseOpen, 5, 0, 0},
			{60 * m, 0, blocked, PhaseOpen, 5, 0, 0}, // The first is an hour old and out of the window.
			{61 * m, 0, success, PhaseOpen, 5, 0, 0},
			{74 * m, 0, blocked, PhaseStopped, 1, 0, 194 * m},
		}},
		{name: "a stop ends the count of blocks within an hour", steps: []step{
			{0, 0, blocked, PhaseOpen, 5, 0, 0},
			{1 * m, 0, success, PhaseOpen, 5, 0, 0},
			{2 * m, 0, blocked, PhaseOpen, 5, 0, 0},
			{3 * m, 0, success, PhaseOpen, 5, 0, 0},
			{4 * m, 0, blocked, PhaseOpen, 5, 0, 0},
			{5 * m, 0, success, PhaseOpen, 5, 0, 0},
			{6 * m, 0, blocked, PhaseOpen, 5, 0, 0},
			{7 * m, 0, limited, PhaseStopped, 1, 0, 17 * m},
			{17 * m, 0, success, PhaseRamping, 2, 0, 17 * m},
			{18 * m, 0, blocked, PhaseRamping, 2, 0, 17 * m},
		}},
		{name: "a stop ends a row of blocks", steps: []step{
			{0, 0, blocked, PhaseOpen, 5, 0, 0},
			{1 * m, 0, limited, PhaseStopped, 1, 0, 11 * m},
			{11 * m, 0, blocked, PhaseRamping, 1, 0, 11 * m},
			{12 * m, 0, blocked, PhaseStopped, 1, 0, 2*h + 12*m},
		}},
		{name: "blocks turn a backoff into a suspension", steps: []step{
			{0, 0, limited, PhaseStopped, 1, 0, 10 * m},
			{1 * m, 0, blocked, PhaseStopped, 1, 0, 10 * m},
			{2 * m, 0, blocked, PhaseStopped, 1, 0, 2*h + 2*m},
			{2*h + 2*m, 0, success, PhaseRamping, 2, 0, 2*h + 2*m},
		}},
		{name: "a rate limit after a suspension does not shorten anything", steps: []step{
			{0, 0, blocked, PhaseOpen, 5, 0, 0},
			{0, 0, blocked, PhaseStopped, 1, 0, 2 * h},
			{1 * h, 0, limited, PhaseStopped, 1, 0, 2 * h},
			{2 * h, 0, limited, PhaseStopped, 1, 0, 2*h + 10*m},
			{2*h + 10*m, 0, success, PhaseRamping, 2, 0, 2*h + 10*m},
		}},
		{name: "too many connections", steps: []step{
			{0, 5, crowd, PhaseOpen, 4, 0, 0},
			{0, 4, crowd, PhaseOpen, 3, 0, 0},
			{0, 4, crowd, PhaseOpen, 3, 0, 0}, // More are open than the ceiling: nothing new.
			{9 * m, 3, success, PhaseOpen, 3, 0, 0},
			{9 * m, 3, success, PhaseOpen, 3, 0, 0},
			{9 * m, 3, success, PhaseOpen, 3, 0, 0}, // As many as connections, and too early.
			{10 * m, 3, success, PhaseOpen, 4, 0, 0},
			{10 * m, 4, crowd, PhaseOpen, 3, 0, 0}, // The receiver meant it: the next try comes after twice the time.
			{29 * m, 3, success, PhaseOpen, 3, 0, 0},
			{29 * m, 3, success, PhaseOpen, 3, 0, 0},
			{29 * m, 3, success, PhaseOpen, 3, 0, 0},
			{30 * m, 3, success, PhaseOpen, 4, 0, 0},
			{50 * m, 4, success, PhaseOpen, 4, 0, 0},
			{50 * m, 4, success, PhaseOpen, 4, 0, 0},
			{50 * m, 4, success, PhaseOpen, 4, 0, 0},
			{50 * m, 4, success, PhaseOpen, 5, 0, 0},
		}},
		{name: "too many connections with a single one", steps: []step{
			{0, 1, crowd, PhaseStopped, 1, 0, 1 * m},
			{1 * m, 0, crowd, PhaseStopped, 1, 0, 3 * m},
			{3 * m, 0, crowd, PhaseStopped, 1, 0, 7 * m},
			{7 * m, 0, crowd, PhaseStopped, 1, 0, 15 * m},
			{15 * m, 0, crowd, PhaseStopped, 1, 0, 31 * m},
			{31 * m, 0, crowd, PhaseStopped, 1, 0, 61 * m},
			{61 * m, 0, crowd, PhaseStopped, 1, 0, 91 * m},
			{91 * m, 0, success, PhaseRamping, 2, 0, 91 * m},
		}},
		{name: "too many connections on an unlimited path", limits: Limits{MessagesPerConnection: 50}, steps: []step{
			{0, 20, crowd, PhaseOpen, 19, 0, 0},
			{1 * h, 0, other, PhaseOpen, 19, 50, 0},
		}},
		{name: "connections that fail while others work", steps: []step{
			{0, 5, netFail, PhaseOpen, 5, 0, 0}, // Nothing worked lately: it may be the network.
			{0, 0, success, PhaseOpen, 5, 0, 0},
			{1 * m, 5, netFail, PhaseOpen, 4, 0, 0}, // The first one counts at once,
			{2 * m, 4, success, PhaseOpen, 4, 0, 0},
			{2 * m, 4, netFail, PhaseOpen, 4, 0, 0}, // and then a row of as many as are allowed.
			{2 * m, 4, netFail, PhaseOpen, 4, 0, 0},
			{2 * m, 4, netFail, PhaseOpen, 4, 0, 0},
			{2 * m, 4, netFail, PhaseOpen, 3, 0, 0},
			{2 * m, 3, netFail, PhaseOpen, 3, 0, 0},
			{2 * m, 3, netFail, PhaseOpen, 3, 0, 0},
			{2 * m, 3, netFail, PhaseOpen, 3, 0, 0}, // Once a minute at most.
			{3 * m, 3, netFail, PhaseOpen, 2, 0, 0},
		}},
		{name: "closed without a word", steps: []step{
			{0, 0, Signal{Kind: SignalClosed, Messages: 20}, PhaseOpen, 5, 50, 0},
			{1 * m, 0, Signal{Kind: SignalClosed, Messages: 7}, PhaseOpen, 5, 50, 0},
			{2 * m, 0, Signal{Kind: SignalClosed, Messages: 20}, PhaseOpen, 5, 50, 0},
			{62 * m, 0, Signal{Kind: SignalClosed, Messages: 20}, PhaseOpen, 5, 50, 0}, // An hour later is another day.
			{63 * m, 0, Signal{Kind: SignalClosed}, PhaseOpen, 5, 50, 0},
			{64 * m, 0, Signal{Kind: SignalClosed, Messages: 20}, PhaseOpen, 5, 20, 0},
			{25*h + 4*m, 0, other, PhaseOpen, 5, 50, 0},
		}},
		{name: "too many messages", steps: []step{
			{0, 0, tooMany, PhaseOpen, 5, 25, 0},
			{30 * time.Second, 0, tooMany, PhaseOpen, 5, 25, 0},
			{1 * m, 0, tooMany, PhaseOpen, 5, 12, 0},
			{2 * m, 0, Signal{Kind: SignalTooManyMessages, Messages: 10}, PhaseOpen, 5, 10, 0},
			{24*h + 1*m, 0, other, PhaseOpen, 5, 10, 0},
			{24*h + 2*m, 0, other, PhaseOpen, 5, 50, 0},
		}},
		{name: "too many messages on an unlimited path", limits: Limits{Connections: 5}, steps: []step{
			{0, 0, tooMany, PhaseOpen, 5, 50, 0},
			{10 * m, 0, Signal{Kind: SignalTooManyMessages, Messages: 1}, PhaseOpen, 5, 1, 0},
			{20 * m, 0, tooMany, PhaseOpen, 5, 1, 0},
		}},
		{name: "the network", backoff: Backoff{FailuresInRow: 3}, steps: []step{
			{0, 0, netFail, PhaseOpen, 5, 0, 0},
			{0, 0, netFail, PhaseOpen, 5, 0, 0},
			{0, 0, other, PhaseOpen, 5, 0, 0}, // Any reply is proof of a network.
			{0, 0, netFail, PhaseOpen, 5, 0, 0},
			{0, 0, netFail, PhaseOpen, 5, 0, 0},
			{0, 0, netFail, PhaseStopped, 1, 0, 5 * m},
			{5 * m, 0, netFail, PhaseStopped, 1, 0, 15 * m},
			{15 * m, 0, netFail, PhaseStopped, 1, 0, 35 * m},
			{35 * m, 0, netFail, PhaseStopped, 1, 0, 65 * m},
			{65 * m, 0, netFail, PhaseStopped, 1, 0, 95 * m},
			{95 * m, 0, success, PhaseRamping, 2, 0, 95 * m},
			{96 * m, 0, netFail, PhaseStopped, 1, 0, 126 * m},
		}},
		{name: "the network while it ramps after a rate limit", backoff: Backoff{FailuresInRow: 2}, steps: []step{
			{0, 0, limited, PhaseStopped, 1, 0, 10 * m},
			{10 * m, 0, netFail, PhaseRamping, 1, 0, 10 * m},
			{10 * m, 0, netFail, PhaseStopped, 1, 0, 15 * m},
		}},
		{name: "other durations", backoff: Backoff{RateLimited: m, Blocked: 2 * m, BlocksInRow: 1, Max: 3 * m}, steps: []step{
			{0, 0, limited, PhaseStopped, 1, 0, 1 * m},
			{1 * m, 0, limitedIn(h), PhaseStopped, 1, 0, 4 * m},
			{4 * m, 0, blocked, PhaseStopped, 1, 0, 6 * m},
			{6 * m, 0, blocked, PhaseStopped, 1, 0, 9 * m},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.limits == (Limits{}) {
				c.limits = Limits{Connections: 5, MessagesPerConnection: 50}
			}
			if c.backoff.Max != 0 && c.backoff.Network == 0 {
				c.backoff.Network = c.backoff.Max
			}
			l := with(t, c.limits, Config{Backoff: c.backoff})
			open := 0
			for i, s := range c.steps {
				now := start.Add(s.at)
				want := s.open
				if want == 0 {
					want = open
				}
				for ; open > max(0, want); open-- {
					l.ReleaseAt(now, example, TokenConnection)
				}
				for ; open < want; open++ {
					// Not by AcquireAt: a test of refusals must be able to have more open than is allowed.
					l.count(example, l.path(now, example), 1)
				}
				l.ObserveAt(now, example, s.signal)
				got := l.StateAt(now, example)
				if got.Phase != s.phase {
					t.Fatalf("step %d, %s: phase %s, want %s\n%+v", i, s.signal.Kind, got.Phase, s.phase, got)
				}
				if s.allowed != 0 && got.Limits.Connections != s.allowed || s.messages != 0 && got.Limits.MessagesPerConnection != s.messages {
					t.Fatalf("step %d, %s: %d connections, %d messages per connection, want %d and %d",
						i, s.signal.Kind, got.Limits.Connections, got.Limits.MessagesPerConnection, s.allowed, s.messages)
				}
				var until time.Duration
				if !got.Until.IsZero() {
					until = got.Until.Sub(start)
				}
				if until != s.until {
					t.Fatalf("step %d, %s: until %v, want %v", i, s.signal.Kind, until, s.until)
				}
				if got.Phase == PhaseStopped {
					for _, token := range []Token{TokenConnection, TokenMessage} {
						if d := l.AcquireAt(now, example, token); d.OK || d.Reason != got.Reason || !d.Until.Equal(got.Until) {
							t.Fatalf("step %d: %s while stopped: %+v", i, token, d)
						}
					}
				}
			}
		})
	}
}

// Sessions that were open before a stop send nothing until no more are left than the ramp allows.
func TestRampHoldsOldSessions(t *testing.T) {
	l := with(t, Limits{Connections: 3}, Config{})
	for range 3 {
		l.AcquireAt(start, example, TokenConnection)
	}
	l.ObserveAt(start, example, limited)
	now := start.Add(10 * m)
	if d := l.AcquireAt(now, example, TokenMessage); d.OK || d.Reason != ReasonConnections || d.Limits.Connections != 1 {
		t.Fatalf("three open, one allowed: %+v", d)
	}
	l.ReleaseAt(now, example, TokenConnection)
	l.ReleaseAt(now, example, TokenConnection)
	if d := l.AcquireAt(now, example, TokenMessage); !d.OK {
		t.Fatalf("one open, one allowed: %+v", d)
	}
	if d := l.AcquireAt(now, example, TokenConnection); d.OK {
		t.Fatal("a second connection while one is allowed")
	}
	l.ObserveAt(now, example, success)
	if d := l.AcquireAt(now, example, TokenConnection); !d.OK {
		t.Fatalf("after a success: %+v", d)
	}
}

// Whatever comes, in whatever order: a stop never ends earlier than it was said to, is never longer than Max from the
// last signal, and between signals the path changes only for the better.
func TestSignalProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Backoff
		if err := b.validate(); err != nil {
			t.Fatal(err)
		}
		limits := Limits{Connections: rapid.IntRange(0, 20).Draw(t, "connections"), MessagesPerConnection: rapid.IntRange(0, 100).Draw(t, "messages")}
		if n := rapid.IntRange(0, 1000).Draw(t, "messages a minute"); n > 0 {
			limits.MessageRate = Rate{N: n, Per: time.Minute}
		}
		p := &path{limits: limits, seen: start}
		now := start
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30*60).Draw(t, "seconds")) * time.Second)
			p.open = rapid.IntRange(0, 20).Draw(t, "open")
			s := Signal{
				Kind:       rapid.SampledFrom(SignalKinds()).Draw(t, "kind"),
				RetryAfter: time.Duration(rapid.IntRange(-10, 600).Draw(t, "retry after")) * time.Minute,
			}
			if rapid.Bool().Draw(t, "began known") {
				s.Began = now.Add(-time.Duration(rapid.IntRange(0, 3600).Draw(t, "began")) * time.Second)
			}
			until, before := p.until, p.state(now, example)
			(&observation{path: p, now: now, signal: s, backoff: &b}).observe()
			after := p.state(now, example)
			if p.until.Before(until) || p.until.After(now.Add(b.Max)) && p.until.After(until) {
				t.Fatalf("%s moves the end of the stop from %v to %v at %v", s.Kind, until, p.until, now)
			}
			if s.Kind == SignalGreylisted || s.Kind == SignalOther {
				if after != before {
					t.Fatalf("%s changes\n%+v\nto\n%+v", s.Kind, before, after)
				}
			}
			if r := after.Limits.MessageRate; limits.MessageRate != (Rate{}) && (r == Rate{} || r.perSecond() > limits.MessageRate.perSecond()) {
				t.Fatalf("%s allows %v of %v", s.Kind, r, limits.MessageRate)
			} else if r != (Rate{}) && r != limits.MessageRate && r.perSecond() < b.MinMessageRate.perSecond() {
				t.Fatalf("%s leaves %v, which is less than %v", s.Kind, r, b.MinMessageRate)
			}
			if after.Limits.Connections < 0 || limits.Connections > 0 && (after.Limits.Connections == 0 || after.Limits.Connections > limits.Connections) {
				t.Fatalf("%s allows %d connections of %d", s.Kind, after.Limits.Connections, limits.Connections)
			}
			if m := after.Limits.MessagesPerConnection; m < 0 || limits.MessagesPerConnection > 0 && (m == 0 || m > limits.MessagesPerConnection) {
				t.Fatalf("%s allows %d messages of %d", s.Kind, m, limits.MessagesPerConnection)
			}
		}
	})
}

func TestObserveLogs(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	l := with(t, Limits{Connections: 1}, Config{Logger: logger})
	l.ObserveAt(start, example, limited)
	l.ObserveAt(start, example, limited)
	l.ObserveAt(start.Add(10*m), example, success)
	want := []string{
		`level=WARN msg="path stopped" route=mta1 provider=example.com cause=rate-limited until=2026-03-01T12:10:00.000Z for=10m0s`,
		`level=INFO msg="path open again" route=mta1 provider=example.com`,
		``,
	}
	if got := strings.Split(out.String(), "\n"); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("logged\n%s", out.String())
	}
}

// The package comment answers every kind.
func TestSignalKindsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[SignalKind]bool{}
	for _, k := range SignalKinds() {
		if seen[k] || !strings.Contains(string(doc), string(k)) {
			t.Errorf("%s is there twice or not in the package comment", k)
		}
		seen[k] = true
	}
}
