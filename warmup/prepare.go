package warmup

import (
	"context"
	"time"
)

// TryReserveAt is ReserveAt without the store: it never blocks. ready is false, and nothing reserved, when the answer needs the store, or
// the one that it is being asked for: PrepareAt gets it, and then it is time to try again. A reservation that is OK tells by Low when it
// would be good to call PrepareAt ahead of time. A refusal is an answer, also that of a store which failed a moment ago (ReasonStore): it
// says until when to wait. Without a store the answer is always ready.
func (l *Ledger) TryReserveAt(now time.Time, p Path, n int) (r Reservation, ready bool) {
	if r, ready = l.try(now, p, n); l.store == nil {
		l.tell()
	}
	if r.ticket.path != nil {
		pt := r.ticket.path
		pt.mu.Lock()
		defer pt.mu.Unlock()
		r.Low = l.low(pt)
	}
	return r, ready
}

// try decides without the store.
func (l *Ledger) try(now time.Time, p Path, n int) (r Reservation, ready bool) {
	lad := l.ladders[p.Route]
	if lad == nil || n < 1 {
		return Reservation{OK: true, Path: p, N: n}, true
	}
	t := l.stamp(now)
	pt, reason := l.lock(p, lad, t)
	if pt == nil {
		return Reservation{Until: unstamp(t + int64(time.Minute)), Reason: reason, Path: p, N: n}, true
	}
	defer pt.mu.Unlock()
	at := l.clock(pt, t)
	if r, ready = l.decide(pt, n, nil); !ready && l.store == nil {
		g := l.sync(context.Background(), pt, ask{at: at, n: n})
		r, ready = l.decide(pt, n, &g)
	}
	if !ready {
		return Reservation{Path: p, N: n}, false
	}
	return pt.answer(r, p, n), true
}

// PrepareAt does what a reservation of n messages on a path needs the store for: it leases a block of at least n, moves the stage, reads
// the record. When TryReserveAt was ready but told that the allowance runs low, it leases the next block, and what is left of the one
// before can be used meanwhile. When there is nothing to do it does nothing, and when the store fails the next answer says so. It returns
// when the store is done or ctx ends, which bounds it in place of Config.StoreTimeout; settling, observing, trying and other paths do not
// wait for it. Of several calls for one path the later ones wait for the first.
func (l *Ledger) PrepareAt(ctx context.Context, now time.Time, p Path, n int) {
	lad := l.ladders[p.Route]
	if lad == nil || n < 1 || l.store == nil {
		return
	}
	t, began := l.stamp(now), time.Now()
	pt, _ := l.lockToUse(ctx, p, lad, t)
	if pt == nil {
		return
	}
	defer l.tell()
	defer pt.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	at := l.clock(pt, t+sinceSeconds(began))
	r, ready := l.decide(pt, n, nil)
	if ready && !(r.OK && l.low(pt)) {
		return
	}
	g := l.sync(ctx, pt, ask{at: at, n: n, ahead: ready})
	l.decide(pt, n, &g) // Remembers a refusal, for the next one who tries.
}

// When to refill a promise ahead of time.
const (
	// lowPart is the part of a promise that is low.
	lowPart = 4
	// lowAge is the age at which a promise will soon be too old.
	lowAge = leaseTerm * 3 / 4
)

// low says that what the path may use without the store will soon be used up or too old, and that the store is worth asking. p.mu is held.
func (l *Ledger) low(p *path) bool {
	switch {
	case l.store == nil, p.writing != nil, l.resting(p) != nil:
		return false
	case p.caller-p.leased >= lowAge:
		return true
	case p.ramp.pos >= p.ladder.top():
		return false
	default:
		return p.promise*lowPart < int(p.granted) && p.check(p.seen, 1).OK
	}
}
