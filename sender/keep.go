package sender

import (
	"slices"
	"time"

	"github.com/reputemail/repute/warmup"
)

// maxKept bounds the deliveries that wait for the allowance of one path while others overflow.
const maxKept = 10_000

// mayOverflow decides which delivery of a lane overflows, now that none of the first routes takes its first one: it moves lane.from to it. As many as
// those routes may carry within Stream.OverflowAfter are kept for them, the best ones of the same arm of a migration, but none that has waited for so long already. It reports false when nothing is to
// overflow. The mutex is held.
func (d *dispatcher) mayOverflow(l *lane, of arm, routes []*routeInfo, met []obstacle, now time.Time) bool {
	patience := l.stream.OverflowAfter
	scarce := slices.IndexFunc(met, func(o obstacle) bool { return o.cold })
	if patience == 0 || scarce < 0 || d.s.forecaster == nil || l.warmOnly {
		d.retain(l, nil, 0)
		return true
	}
	on, room := met[scarce].path, 0
	for _, r := range routes {
		if _, held := d.suspended(l, r, now); held {
			continue
		}
		if _, n := d.s.budgets(l.stream, r, l.dest.provider); n > 0 {
			room = min(maxKept, room+min(maxKept, d.roomWithin(l, r, now, patience)))
		}
	}
	room = max(0, room-d.keptByBetter(l, on, now))
	n, till := 0, now.Add(patience)
	if l.keptOn == on && l.kept <= len(l.buf) && now.Before(l.keptTill) { // those are known to be worth it still
		n, till = min(l.kept, room), l.keptTill
	}
	for ; n < len(l.buf) && n < room && len(l.buf[n].History) == 0 && d.s.armOf(l.stream, l.dest.provider, l.buf[n].Recipient) == of; n++ {
		end := l.buf[n].Created.Add(patience)
		if !end.After(now) {
			break
		}
		if end.Before(till) {
			till = end
		}
	}
	d.retain(l, on, n)
	if l.keptTill = till; n > 0 {
		d.setEarlier(&l.alarm, till)
	}
	l.from = n
	return n < len(l.buf)
}

// keptByBetter is how much of the room of a path is taken by the lanes whose best mail is as good or better. The others have to make room. The mutex is held.
func (d *dispatcher) keptByBetter(l *lane, on *path, now time.Time) int {
	others := on.kept
	if l.keptOn == on {
		others -= l.kept
	}
	if others == 0 || len(on.cold.in) > maxCompare {
		return others
	}
	rank := l.rank()
	for o, theirs := range on.cold.in {
		if o != l && o.keptOn == on && o.kept > 0 && theirs < rank {
			others -= o.kept
			if !o.yields {
				o.yields = true
				d.setEarlier(&o.alarm, now)
			}
		}
	}
	return max(0, others)
}

// maxCompare is up to how many lanes in a line are compared with each other.
const maxCompare = 256

// roomWithin is about how many of a lane's deliveries may go over a route within a time.
func (d *dispatcher) roomWithin(l *lane, r *routeInfo, now time.Time, within time.Duration) int {
	room := maxKept
	keys, n := d.s.budgets(l.stream, r, l.dest.provider)
	for _, key := range keys[:n] {
		room = min(room, d.s.forecaster.RoomWithinAt(now, warmup.Path(key), within))
	}
	return room
}

// retain notes how many of a lane's deliveries wait for the allowance of a path. The mutex is held.
func (d *dispatcher) retain(l *lane, on *path, n int) {
	if l.keptOn != nil {
		l.keptOn.kept -= l.kept
	}
	l.keptOn, l.kept, l.yields = on, n, false
	if on != nil {
		on.kept += l.kept
	}
}
