package warmup

import (
	"math"
	"slices"
	"time"
)

// Outcome is what became of an attempt, as far as the warm-up cares.
type Outcome string

const (
	// Delivered: the receiver accepted the message, at the first attempt or a later one.
	Delivered Outcome = "delivered"
	// Bounced: refused for good because the recipient does not exist. Other permanent refusals are Blocked or Other.
	Bounced Outcome = "bounced"
	// Deferred: put off for the sake of the sender's reputation or rate. Greylisting, full mailboxes and busy servers are Other.
	Deferred Outcome = "deferred"
	// Blocked: refused because of the sender: its address, its domain, a blocklist.
	Blocked Outcome = "blocked"
	// Complained: a recipient reported a delivered message as spam.
	Complained Outcome = "complained"
	// Failed: refused or put off for any other reason that is not the recipient's: policy, content, authentication, TLS, no connection. A Migrator
	// compares it; for a Ledger it is Other.
	Failed Outcome = "failed"
	// Other: every other outcome.
	Other Outcome = "other"
)

// index is the place of o in a count array.
func (o Outcome) index() int {
	switch o {
	case Delivered:
		return 0
	case Bounced:
		return 1
	case Deferred:
		return 2
	case Blocked:
		return 3
	case Complained:
		return 4
	default:
		return 5
	}
}

// Outcomes counts outcomes by kind.
type Outcomes struct {
	Delivered  int `json:"delivered"`
	Bounced    int `json:"bounced"`
	Deferred   int `json:"deferred"`
	Blocked    int `json:"blocked"`
	Complained int `json:"complained"`
	Other      int `json:"other"`
}

// counts are outcomes in the order of Outcome.index. They stop at the largest uint32.
type counts [6]uint32

func (c *counts) add(i, n int) {
	c[i] = uint32(min(int64(c[i])+int64(n), math.MaxUint32))
}

func (c *counts) addAll(o counts) {
	for i, n := range o {
		c.add(i, int(n))
	}
}

func (c counts) outcomes() Outcomes {
	return Outcomes{int(c[0]), int(c[1]), int(c[2]), int(c[3]), int(c[4]), int(c[5])}
}

// ObserveAt tells the ledger of n outcomes on a path, at a time: those of first attempts and of retries alike, each once. The stage
// advances on what is observed as Delivered within the 24 hours of its day; what is observed after them and before the next day begins is
// not counted, but for complaints. It does not use the store nor wait for it, unless the path is not in memory yet, and needs no reservation. n below 1 does nothing; an unknown
// outcome counts as Other; on a route without a plan nothing is kept. Safe for concurrent use.
func (l *Ledger) ObserveAt(now time.Time, p Path, o Outcome, n int) {
	lad := l.ladders[p.Route]
	if lad == nil || n < 1 {
		return
	}
	t := l.stamp(now)
	defer l.tell()
	pt, _ := l.lock(p, lad, t)
	if pt == nil {
		return
	}
	if !pt.loaded {
		ctx, cancel := l.bounded()
		defer cancel()
		pt.mu.Unlock()
		if pt, _ = l.lockToUse(ctx, p, lad, t); pt == nil {
			return
		}
	}
	defer pt.mu.Unlock()
	if t = l.clock(pt, t); !pt.loaded {
		ctx, cancel := l.bounded()
		defer cancel()
		if l.sync(ctx, pt, ask{at: t}).err != nil {
			return
		}
		t = pt.seen
	}
	if o == Delivered {
		pt.lastSent = max(pt.lastSent, t)
	}
	if pt.ramp.period != 0 && (!pt.ramp.over(t) || o == Complained) { // What else comes after the day is no part of its result.
		pt.outcomes.add(o.index(), n)
		if o == Blocked {
			pt.blocked(t, n)
		}
		if o != Delivered && o != Other {
			pt.tripped = !pt.ramp.rests(t) && pt.judge(t).level == levelBack
		}
	}
	pt.dirty = true
}

// blocked notes when blocks came, the latest as many as make a burst.
func (p *path) blocked(at int64, n int) {
	most := p.ladder.gate.BlockBurst
	var latest []int64
	if p.blocks != nil {
		latest = *p.blocks
	}
	all := append(latest[:len(latest):len(latest)], slices.Repeat([]int64{at}, min(n, most))...) // a snapshot may have the old ones
	all = all[max(0, len(all)-most):]
	p.blocks = &all
}

// burst says that as many blocks as make a burst came within an hour.
func (p *account) burst(most int, at int64) bool {
	return p.blocks != nil && len(*p.blocks) >= most && at-(*p.blocks)[0] <= burstTime
}

// judge is what the gate finds by what this owner knows. p.mu is held.
func (p *path) judge(at int64) finding {
	if p.ramp.period == 0 || p.ramp.paused || p.ramp.pos >= p.ladder.top() {
		return finding{}
	}
	return p.ladder.gate.judge(p.ramp.carry.with(p.outcomes), int(p.ramp.before), p.burst(p.ladder.gate.BlockBurst, at), p.ladder.reports[p.Provider])
}
