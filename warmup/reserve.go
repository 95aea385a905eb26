package warmup

import (
	"errors"
	"time"
)

// errRetry stands for a failure of the store that was so recent that it was not tried again.
var errRetry = errors.New("warmup: store failed a moment ago")

// ReserveAt asks for a place for n messages on a path at a time: all or none. When the answer is OK, the messages may be sent, and
// count against every window until they are settled by CommitAt or CancelAt. When not, Until and Reason say when to ask again and why.
// On a route without a plan, and for n below 1, the answer is always OK and nothing is counted. It uses the store only when the
// allowance leased before is used up or ten minutes old, and once a day to move the stage; decisions about other paths do not wait for it.
// Where several processes share the store, or one may crash, a reservation has to be settled within an hour.
func (l *Ledger) ReserveAt(now time.Time, p Path, n int) Reservation {
	lad := l.ladders[p.Route]
	if lad == nil || n < 1 {
		return Reservation{OK: true, Path: p, N: n}
	}
	t := stamp(now)
	pt, reason := l.lock(p, lad, t)
	if pt == nil {
		return Reservation{Until: unstamp(t + int64(time.Minute)), Reason: reason, Path: p, N: n}
	}
	defer pt.mu.Unlock()
	r := l.reserve(pt, l.clock(pt, t), n)
	if !r.OK && pt.seen-pt.caller > maxBehind { // By then it will be known which of the two times was wrong.
		if sure := unstamp(max(pt.behind+putBackAfter, pt.caller+soon)); sure.Before(r.Until) {
			r.Until = sure
		}
	}
	r.Path, r.N = p, n
	return r
}

// Reserve is shorthand for ReserveAt(time.Now(), …).
func (l *Ledger) Reserve(p Path, n int) Reservation { return l.ReserveAt(time.Now(), p, n) }

// reserve decides. p.mu is held, and at is the path's time.
func (l *Ledger) reserve(p *path, at int64, n int) Reservation {
	var g grant
	synced := false
	if p.due(at) {
		idle := !p.loaded || p.ramp.idle(at, p.lastSent) > 0
		g = l.sync(p, at, n)
		if g.err != nil && idle {
			return refuse(ReasonStore, g) // The stage on hand may be too high.
		}
		synced = true
	}
	for {
		at = p.seen // May have moved, either way.
		if p.ramp.paused {
			return refuse(ReasonPaused, grant{until: at + int64(time.Minute)})
		}
		if p.ramp.pos >= p.ladder.top() {
			used := p.windows[dayWindow].usedAt(dayWindow, at) + p.outstanding + n
			return Reservation{OK: true, Used: used, ticket: p.take(n)}
		}
		if r := p.check(at, n); !r.OK {
			return r
		}
		switch {
		case p.usable() >= n && (synced || p.ramp.period != 0):
			p.promise -= n
			used := p.windows[dayWindow].sum + p.outstanding + n
			return Reservation{OK: true, Cap: p.ladder.caps[p.ramp.pos][dayWindow], Used: used, ticket: p.take(n)}
		case synced && g.err != nil:
			return refuse(ReasonStore, g)
		case synced:
			p.full = &full{g, n}
			return refuse(g.kind.reason(), g)
		case p.full != nil && n >= p.full.n && at < p.full.until:
			return refuse(p.full.kind.reason(), p.full.grant)
		}
		// Agree with the store, and look again: another owner may have moved the stage.
		g = l.sync(p, at, n)
		synced = true
	}
}

func refuse(reason Reason, g grant) Reservation {
	return Reservation{Until: unstamp(g.until), Reason: reason, Cap: g.cap, Used: g.used}
}

// check holds n more against the caps of the stage, as far as this owner's own use goes.
func (p *path) check(at int64, n int) Reservation {
	ok := Reservation{OK: true}
	worst, until := ok, int64(0)
	for k := range kinds {
		w := &p.windows[k]
		w.prune(k, at)
		limit := p.ladder.caps[p.ramp.pos][k]
		used := w.sum + p.outstanding
		if used+n <= limit {
			continue
		}
		free, found := w.freeAt(k, used+n-limit)
		if !found {
			free = at + soon
		}
		if n > limit {
			free = at + stagePeriod
			if p.ramp.period != 0 {
				free = max(p.ramp.period+stagePeriod, at+soon)
			}
		}
		if free > until {
			until = free
			worst = Reservation{Until: unstamp(free), Reason: k.reason(), Cap: limit, Used: used}
		}
	}
	return worst
}

// take makes n messages outstanding and returns the ticket for them.
func (p *path) take(n int) ticket {
	if p.free == 0 {
		p.slots = append(p.slots, slot{})
		p.free = uint32(len(p.slots))
	}
	i := p.free - 1
	s := &p.slots[i]
	p.free = s.next
	s.n = n
	p.outstanding += n
	p.dirty = true
	return ticket{path: p, slot: i, gen: s.gen}
}

// settle ends a reservation and returns its number of messages, or 0 if it was settled before.
func (p *path) settle(t ticket) int {
	s := &p.slots[t.slot]
	if s.gen != t.gen || s.n == 0 {
		return 0
	}
	n := s.n
	s.n = 0
	s.gen++
	s.next, p.free = p.free, t.slot+1
	p.outstanding -= n
	p.dirty = true
	return n
}

// CommitAt settles a reservation: the receiver saw the messages, whatever it said to them. They count as used at that time, which is
// not before the receiver saw them. A second settlement of the same reservation does nothing, nor does one that is not OK or was made by
// another ledger. It never uses the store.
func (l *Ledger) CommitAt(now time.Time, r Reservation) {
	p := r.ticket.path
	if p == nil || p.ledger != l {
		return
	}
	t := stamp(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.settle(r.ticket)
	if n == 0 {
		return
	}
	t = l.clock(p, t)
	for k := range kinds {
		p.windows[k].add(k, t, n)
	}
	p.lastSent = t
}

// Commit is shorthand for CommitAt(time.Now(), …).
func (l *Ledger) Commit(r Reservation) { l.CommitAt(time.Now(), r) }

// CancelAt settles a reservation: the receiver never saw the messages. They are refunded at once. A second settlement of the same
// reservation does nothing, nor does one that is not OK or was made by another ledger. It never uses the store.
func (l *Ledger) CancelAt(now time.Time, r Reservation) {
	p := r.ticket.path
	if p == nil || p.ledger != l {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l.clock(p, stamp(now))
	if n := p.settle(r.ticket); n > 0 {
		p.promise += n
	}
}

// Cancel is shorthand for CancelAt(time.Now(), …).
func (l *Ledger) Cancel(r Reservation) { l.CancelAt(time.Now(), r) }
