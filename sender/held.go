package sender

import (
	"slices"
	"time"

	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/warmup"
)

// holdRecheck is how often it is looked whether a lane is still in the way of holds alone, and for how long a delivery steps aside that may use suspended
// routes only, while others of its lane may use another.
const holdRecheck = 15 * time.Minute

// heldBy is a hold as the dispatcher uses it.
type heldBy struct {
	Hold
	detail string // for Explain
}

// holdSet is what is suspended, as the dispatcher looks it up. It does not change. Nil is a set without holds.
type holdSet struct {
	routes, providers, streams, destinations map[string]*heldBy
	paths                                    map[Path]*heldBy
}

// newHoldSet makes a set of the holds whose time is not over; nil if there is none.
func newHoldSet(all map[string]*Hold, now time.Time) *holdSet {
	var set *holdSet
	for _, h := range all {
		if h.ended(now) {
			continue
		}
		if set == nil {
			set = &holdSet{
				routes: map[string]*heldBy{}, providers: map[string]*heldBy{}, streams: map[string]*heldBy{}, destinations: map[string]*heldBy{},
				paths: map[Path]*heldBy{},
			}
		}
		by := &heldBy{*h, h.words("")}
		switch {
		case h.Route != "" && h.Provider != "":
			set.paths[Path{Route: h.Route, Provider: h.Provider}] = by
		case h.Route != "":
			set.routes[h.Route] = by
		case h.Provider != "":
			set.providers[h.Provider] = by
		case h.Stream != "":
			set.streams[h.Stream] = by
		default:
			set.destinations[h.Destination] = by
		}
	}
	return set
}

// wait is why what it holds waits.
func (h *heldBy) wait(p Path) Wait {
	return Wait{Reason: WaitSuspended, Path: p, Until: h.Until, Detail: h.detail}
}

// active reports whether there is a hold and its time is not over.
func (h *heldBy) active(now time.Time) bool { return h != nil && !h.ended(now) }

// of is the hold under which all mail of a stream to a destination stands still, or nil. provider is empty where it is not known.
func (s *holdSet) of(stream, domain, provider string, now time.Time) *heldBy {
	if s == nil {
		return nil
	}
	if h := s.streams[stream]; h.active(now) {
		return h
	}
	if h := s.destinations[domain]; h.active(now) {
		return h
	}
	if h := s.providers[provider]; h.active(now) {
		return h
	}
	return nil
}

// ofRoute is the hold that closes a route to mail for a provider, or nil. Draining does not close it to mail that is bound to the route.
func (s *holdSet) ofRoute(p Path, bound bool, now time.Time) *heldBy {
	if s == nil {
		return nil
	}
	for _, h := range [2]*heldBy{s.routes[p.Route], s.paths[p]} {
		if h.active(now) && !(h.Drain && bound) {
			return h
		}
	}
	return nil
}

// closes reports whether sessions of a path are of no use: nothing may go over it. The path of a relay is that of all providers.
func (s *holdSet) closes(p Path, now time.Time) bool {
	return s.ofRoute(p, true, now) != nil || s != nil && s.providers[p.Provider].active(now)
}

// stands reports whether a lane stands still by an operator's order: nothing of it is claimed or begun, and what it had leased goes back, so that it
// costs nothing and other orders find it. The mutex is held.
func (d *dispatcher) stands(l *lane, now time.Time) bool {
	if d.holds == nil && len(d.ordered) == 0 {
		return false
	}
	if d.ordered[l.key] > 0 { // whoever carries out the order looks at what is leased, too
		return true
	}
	h := d.holdOf(l.key, l, now)
	if h == nil && (d.holds == nil || !l.blockedTill.After(now)) {
		return false
	}
	if h != nil {
		l.waits = append(l.waits[:0], h.wait(Path{}))
	}
	d.putBack(l)
	return true
}

// holdOf is the hold under which a lane stands still as a whole, or nil. l may be nil: a lane that is not known. The mutex is held.
func (d *dispatcher) holdOf(key queue.Lane, l *lane, now time.Time) *heldBy {
	stream, provider := key.Stream, ""
	if l != nil {
		if stream = l.stream.Name; l.dest != nil {
			provider = l.dest.provider
		}
	}
	return d.holds.of(stream, key.Domain, provider, now)
}

// standsAt reports whether new mail of a lane would stand still. l may be nil. The mutex is held.
func (d *dispatcher) standsAt(key queue.Lane, l *lane, now time.Time) bool {
	if d.holds == nil && len(d.ordered) == 0 {
		return false
	}
	return d.ordered[key] > 0 || d.holdOf(key, l, now) != nil || d.holds != nil && l != nil && l.blockedTill.After(now)
}

// putBack gives back to the queue what a lane has leased. The mutex is held.
func (d *dispatcher) putBack(l *lane) {
	if len(l.buf) == 0 {
		return
	}
	for i := range l.buf {
		del := &l.buf[i]
		l.best = max(l.best, del.Priority)
		l.hold(1, d.counts)
		d.outbox = append(d.outbox, settled{Settlement: release(del), lane: del.Lane})
	}
	l.buf = nil
	d.retain(l, nil, 0)
}

// suspended is the obstacle of a route that an operator has suspended, for the lane's mail. The mutex is held.
func (d *dispatcher) suspended(l *lane, r *routeInfo, now time.Time) (obstacle, bool) {
	if d.holds == nil {
		return obstacle{}, false
	}
	p := Path{Route: r.Name, Provider: l.dest.provider}
	h := d.holds.ofRoute(p, l.route == r.Name, now)
	if h == nil {
		return obstacle{}, false
	}
	return obstacle{wait: h.wait(p)}, true
}

// blocked makes a lane stand still when nothing but holds is in its way, and reports whether it does. It stands in no line: when a hold ends, or another
// comes, all lanes are looked at again. The mutex is held.
func (d *dispatcher) blocked(l *lane, met []obstacle, now time.Time) bool {
	if d.holds == nil {
		return false
	}
	till := now.Add(holdRecheck)
	for i := range met {
		w := &met[i].wait
		if w.Reason != WaitSuspended {
			return false
		}
		if !w.Until.IsZero() && w.Until.Before(till) {
			till = w.Until
		}
	}
	if d.holdsUpOthers(l) {
		aside := release(l.first())
		aside.After = till.Sub(now)
		d.outbox = append(d.outbox, settled{Settlement: aside, lane: l.first().Lane})
		l.buf = slices.Delete(l.buf, l.from, l.from+1)
		d.retain(l, nil, 0)
		d.setEarlier(&l.alarm, now)
		return true
	}
	first := !l.blockedTill.After(now)
	for i := range met {
		l.waits = append(l.waits, met[i].wait)
		if first {
			d.s.stats.waited(met[i].wait.Path, WaitSuspended)
		}
	}
	l.blockedTill = till
	d.putBack(l)
	d.setEarlier(&l.alarm, till)
	return true
}

// holdsUpOthers reports whether the lane's first delivery has fewer routes than others of the lane, those among them that are still to come: some have refused it; or than one behind it,
// where a migration has not moved its recipient. The mutex is held.
func (d *dispatcher) holdsUpOthers(l *lane) bool {
	first, behind := l.first(), l.buf[l.from+1:]
	if refused(first) {
		return true
	}
	if len(l.stream.migrations) == 0 {
		return false
	}
	armed := func(del *queue.Delivery, as warmup.Arm) bool {
		return d.s.armOfDelivery(l.stream, l.dest.provider, del).arm == as
	}
	return armed(first, warmup.ArmControl) && slices.ContainsFunc(behind, func(o queue.Delivery) bool { return armed(&o, warmup.ArmNew) })
}

// setHolds has the dispatcher obey other holds from now on. What is leased and stands still goes back, what goes on does so, when the lanes are
// reviewed.
func (d *dispatcher) setHolds(set *holdSet) {
	d.mu.Lock()
	defer d.mu.Unlock() // nothing is begun or settled here
	d.holds = set
	if set == nil || d.stopping {
		return
	}
	now := time.Now()
	for _, p := range d.paths {
		for len(p.idle) > 0 && set.closes(p.key, now) {
			d.evictIdle(p)
		}
	}
}

// review brings all lanes forward as far as the holds that are in force now let them.
func (d *dispatcher) review() {
	d.mu.Lock()
	all := make([]*lane, 0, len(d.lanes))
	for _, l := range d.lanes {
		all = append(all, l)
	}
	d.mu.Unlock()
	for part := range slices.Chunk(all, lookStep) {
		d.mu.Lock()
		now := time.Now()
		for _, l := range part {
			if d.lanes[l.key] != l {
				continue
			}
			l.blockedTill = time.Time{}
			l.waits = slices.DeleteFunc(l.waits, func(w Wait) bool { return w.Reason == WaitSuspended })
			switch {
			case len(l.buf) > 0 || !l.due.IsZero() && !l.due.After(now):
				d.advance(l, 0)
			case l.idle():
				d.alarms.clear(&l.alarm)
				delete(d.lanes, l.key)
			}
		}
		d.unlock()
	}
}

// heldWaits are the holds that a delivery waits for, whether its lane was looked into or not. l may be nil. The mutex is held.
func (d *dispatcher) heldWaits(del *queue.Delivery, l *lane, now time.Time) (waits []Wait) {
	if d.holds == nil {
		return nil
	}
	key, p := del.Lane, Path{}
	if h := d.holdOf(key, l, now); h != nil {
		waits = append(waits, h.wait(Path{}))
	}
	if l != nil && l.dest != nil {
		p.Provider = l.dest.provider
	} else if dest, ok := d.known.Peek(now, key.Domain); ok {
		p.Provider = dest.provider
	}
	route, pool, _ := splitLaneRoute(key.Route)
	bound := []string{route} // it is to be tried again there
	if route == "" && refused(del) {
		bound = bound[:0]
		for _, r := range d.inPool(d.s.stream(key.Stream), pool).pool.routes {
			if !refusedBy(del, r.Name) { // it has no other one
				bound = append(bound, r.Name)
			}
		}
	}
	for _, name := range bound {
		p.Route = name
		if h := d.holds.ofRoute(p, name == route, now); h != nil {
			waits = append(waits, h.wait(p))
		}
	}
	return waits
}
