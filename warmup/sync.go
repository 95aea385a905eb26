package warmup

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"
)

// completeSync is how often a complete path is written, so that its last sending is on record.
const completeSync = int64(6 * time.Hour)

// grant is the result of agreeing with the store.
type grant struct {
	err   error // the store failed; everything is as before
	until int64 // when err is nil: when the allowance that was asked for may be there, 0 if it is
	kind  kind  // the window that refused it
	cap   int   // and its cap
	used  int   // and what counts against it
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
	if !p.loaded || p.ramp.over(at) || p.ramp.idle(at, p.lastSent) > 0 {
		return true
	}
	return p.ramp.pos >= p.ladder.top() && at-p.synced > completeSync
}

// sync agrees with the store on the state of p at time at and leases allowance for at least n more messages, within the time that a
// decision may take, and not soon after a failure. Without a store it only moves the ramp. p.mu is held.
func (l *Ledger) sync(p *path, at int64, n int) grant {
	if at < p.retryAt {
		return grant{err: errRetry, until: p.retryAt}
	}
	if l.store == nil {
		rec := newRecord(p.Path)
		rec.setRamp(p.ramp, p.ladder)
		rec.Owners[l.owner] = share{Session: l.session}
		a, _ := l.merge(p, rec, at, n)
		if a.grant.until == 0 {
			a.promise = maxAhead
		}
		l.apply(p, a)
		return a.grant
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.storeTimeout)
	defer cancel()
	g := l.write(ctx, p, at, n)
	if g.err != nil {
		p.retryAt = at + int64(l.retryStore)
		g.until = p.retryAt
		l.log.Error("warm-up store failed", "route", p.Route, "provider", p.Provider, "error", g.err)
	}
	return g
}

// write is sync with a store, without its limits on time.
func (l *Ledger) write(ctx context.Context, p *path, at int64, n int) grant {
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
		if a, err = l.merge(p, rec, at, n); err != nil {
			return nil, err
		}
		merged = true
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

func newRecord(at Path) *record {
	return &record{Version: recordVersion, Route: at.Route, Provider: at.Provider, Owners: make(map[string]share)}
}

// merge brings rec and the state of p together at time at, in that order: the owner's windows, the ramp, the lease. It changes rec
// but not p.
//
// The lease keeps this invariant: for each window, the sum over all owners of what they have on record as used and what they are
// promised is at most the cap of the stage. Owners use promises without the record, which moves counts from "promised" to "used", and
// time only takes counts away. So the sum rises here only, where it is checked, whatever the other owners do or fail to do.
func (l *Ledger) merge(p *path, rec *record, at int64, n int) (agreed, error) {
	mine, known := rec.Owners[l.owner]
	if p.loaded && known && mine.Session != l.session {
		return agreed{}, errOwner
	}
	a := agreed{
		at:       max(at, rec.Seen),
		lastSent: max(p.lastSent, rec.Sent),
		ramp:     rec.ramp(p.ladder),
		outcomes: p.outcomes,
	}
	if p.loaded {
		for k := range kinds {
			a.windows[k] = p.windows[k].clone()
		}
	} else {
		for k := range kinds {
			a.windows[k], _ = unpackWindow(k, mine.Used[k]) // Was checked by decodeRecord.
			if mine.Ahead > 0 {
				// The promise of an earlier life counts as used. It was used before now, so that now is the safe side.
				a.windows[k].add(k, a.at, mine.Ahead)
			}
		}
		a.outcomes = counts{}
		if mine.Period == a.ramp.period {
			a.outcomes = mine.Outcomes
		}
	}
	if p.loaded && p.ramp.period != a.ramp.period {
		a.outcomes = counts{} // Another owner has ended the period that they belong to.
	}
	delete(rec.Owners, l.owner)

	delivered := int(a.outcomes[Delivered.index()])
	for _, s := range rec.Owners {
		if s.Period == a.ramp.period {
			delivered += int(s.Outcomes[Delivered.index()])
		}
	}
	before := a.ramp.period
	a.ramp = a.ramp.next(p.ladder, a.at, a.lastSent, delivered)
	l.lease(p, rec, &a, n)
	if n > 0 && a.grant.until == 0 {
		a.ramp = a.ramp.begin(p.ladder, a.at)
	}
	if a.ramp.period != before {
		a.outcomes = counts{}
	}

	rec.setRamp(a.ramp, p.ladder)
	rec.Seen, rec.Sent = a.at, a.lastSent
	mine = share{Session: l.session, Ahead: p.outstanding + a.promise, Outcomes: a.outcomes, Period: a.ramp.period}
	if l.store != nil {
		for k := range kinds {
			mine.Used[k] = a.windows[k].pack(k, a.at)
		}
	}
	rec.Owners[l.owner] = mine
	return a, nil
}

// lease works out the promise: at least n, at most a fiftieth of the day cap, and never more than all windows have left. rec holds
// the other owners only.
func (l *Ledger) lease(p *path, rec *record, a *agreed, n int) {
	if n < 1 || a.ramp.paused || a.ramp.pos >= p.ladder.top() {
		return
	}
	caps := p.ladder.caps[a.ramp.pos]
	left := MaxCap
	for k := range kinds {
		all := []*window{&a.windows[k]}
		ahead := p.outstanding
		for _, s := range rec.Owners {
			w, _ := unpackWindow(k, s.Used[k]) // Was checked by decodeRecord.
			all = append(all, &w)
			ahead += s.Ahead
		}
		used := ahead
		for _, w := range all {
			w.prune(k, a.at)
			used += w.sum
		}
		left = min(left, caps[k]-used)
		if excess := used + n - caps[k]; excess > 0 {
			until := freeAt(k, all, excess, a.at)
			if until > a.grant.until {
				a.grant = grant{until: until, kind: k, cap: caps[k], used: used}
			}
		}
	}
	if left >= n {
		a.promise = max(n, min(caps[dayWindow]/50, left))
	}
}

// freeAt is when the windows together will have let go of excess; when they cannot, since promises stand in the way, it is a little later
// than at.
func freeAt(k kind, all []*window, excess int, at int64) int64 {
	type count struct{ end, n int64 }
	var counts []count
	for _, w := range all {
		for _, b := range w.buckets {
			counts = append(counts, count{k.span().end(w.number(b)), int64(b.n)})
		}
	}
	slices.SortFunc(counts, func(a, b count) int { return cmp.Compare(a.end, b.end) })
	for _, c := range counts {
		if excess -= int(c.n); excess <= 0 {
			return c.end
		}
	}
	return at + soon
}

// soon is when to ask again if it is not time that has to pass, but something that has to be settled.
const soon = int64(time.Second)

// apply makes what is on record the state of p.
func (l *Ledger) apply(p *path, a agreed) {
	if p.loaded && (a.ramp.pos != p.ramp.pos || a.ramp.cause != p.ramp.cause) {
		l.log.Info("warm-up stage", "route", p.Route, "provider", p.Provider, "phase", a.ramp.phase(p.ladder), "cause", a.ramp.cause,
			"stage", a.ramp.pos+1, "stages", p.ladder.top(), "day_cap", p.ladder.dayCap(a.ramp.pos))
	}
	p.loaded, p.dirty, p.full = true, false, nil
	p.seen, p.synced, p.lastSent = a.at, a.at, a.lastSent
	p.windows, p.ramp, p.outcomes, p.promise = a.windows, a.ramp, a.outcomes, a.promise
}
