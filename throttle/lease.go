package throttle

import (
	"fmt"
	"hash/fnv"
	"slices"
	"time"
)

// lease is this process's share of one limit. It is the common part of sharedRate and sharedConnections.
//
// It does no I/O. Whoever owns it calls exchange as the function of Store.Update, and then settle with Update's error, one exchange of a
// lease at a time. All methods are called under one lock, exchange too, that is, within the function of Update: so nothing is taken between
// the moment that a share is lowered and the one that the record says so.
type lease struct {
	kind  shareKind
	owner string
	ttl   time.Duration
	// share is what may be used now, in the unit of the kind; limit is the strictest limit as of the last exchange.
	share, limit int64
	// owners is how many there were then.
	owners int
	// held is since when the share is above zero, and renewed when the last exchange was made.
	held, renewed time.Time
	// wary is for how many exchanges the share does not grow.
	wary int
	// hasty is for how many exchanges the next one comes soon.
	hasty int
	// seen are the beats of the other owners; looked is when they were last looked at.
	seen   map[string]sighting
	looked time.Time
	// began is since when the counts of what is used run, next when the next exchange is due.
	began, next time.Time
	failures    int
	// trial is what the last call of exchange has written, unless the write fails.
	trial struct {
		called bool
		at     time.Time
		share  int64 // what may be used if it does not fail
		limit  int64
		owners int
		pot    int64 // tokens that were taken out
		hurry  bool  // the share is smaller than it should be, or may be
	}
}

// sighting is a beat, and for how long it has not changed.
type sighting struct {
	beat uint64
	age  time.Duration
}

// ask is what a process says of itself in an exchange, in the unit of the kind.
type ask struct {
	// limit is the configured limit, above 0.
	limit int64
	// want is what could be used, more than all there is for as much as possible.
	want int64
	// least is what the share cannot be lowered below now: connections that are open.
	least int64
	// offer are tokens to spare; short says that more could be used.
	offer int64
	short bool
}

func newLease(now time.Time, kind shareKind, owner string, ttl time.Duration) lease {
	if ttl <= 0 {
		ttl = defaultTTL
	}
	return lease{kind: kind, owner: owner, ttl: ttl, hasty: hastyFor, began: now, next: now}
}

// exchange makes the new record of the old one, with this process's share as it should be now. As a function of Store.Update it may be
// called again, with another record.
//
// given is how much of the offer went into the pot. It counts as given whatever becomes of the write.
func (l *lease) exchange(now time.Time, old []byte, a ask) (record []byte, given int64, err error) {
	r, err := parseShares(old, l.kind)
	if err != nil {
		return nil, 0, err
	}
	if old == nil && l.kind == shareRate {
		r.Pot = one // A new limit has one token, whoever comes first.
	}
	l.bury(now, r)
	i, known := r.find(l.owner)
	if !known {
		if len(r.Owners) >= maxOwners {
			return nil, 0, fmt.Errorf("throttle: %d processes share this limit already: no more can", maxOwners)
		}
		r.Owners = slices.Insert(r.Owners, i, shareEntry{Owner: l.owner, Turn: r.lastTurn() + 1})
	}
	me := &r.Owners[i]
	me.Limit = min(a.limit, maxShare)
	me.Want = min(a.want, me.Limit)
	me.Beat++
	limit, others := r.limit(i)
	d := r.divide(limit)
	if l.kind == shareConnections && l.turnIsOver(now, d) {
		me.Turn = r.lastTurn() + 1
		d = r.divide(limit)
	}
	share := min(d.goals[i], max(0, limit-others))
	if l.share > 0 && (!known || l.wary > 0) {
		share = min(share, l.share)
		if !known {
			l.wary = waryFor
		}
	}
	me.Share = max(share, a.least)

	l.trial.called, l.trial.at, l.trial.hurry = true, now, share < d.goals[i] || a.short && share >= me.Want && share < limit
	l.trial.share, l.trial.limit, l.trial.owners, l.trial.pot = share, limit, len(r.Owners), 0
	l.share = min(l.share, share)
	given = l.pool(r, limit, d.short, a)
	record, err = r.bytes()
	return record, given, err
}

// pool takes tokens from the pot, or puts some in.
func (l *lease) pool(r *shareRecord, limit int64, short int, a ask) (given int64) {
	switch {
	case l.kind != shareRate:
	case a.short:
		l.trial.pot = r.Pot
		if short > 1 && r.Pot > one {
			l.trial.pot /= 2 // for the others, who come soon
		}
		r.Pot -= l.trial.pot
	case short > 0:
		given = max(0, min(a.offer, potSize(limit)-r.Pot))
		r.Pot += given
	}
	return given
}

// potSize is the most that the pot holds: a tenth of a second, and at least one token.
func potSize(limit int64) int64 { return max(one, limit/10) }

// turnIsOver reports whether this process has had a connection for long enough that others should have it, who have none.
func (l *lease) turnIsOver(now time.Time, d division) bool {
	return d.level == 0 && d.short > 1 && l.share > 0 && now.Sub(l.held) >= turnTime
}

// bury removes the entries of the dead.
func (l *lease) bury(now time.Time, r *shareRecord) {
	passed := time.Duration(0)
	if !l.looked.IsZero() {
		passed = min(max(0, now.Sub(l.looked)), l.ttl/4)
	}
	l.looked = now
	seen := make(map[string]sighting, len(r.Owners))
	r.Owners = slices.DeleteFunc(r.Owners, func(e shareEntry) bool {
		if e.Owner == l.owner {
			return false
		}
		s, ok := l.seen[e.Owner]
		if !ok || s.beat != e.Beat {
			s = sighting{beat: e.Beat}
		} else {
			s.age += passed
		}
		seen[e.Owner] = s
		return s.age >= l.ttl
	})
	l.seen = seen
}

// settle takes note of how the Update went. After an error its outcome is not known, so the share is the smallest of those that it can be. When exchange was
// not called, nothing has changed. It reports whether an exchange was made.
func (l *lease) settle(now time.Time, err error) bool {
	t := l.trial
	l.trial.called = false
	done := err == nil && t.called
	if done {
		l.share, l.limit, l.owners, l.began = t.share, t.limit, t.owners, t.at
		l.renewed = t.at // the others see it not later than they count from
		l.failures, l.wary, l.hasty = 0, max(0, l.wary-1), max(0, l.hasty-1)
	} else {
		l.failures++
	}
	switch {
	case l.share == 0:
		l.held = time.Time{}
	case l.held.IsZero():
		l.held = now
	}
	l.next = now.Add(l.pause(l.hasty > 0 || done && t.hurry))
	return done
}

// pause is the time to the next exchange: a little different for each owner, so that they do not come at the same time, and longer while
// the store is away.
func (l *lease) pause(soon bool) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(l.owner))
	spread := time.Duration(h.Sum32()%200) * exchangeEvery / 1000 // 0 to 0.2
	p := (exchangeEvery*9/10 + spread) << min(max(0, l.failures-1), 3)
	if soon {
		p /= 4
	}
	return p
}

// due reports whether it is time for an exchange.
func (l *lease) due(now time.Time) bool { return !now.Before(l.next) }

// lapses reports whether the share must not be used any more: it was not exchanged for most of the TTL, and not for want of the store, which has answered others. So whoever takes this
// process for dead takes nothing from it.
func (l *lease) lapses(now, answered time.Time) bool {
	return l.share > 0 && now.Sub(l.renewed) >= l.ttl*3/4 && answered.Sub(l.renewed) >= l.ttl/2
}

// release makes the record without this process, which must not use the limit any more. It is a function for Store.Update, too.
func (l *lease) release(old []byte) ([]byte, error) {
	l.share, l.held = 0, time.Time{}
	if old == nil {
		return nil, nil
	}
	r, err := parseShares(old, l.kind)
	if err != nil {
		return nil, err
	}
	if i, ok := r.find(l.owner); ok {
		r.Owners = slices.Delete(r.Owners, i, i+1)
	}
	return r.bytes()
}
