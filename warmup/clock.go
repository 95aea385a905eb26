package warmup

import "time"

// Bounds of a clock that runs backwards.
const (
	// skew is how far the times of calls made at the same moment may lie apart.
	skew = int64(time.Minute)
	// maxBehind is how far a clock may be behind the latest time seen for the path to wait until it has caught up.
	maxBehind = int64(time.Hour)
	// putBackAfter is how long, by itself, a clock has to be further behind than that to be believed.
	putBackAfter = int64(10 * time.Minute)
)

// clock takes t for the time of the call, and returns the time of the path: t, or the latest time seen if that is later.
func (l *Ledger) clock(p *path, t int64) int64 {
	p.caller = t
	switch {
	case t >= p.seen:
		p.seen, p.behind = t, 0
	case p.seen-t <= skew:
		p.behind = 0
	case p.behind == 0:
		p.behind = max(t, 1)
		l.log.Warn("warm-up clock is behind", "route", p.Route, "provider", p.Provider, "behind", time.Duration(p.seen-t))
	case t < p.behind:
		p.behind = max(t, 1)
	}
	return p.seen
}

// misdated says that the latest time seen was wrong: the clock has been far behind it for long enough to be believed.
func (p *account) misdated() bool {
	return p.behind != 0 && p.seen-p.caller > maxBehind && p.caller-p.behind >= putBackAfter
}

// now is the time at which p and rec are to be merged: the latest that either has seen, unless that was wrong. Then what is on record
// for later than the caller's time is put back to it.
func (p *account) now(rec *record, at int64) int64 {
	wrong := p.misdated()
	if wrong && rec.Seen-p.caller > maxBehind {
		rec.putBack(p.caller)
	}
	// Where the record is older than what was written there, another owner has put it back.
	if wrong || p.loaded && rec.Seen != 0 && rec.Seen < p.synced {
		at = p.caller
	}
	return max(at, rec.Seen)
}

// putBack takes all that is on record for later than a time for things of that time. As long as no clock was ever behind the true
// time, everything on record truly happened at its time there or before, so that nothing stops counting early.
func (r *record) putBack(at int64) {
	for name, s := range r.Owners {
		for k := range kinds {
			w, _ := unpackWindow(k, s.Used[k]) // Was checked by decodeRecord.
			w.putBack(k, at)
			s.Used[k] = w.pack(k, at)
		}
		if s.Until > r.Seen {
			s.Until -= r.Seen - at // It keeps the time that it had left.
		}
		s.Until = max(0, s.Until)
		s.Period = min(s.Period, at)
		r.Owners[name] = s
	}
	r.Since, r.Period, r.IdleFrom = min(r.Since, at), min(r.Period, at), min(r.IdleFrom, at)
	r.Sent, r.Seen = min(r.Sent, at), at
}

// putBack takes what the window counted later than a time for counts of that time.
func (w *window) putBack(k kind, at int64) {
	width := k.span().width
	if len(w.buckets) == 0 || int64(w.newest) <= at/width {
		return
	}
	var c window
	for _, b := range w.buckets {
		c.add(k, min(w.number(b)*width, at), int(b.n))
	}
	*w = c
}

// sinceSeconds is how long a wait took, in whole seconds: what has to be added to the time of the call for that of its end.
func sinceSeconds(began time.Time) int64 { return int64(time.Since(began).Truncate(time.Second)) }
