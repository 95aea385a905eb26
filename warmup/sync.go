package warmup

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// grant is the result of agreeing with the store.
type grant struct {
	err   error // the store failed; everything is as before
	until int64 // when err is nil: when the allowance that was asked for may be there, 0 if it is
	kind  kind  // the window that refused it
	cap   int   // and its cap
	used  int   // and what counts against it
}

// ask is what a use of the store is for, at a time: a lease of at least n messages if n is above 0, and what an operator wants of the ramp if edit is set.
type ask struct {
	at int64
	n  int
	// ahead says that n messages could be had without the store, and are to be had meanwhile.
	ahead bool
	edit  func(r ramp, at int64) ramp
	actor string    // who wants it
	told  time.Time // and when, by the clock: the time of the path is that of its last use
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
	shared   bool
	change   Change // zero if the ramp stands where it stood
}

// due says that the path has to be agreed with the store before time at can be decided upon.
func (p *path) due(at int64) bool {
	switch {
	case !p.loaded, p.misdated():
		return true
	case p.ramp.paused, p.ramp.pos >= p.ladder.top() && !p.ramp.over(at) && p.ramp.idle(p.ladder, at, p.lastSent) == 0:
		return at-p.synced > leaseTerm
	default:
		return p.tripped || p.ramp.over(at) || p.ramp.idle(p.ladder, at, p.lastSent) > 0
	}
}

// resting is the answer while the store is not tried, since it failed a moment ago; nil when it may be tried.
func (l *Ledger) resting(p *path) *grant {
	if wait := p.retryAt - p.caller; wait > 0 && wait <= int64(l.retryStore) {
		return &grant{err: errRetry, until: p.retryAt}
	}
	return nil
}

// sync agrees with the store on the state of p, unless it failed a moment ago. Without a store it only moves the ramp. p.mu is held,
// but not while the store is used, and nobody else uses the store for p.
func (l *Ledger) sync(ctx context.Context, p *path, q ask) grant {
	if g := l.resting(p); g != nil {
		return *g
	}
	if l.store == nil {
		return l.agree(p, q)
	}
	l.latest.Store(p.caller)
	began, asked := time.Now(), p.caller
	g := l.write(ctx, p, q)
	if g.err == nil {
		return g
	}
	// The rest begins now: at the time of a later call, or after the seconds that it took.
	g.until = max(p.caller, asked+sinceSeconds(began)) + int64(l.retryStore)
	if errors.Is(ctx.Err(), context.Canceled) {
		return g // The caller gave up: that says nothing of the store.
	}
	p.retryAt = g.until
	l.log.Error("warm-up store failed", "route", p.Route, "provider", p.Provider, "error", g.err)
	return g
}

// agree is what agreeing with a store would be, without one.
func (l *Ledger) agree(p *path, q ask) grant {
	rec := newRecord(p.Path)
	rec.setRamp(p.ramp, p.ladder)
	rec.Seen, rec.Sent = p.seen, p.lastSent
	rec.Owners[l.owner] = share{Session: l.session}
	s := &snapshot{account: p.account, ladder: p.ladder}
	a, _ := l.merge(s, rec, q)
	if a.grant.until == 0 {
		a.promise = maxAhead
	}
	l.apply(p, s, a, 0)
	return a.grant
}

// write agrees with the store on the state of p, without the limits of sync. p.mu is held, but not while the store is used: the store
// gets a snapshot, and apply adds what happened to p meanwhile. Nobody else uses the store for p.
func (l *Ledger) write(ctx context.Context, p *path, q ask) grant {
	s := p.snapshot(q)
	var a agreed
	merged := false
	w, err := p.use(func() error {
		return l.store.Update(ctx, recordKey(p.Path), func(old []byte) ([]byte, error) {
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
			if a, err = l.merge(s, rec, q); err != nil {
				return nil, err
			}
			merged = true
			if rec.blankAt(p.ladder, a.at) {
				return nil, nil // It says no more than its absence.
			}
			return json.Marshal(rec)
		})
	})
	if err != nil {
		p.dirty = p.dirty || s.dirty
		p.promise += s.dropped
		if merged {
			p.promise = min(p.promise, p.promised(s, a, w.committed)) // Either may be on record now.
		}
		return grant{err: err}
	}
	l.apply(p, s, a, w.committed)
	return a.grant
}

func newRecord(p Path) *record {
	return &record{Version: recordVersion, Route: p.Route, Provider: p.Provider, Owners: make(map[string]share)}
}
