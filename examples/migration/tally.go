package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/warmup"
)

// tally is the Observer: it counts by day and provider, and writes down what is news.
type tally struct {
	days calendar

	mu       sync.Mutex
	written  map[string]writing // by Message-ID
	final    int
	lost     int // whose outcome is another one than delivered
	flows    map[flowKey]*flow
	rollback map[string]warmup.MigrationChange // by provider, the first one
	news     []string
}

// writing is when a message was handed over, and to whose reader.
type writing struct {
	at       time.Time // by the calendar
	provider string
}

// flowKey is a provider on a day; the zero day is all of them.
type flowKey struct {
	day      int
	provider string
}

// flow is what went to a provider.
type flow struct {
	by       map[string]int // deliveries, by route
	overflow int            // those by the relay that were meant for the new addresses
	deferred int            // attempts over the new addresses that were put off
}

func newTally(days calendar) *tally {
	return &tally{days: days, written: map[string]writing{}, flows: map[flowKey]*flow{}, rollback: map[string]warmup.MigrationChange{}}
}

// wrote notes a message that was handed over.
func (t *tally) wrote(m sender.Message, provider string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.written["<"+m.ID+">"] = writing{t.days.now(), provider}
}

// open is how many messages have no final outcome yet.
func (t *tally) open() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.written) - t.final
}

// Observe takes note of an event. The Sender calls it for one event at a time.
func (t *tally) Observe(e sender.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.days.SharedTime(e.Time)
	done := e.Type.Final() || e.Type == sender.EventRefused
	if done {
		t.final++
	}
	switch e.Type {
	case sender.EventDelivered:
		for _, f := range t.both(at, e.Path.Provider) {
			f.by[e.Path.Route]++
			if e.Overflow {
				f.overflow++
			}
		}
	case sender.EventDeferred:
		for _, f := range t.both(at, e.Path.Provider) {
			f.deferred++
		}
	case sender.EventMigration:
		t.tellMigration(at, *e.Migration)
	case sender.EventWarmup:
		if e.Warmup.Evidence.Of > 0 { // the plain course is in the table
			w := e.Warmup
			t.tell(at, "%s: %s is %s at %d a day (%v)", w.Provider, w.Route, w.To.Phase, w.To.DayCap, w.Evidence)
		}
	default:
		if done {
			t.lost++
			t.tell(at, "a message to %s is %s: %s", e.Domain, e.Type, cmp.Or(e.Reason, show.Clean(e.Reply.String())))
		}
	}
}

// both are the flows to a provider on that day, and on all.
func (t *tally) both(at time.Time, provider string) [2]*flow {
	var both [2]*flow
	for i, key := range []flowKey{{dayOf(at), provider}, {0, provider}} {
		if t.flows[key] == nil {
			t.flows[key] = &flow{by: map[string]int{}}
		}
		both[i] = t.flows[key]
	}
	return both
}

// flow is a copy of what went to a provider on a day, or on all for day 0.
func (t *tally) flow(day int, provider string) flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.flows[flowKey{day, provider}]; f != nil {
		return flow{by: map[string]int{relay: f.by[relay], mta1: f.by[mta1], mta2: f.by[mta2]}, overflow: f.overflow, deferred: f.deferred}
	}
	return flow{by: map[string]int{}}
}

// tellMigration writes down where a migration goes: with the evidence, if that is back.
func (t *tally) tellMigration(at time.Time, c warmup.MigrationChange) {
	switch c.To.Phase {
	case warmup.MigrationRolledBack:
		if _, before := t.rollback[c.Provider]; !before {
			t.rollback[c.Provider] = c
		}
		t.tell(at, "%s: ROLLED BACK to the relay from %.1f %%, because of %s", c.Provider, 100*c.From.Share, c.To.Cause)
		for _, e := range c.Evidence {
			if e.Verdict == warmup.VerdictProven || e.Verdict == warmup.VerdictWorse {
				t.news = append(t.news, strings.Repeat(" ", 14)+e.String())
			}
		}
	case warmup.MigrationHolding:
		t.tell(at, "%s: holds at %.1f %%, because of %s", c.Provider, 100*c.To.Share, c.To.Cause)
	case warmup.MigrationComplete:
		t.tell(at, "%s: complete", c.Provider)
	default:
		t.tell(at, "%s: %.1f %% of the recipients move", c.Provider, 100*c.To.Share)
	}
}

func (t *tally) tell(at time.Time, format string, args ...any) {
	t.news = append(t.news, fmt.Sprintf("day %2d %s  ", dayOf(at), at.Format("15:04"))+fmt.Sprintf(format, args...))
}

// newsSince are the news but for the first n.
func (t *tally) newsSince(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.news[n:])
}
