package warmup

import (
	"context"
	"encoding/json"
	"maps"
)

// grant is the result of agreeing with the store.
type grant struct {
	err   error // the store failed; everything is as before
	until int64 // when err is nil: when the allowance that was asked for may be there, 0 if it is
	kind  kind  // the window that refused it
	cap   int   // and its cap
	used  int   // and what counts against it
}

// ask is what a use of the store is for, at a time: a lease of at least n messages if n is above 0, and a pause or its end if paused is set.
type ask struct {
	at     int64
	n      int
	paused *bool
}

// agreed is what merge works out, before it is known to be on record.
type agreed struct {
	at       int64
	lastSent int64
	windows  [kinds]window
	ramp     ramp
	outcomes counts
	promise  int
	grant    grant
}

// due says that the path has to be agreed with the store before time at can be decided upon.
func (p *path) due(at int64) bool {
	switch {
	case !p.loaded, p.misdated():
		return true
	case p.ramp.paused, p.ramp.pos >= p.ladder.top() && !p.ramp.over(at) && p.ramp.idle(at, p.lastSent) == 0:
		return at-p.synced > leaseTerm
	default:
		return p.ramp.over(at) || p.ramp.idle(at, p.lastSent) > 0
	}
}

// sync agrees with the store on the state of p at time at and leases allowance for at least n more messages, within the time that a
// decision may take, and not soon after a failure. Without a store it only moves the ramp. p.mu is held.
func (l *Ledger) sync(p *path, at int64, n int) grant {
	if wait := p.retryAt - p.caller; wait > 0 && wait <= int64(l.retryStore) {
		return grant{err: errRetry, until: p.retryAt}
	}
	if l.store == nil {
		rec := newRecord(p.Path)
		rec.setRamp(p.ramp, p.ladder)
		rec.Seen, rec.Sent = p.seen, p.lastSent
		rec.Owners[l.owner] = share{Session: l.session}
		a, _ := l.merge(p, rec, ask{at: at, n: n})
		if a.grant.until == 0 {
			a.promise = maxAhead
		}
		l.apply(p, a)
		return a.grant
	}
	l.latest.Store(p.caller)
	ctx, cancel := context.WithTimeout(context.Background(), l.storeTimeout)
	defer cancel()
	g := l.write(ctx, p, ask{at: at, n: n})
	if g.err != nil {
		p.retryAt = p.caller + int64(l.retryStore)
		g.until = p.retryAt
		l.log.Error("warm-up store failed", "route", p.Route, "provider", p.Provider, "error", g.err)
	}
	return g
}

// write agrees with the store on the state of p, without the limits of sync. p.mu is held.
func (l *Ledger) write(ctx context.Context, p *path, q ask) grant {
	var a agreed
	merged := false
	err := l.store.Update(ctx, recordKey(p.Path), func(old []byte) ([]byte, error) {
		rec := newRecord(p.Path)
		if old == nil {
			rec.setRamp(ramp{}, p.ladder)
		} else {
			var err error
			if rec, err = decodeRecord(old); err != nil {
				return nil, err
			}
		}
		var err error
		if a, err = l.merge(p, rec, q); err != nil {
			return nil, err
		}
		merged = true
		if rec.blankAt(p.ladder, a.at) {
			return nil, nil // It says no more than its absence.
		}
		return json.Marshal(rec)
	})
	if err != nil {
		if merged {
			p.promise = min(p.promise, a.promise) // Either may be on record now.
		}
		return grant{err: err}
	}
	l.apply(p, a)
	return a.grant
}

func newRecord(p Path) *record {
	return &record{Version: recordVersion, Route: p.Route, Provider: p.Provider, Owners: make(map[string]share)}
}

// merge brings rec and the state of p together, in this order: the time, the windows, the ramp, the lease. It changes rec but not p.
//
// The lease keeps this invariant: for each window, the sum over all owners of what they have on record as used and what they are
// promised is at most the cap of the stage. Owners use promises without the record, which moves counts from "promised" to "used"; a
// promise that has come to its end without word from its owner counts as used then, which is not before it was; and time only takes
// counts away. So the sum rises here only, where it is checked, whatever the other owners do or fail to do.
func (l *Ledger) merge(p *path, rec *record, q ask) (agreed, error) {
	mine, known := rec.Owners[l.owner]
	if p.loaded && known && mine.Session != l.session {
		return agreed{}, errOwner
	}
	at := p.now(rec, q.at)
	mine = rec.Owners[l.owner]
	delete(rec.Owners, l.owner)
	for name, s := range rec.Owners {
		s.lapse(at)
		rec.Owners[name] = s
	}
	a := agreed{at: at, lastSent: max(min(p.lastSent, at), rec.Sent), ramp: rec.ramp(p.ladder)}
	if p.loaded {
		for k := range kinds {
			a.windows[k] = p.windows[k].clone()
			a.windows[k].putBack(k, at)
		}
		if min(p.ramp.period, at) == a.ramp.period { // Otherwise another owner has ended it.
			a.outcomes = p.outcomes
		}
	} else {
		// The promise of an earlier life counts as used. It was used before now and before its end, so that the earlier is the safe side.
		mine.Until = min(mine.Until, at)
		mine.lapse(at)
		for k := range kinds {
			a.windows[k], _ = unpackWindow(k, mine.Used[k]) // Was checked by decodeRecord.
		}
		if mine.Period == a.ramp.period {
			a.outcomes = mine.Outcomes
		}
	}

	before := a.ramp.period
	delivered := int(a.outcomes[Delivered.index()]) + rec.delivered(before)
	a.ramp = a.ramp.next(p.ladder, at, a.lastSent, delivered)
	if q.paused != nil {
		a.ramp.paused = *q.paused
	}
	l.lease(p, rec, &a, q.n)
	if q.n > 0 && a.grant.until == 0 && !a.ramp.paused {
		a.ramp = a.ramp.begin(p.ladder, at)
	}
	if a.ramp.period != before {
		a.outcomes = counts{}
	}
	l.put(p, rec, &a)
	return a, nil
}

// put writes what was agreed into rec, and forgets owners of whom nothing counts any more.
func (l *Ledger) put(p *path, rec *record, a *agreed) {
	rec.setRamp(a.ramp, p.ladder)
	rec.Seen, rec.Sent = a.at, a.lastSent
	maps.DeleteFunc(rec.Owners, func(_ string, s share) bool { return s.spent(a.at, a.ramp.period) })
	mine := share{Session: l.session, Ahead: min(p.outstanding+a.promise, maxAhead), Outcomes: a.outcomes, Period: a.ramp.period}
	if mine.Ahead > 0 {
		mine.Until = a.at + promiseLife
	}
	if l.store != nil {
		for k := range kinds {
			mine.Used[k] = a.windows[k].pack(k, a.at)
		}
	}
	rec.Owners[l.owner] = mine
}

// apply makes what is on record the state of p.
func (l *Ledger) apply(p *path, a agreed) {
	if p.loaded && (a.ramp.pos != p.ramp.pos || a.ramp.cause != p.ramp.cause) {
		l.log.Info("warm-up stage", "route", p.Route, "provider", p.Provider, "phase", a.ramp.phase(p.ladder), "cause", a.ramp.cause,
			"stage", a.ramp.pos+1, "stages", p.ladder.top(), "day_cap", p.ladder.dayCap(a.ramp.pos))
	}
	p.loaded, p.dirty, p.full = true, false, nil
	p.seen, p.synced, p.lastSent, p.leased = a.at, a.at, a.lastSent, p.caller
	if p.seen-p.caller <= skew {
		p.behind = 0
	}
	p.windows, p.ramp, p.outcomes, p.promise = a.windows, a.ramp, a.outcomes, a.promise
}
