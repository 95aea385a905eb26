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
// Where several processes share the store, or one may crash, a reservation has to be settled within an hour. TryReserveAt is ReserveAt
// for those who must not wait for the store.
func (l *Ledger) ReserveAt(now time.Time, p Path, n int) Reservation {
	defer l.tell()
	r, ready := l.try(now, p, n)
	if ready {
		return r
	}
	lad, t, began := l.ladders[p.Route], l.stamp(now), time.Now()
	refused := Reservation{Until: unstamp(t + int64(l.retryStore)), Reason: ReasonStore, Path: p, N: n}
	for range maxTries {
		wait, stop := l.bounded()
		pt, reason := l.lockToUse(wait, p, lad, t)
		stop()
		if pt == nil {
			refused.Reason = reason
			return refused
		}
		ctx, cancel := l.bounded()
		at := l.clock(pt, t+sinceSeconds(began))
		if r, ready = l.decide(pt, n, nil); !ready {
			g := l.sync(ctx, pt, ask{at: at, n: n})
			r, ready = l.decide(pt, n, &g)
		}
		cancel()
		if ready {
			r = pt.answer(r, p, n)
			pt.mu.Unlock()
			return r
		}
		pt.mu.Unlock()
	}
	return refused
}

// maxTries bounds the uses of the store by one decision. A second one is needed when the time of another call jumps meanwhile.
const maxTries = 3

// Reserve is shorthand for ReserveAt(time.Now(), …).
func (l *Ledger) Reserve(p Path, n int) Reservation { return l.ReserveAt(time.Now(), p, n) }

// decide decides from memory, at the time of the path; take makes the reservation. g is what the store has just said, or nil when it was
// not asked. ready is false when it has to be. p.mu is held.
func (l *Ledger) decide(p *path, n int, g *grant) (r Reservation, ready bool) {
	at := p.seen
	if g == nil && p.due(at) {
		if g = l.resting(p); g == nil {
			return Reservation{}, false
		}
	}
	if g != nil && g.err == nil && p.tripped {
		return Reservation{}, false // It has to step back, which was not known when the store was asked.
	}
	if g != nil && g.err != nil && (!p.loaded || p.tripped || p.ramp.idle(p.ladder, at, p.lastSent) > 0) {
		return refuse(ReasonStore, *g), true // The stage on hand may be too high.
	}
	if p.ramp.paused {
		return refuse(ReasonPaused, grant{until: at + int64(time.Minute)}), true
	}
	if p.ramp.pos >= p.ladder.top() {
		return Reservation{OK: true, Complete: true, Used: p.windows[dayWindow].usedAt(dayWindow, at) + p.outstanding + n}, true
	}
	// An operator may have moved the path in another process, so a refusal is good for as long as a promise.
	stale := g == nil && l.store != nil && at-p.synced > leaseTerm && l.resting(p) == nil
	if r := p.check(at, n); !r.OK {
		p.scarce = p.scarce || r.Reason == ReasonDayCap
		return r, !stale
	}
	for {
		switch {
		case p.usable() >= n && (g != nil || p.ramp.period != 0):
			used := p.windows[dayWindow].sum + p.outstanding + n
			complete := p.ramp.phase(p.ladder) == PhaseComplete
			return Reservation{OK: true, Complete: complete, Cap: p.ladder.caps[p.ramp.pos][dayWindow], Used: used}, true
		case g != nil && g.err != nil:
			return refuse(ReasonStore, *g), true
		case g != nil && g.until == 0:
			return Reservation{}, false // It was there, but the time has jumped meanwhile.
		case g != nil:
			p.full = &full{*g, n}
			p.scarce = p.scarce || g.kind == dayWindow
			return refuse(g.kind.reason(), *g), true
		case p.full != nil && n >= p.full.n && at < p.full.until && !stale:
			return refuse(p.full.kind.reason(), p.full.grant), true
		}
		// The store has to be asked: another owner may have moved the stage.
		if g = l.resting(p); g == nil {
			return Reservation{}, false
		}
	}
}

// answer completes what was decided, and makes the reservation if it is OK. p.mu is held.
func (p *path) answer(r Reservation, asked Path, n int) Reservation {
	r.Path, r.N = asked, n
	if r.OK {
		if r.Cap > 0 {
			p.promise -= n
			p.paced = max(p.paced, p.seen) + int64(n)*p.ladder.pace[p.ramp.pos]
		}
		r.ticket = p.take(n)
		return r
	}
	if p.seen-p.caller > maxBehind { // By then it will be known which of the two times was wrong.
		if sure := unstamp(max(p.behind+putBackAfter, p.caller+soon)); sure.Before(r.Until) {
			r.Until = sure
		}
	}
	return r
}

func refuse(reason Reason, g grant) Reservation {
	return Reservation{Until: unstamp(g.until), Reason: reason, Cap: g.cap, Used: g.used}
}

// check holds n more against the caps of the stage, as far as this owner's own use goes.
func (p *path) check(at int64, n int) Reservation {
	for k := range kinds {
		p.windows[k].prune(k, at)
	}
	return p.checkAt(p.ramp.pos, at, n)
}

// checkAt is check for a position. It forgets nothing.
func (p *path) checkAt(pos int, at int64, n int) Reservation {
	ok := Reservation{OK: true}
	worst, until := ok, int64(0)
	if free := p.paced - paceBurst; p.ladder.pace[pos] > 0 && free > at {
		until = free
		worst = Reservation{Until: unstamp(free), Reason: ReasonPace, Cap: p.ladder.caps[pos][hourWindow], Used: p.windows[hourWindow].usedAt(hourWindow, at) + p.outstanding}
	}
	for k := range kinds {
		w := &p.windows[k]
		limit := p.ladder.caps[pos][k]
		gone := w.sum - w.usedAt(k, at)
		used := w.sum - gone + p.outstanding
		if used+n <= limit {
			continue
		}
		free, found := w.freeAt(k, gone+used+n-limit)
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
// another ledger. It never uses the store, nor waits for it.
func (l *Ledger) CommitAt(now time.Time, r Reservation) { l.CommitPartAt(now, r, r.N) }

// CommitPartAt is CommitAt for the first n messages of a reservation, and CancelAt for the others.
func (l *Ledger) CommitPartAt(now time.Time, r Reservation, n int) {
	p := r.ticket.path
	if p == nil || p.ledger != l {
		return
	}
	t := l.stamp(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.settle(r.ticket)
	if all == 0 {
		return
	}
	n = min(max(0, n), all)
	t = l.clock(p, t)
	p.refund(r, all-n)
	if n == 0 {
		return
	}
	for k := range kinds {
		p.windows[k].add(k, t, n)
	}
	p.lastSent = t
	if p.writing != nil {
		p.writing.committed += n
	}
}

// Commit is shorthand for CommitAt(time.Now(), …).
func (l *Ledger) Commit(r Reservation) { l.CommitAt(time.Now(), r) }

// CancelAt settles a reservation: the receiver never saw the messages. They are refunded at once. A second settlement of the same
// reservation does nothing, nor does one that is not OK or was made by another ledger. It never uses the store, nor waits for it.
func (l *Ledger) CancelAt(now time.Time, r Reservation) {
	p := r.ticket.path
	if p == nil || p.ledger != l {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l.clock(p, l.stamp(now))
	p.refund(r, p.settle(r.ticket))
}

// refund takes n messages of a reservation back that nobody saw. p.mu is held.
func (p *path) refund(r Reservation, n int) {
	if n == 0 {
		return
	}
	if r.Cap > 0 && r.Cap <= p.ladder.dayCap(p.ramp.pos) { // Else the path has gone back, and others may have used more than it now allows.
		p.promise += n
	}
	p.paced -= int64(n) * p.ladder.pace[min(p.ramp.pos, len(p.ladder.pace)-1)]
}

// Cancel is shorthand for CancelAt(time.Now(), …).
func (l *Ledger) Cancel(r Reservation) { l.CancelAt(time.Now(), r) }
