package warmup

import "maps"

// merge brings rec and a snapshot of a path together, in this order: the time, the windows, the ramp, the lease. It changes rec but not p.
//
// The lease keeps this invariant: for each window, the sum over all owners of what they have on record as used and what they are
// promised is at most the cap of the stage. Owners use promises without the record, which moves counts from "promised" to "used"; a
// promise that has come to its end without word from its owner counts as used then, which is not before it was; and time only takes
// counts away. So the sum rises here only, where it is checked, whatever the other owners do or fail to do.
func (l *Ledger) merge(p *snapshot, rec *record, q ask) (agreed, error) {
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
	all := rec.outcomes(before)
	all.addAll(a.outcomes)
	was := a.ramp
	var why Evidence
	a.ramp, why = a.ramp.next(p.ladder, rec.Provider, at, a.lastSent, day{all, p.burst(p.ladder.gate.BlockBurst, at), p.scarce})
	if q.edit != nil {
		a.ramp, why = q.edit(a.ramp, at), Evidence{}
	}
	a.change = p.ladder.change(Path{rec.Route, rec.Provider}, was, a.ramp, at, why, was.carry.with(all))
	if a.change.Actor = q.actor; q.edit != nil && a.change.Path != (Path{}) {
		a.change.Time = q.told
	}
	ended := a.ramp.period != before
	l.lease(p, rec, &a, q.n)
	if q.n > 0 && a.grant.until == 0 && !a.ramp.paused {
		a.ramp = a.ramp.begin(p.ladder, at)
		if ended && a.ramp.period == before { // Two days are told apart by when they began.
			a.ramp.period++
		}
	}
	if a.ramp.period != before {
		a.outcomes = counts{}
	}
	l.put(p, rec, &a)
	a.shared = len(rec.Owners) > 1
	return a, nil
}

// put writes what was agreed into rec, and forgets owners of whom nothing counts any more.
func (l *Ledger) put(p *snapshot, rec *record, a *agreed) {
	rec.setRamp(a.ramp, p.ladder)
	rec.Seen, rec.Sent = a.at, a.lastSent
	maps.DeleteFunc(rec.Owners, func(_ string, s share) bool { return s.spent(a.at, a.ramp.period) })
	mine := share{Session: l.session, Ahead: min(p.outstanding+max(a.promise, p.kept), maxAhead), Outcomes: a.outcomes, Period: a.ramp.period}
	if a.ramp.pos < p.ladder.top() && l.store != nil {
		mine.Plan, mine.Caps = p.ladder.print, p.ladder.caps[a.ramp.pos]
	}
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

// apply makes what is on record the state of p, with what happened since the snapshot.
func (l *Ledger) apply(p *path, s *snapshot, a agreed, committed int) {
	if a.change.Path != (Path{}) {
		l.note(a.change)
	}
	at := max(a.at, p.caller)
	if p.seen > s.seen { // Otherwise it may have been wrong, and is put back.
		at = max(at, p.seen)
	}
	p.seen, p.synced, p.leased = at, a.at, s.caller
	if p.seen-p.caller <= skew {
		p.behind = 0
	}
	p.lastSent = max(a.lastSent, min(p.lastSent, at))
	for k := range kinds {
		if s.loaded {
			p.windows[k].putBack(k, at)
		} else {
			p.windows[k] = a.windows[k]
		}
	}
	outcomes, meanwhile := a.outcomes, p.outcomes != s.outcomes
	if a.ramp.period != 0 {
		for i := range outcomes {
			outcomes.add(i, int(p.outcomes[i]-s.outcomes[i]))
		}
	}
	if a.ramp.period != p.ramp.period || a.ramp.period == 0 {
		p.blocks, p.scarce = nil, false
	}
	p.outcomes, p.ramp = outcomes, a.ramp
	p.tripped = meanwhile && !p.ramp.rests(at) && p.judge(at).level == levelBack // else it is not so with what the others observed: the next bad outcome asks again
	p.promise, p.granted = p.promised(s, a, committed), int32(min(a.promise, MaxCap))
	if a.ramp.pos < s.ramp.pos { // What was refunded meanwhile is on record, but may be more than the stage now allows.
		p.promise = min(p.promise, a.promise)
	}
	p.loaded, p.shared, p.full = true, a.shared, nil
}

// promised is what is left of the promise that a snapshot led to. What is outstanding now and was not then has been taken from it, and
// so have the messages committed since: on record both are still ahead.
func (p *path) promised(s *snapshot, a agreed, committed int) int {
	return max(0, a.promise-(p.outstanding-s.outstanding)-committed)
}
