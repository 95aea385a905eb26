package warmup

import (
	"cmp"
	"slices"
	"time"
)

// The life of a promise.
const (
	// leaseTerm is how long an owner may make reservations from a promise. It is also how old at most the record is that a complete or
	// a paused path goes by.
	leaseTerm = int64(10 * time.Minute)
	// maxHold is how long a reservation may stay unsettled, where several processes share a store. An SMTP transaction ends well before
	// (RFC 5321 section 4.5.3.2).
	maxHold = int64(time.Hour)
	// promiseLife is how long after it was made the last of a promise may reach the receiver.
	promiseLife = leaseTerm + maxHold
)

// The size of a promise, unless more is asked for at once.
const (
	// minBlock is what is promised where the windows have room for it.
	minBlock = 8
	// blockPart is the part of the day cap that is promised above that.
	blockPart = 50
	// ownerPart is the part of each cap that a promise may take, so that an owner that falls silent leaves the rest to the others.
	ownerPart = 8
)

// When to ask again if it is not time that has to pass.
const (
	// soon is for reservations of this owner that have to be settled.
	soon = int64(time.Second)
	// later is for promises of other owners, which have to be used, returned or lapse.
	later = int64(time.Minute)
)

// usable is how much may be reserved without the store. A promise is good for its term by the clock that it was made by.
func (p *path) usable() int {
	if p.ledger.store != nil && (p.caller < p.leased-skew || p.caller >= p.leased+leaseTerm) {
		return 0
	}
	return p.promise
}

// lapse counts a promise as used at its end, if that has come.
func (s *share) lapse(at int64) {
	if s.Ahead == 0 || s.Until > at {
		return
	}
	for k := range kinds {
		w, _ := unpackWindow(k, s.Used[k]) // Was checked by decodeRecord.
		w.add(k, max(s.Until, int64(w.newest)*k.span().width), min(s.Ahead, MaxCap))
		s.Used[k] = w.pack(k, at)
	}
	s.Ahead, s.Until = 0, 0
}

// spent says that nothing of the share counts at a time, nor in the day that began at period.
func (s *share) spent(at, period int64) bool {
	if s.Ahead > 0 || period != 0 && s.Period == period && s.Outcomes != (counts{}) {
		return false
	}
	for k := range kinds {
		w, _ := unpackWindow(k, s.Used[k]) // Was checked by decodeRecord.
		if w.usedAt(k, at) > 0 {
			return false
		}
	}
	return true
}

// lease works out the promise: at least n, otherwise minBlock or a fiftieth of the day cap, if that is no more than an eighth of each
// cap and all windows have it left. rec holds the other owners only.
//
// What is left of the promise before is given back, but for what the snapshot keeps: that is used meanwhile.
func (l *Ledger) lease(p *snapshot, rec *record, a *agreed, n int) {
	if n < 1 || a.ramp.paused || a.ramp.pos >= p.ladder.top() {
		return
	}
	caps := p.ladder.caps[a.ramp.pos]
	for _, s := range rec.Owners { // Owners with another plan and we keep within the smaller caps.
		for k := range kinds {
			if s.Plan != p.ladder.print && s.Caps[k] > 0 {
				caps[k] = min(caps[k], s.Caps[k])
			}
		}
	}
	left, block := MaxCap, max(minBlock, caps[dayWindow]/blockPart)
	for k := range kinds {
		all := []*window{&a.windows[k]}
		ahead := 0
		for _, s := range rec.Owners {
			w, _ := unpackWindow(k, s.Used[k]) // Was checked by decodeRecord.
			all = append(all, &w)
			ahead += s.Ahead
		}
		used := p.outstanding + ahead
		for _, w := range all {
			w.prune(k, a.at)
			used += w.sum
		}
		left, block = min(left, caps[k]-used), min(block, caps[k]/ownerPart)
		if excess := used + n - caps[k]; excess > 0 {
			until, found := freeAt(k, all, excess)
			switch {
			case found:
			case ahead > 0:
				until = a.at + later
			default:
				until = a.at + soon
			}
			if until > a.grant.until {
				a.grant = grant{until: until, kind: k, cap: caps[k], used: used}
			}
		}
	}
	if left >= n {
		a.promise = max(n, min(block, left))
	}
	if left >= p.kept {
		a.promise = max(a.promise, p.kept)
	}
}

// freeAt is when the windows together will have let go of excess, and false when they do not hold as much.
func freeAt(k kind, all []*window, excess int) (int64, bool) {
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
			return c.end, true
		}
	}
	return 0, false
}
