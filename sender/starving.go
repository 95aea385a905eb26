package sender

import (
	"math"
	"slices"

	"github.com/reputemail/repute/throttle"
)

// yieldAfter is how many messages a session may carry while other paths wait for a connection of the process.
const yieldAfter = 10

// starve puts a path in line for a connection under a cap, for the streams of the lanes in its line. The lane that finds none stands there a moment later (stand).
func (d *dispatcher) starve(p *path, why throttle.Reason) {
	if p.starved == "" {
		d.starved = append(d.starved, p)
		for _, q := range p.busy.by {
			for st, t := range q.streams {
				if len(t.lanes) > 0 {
					d.hunger(p, st)
				}
			}
		}
	}
	p.starved = why
}

// hunger notes that a path which is in line for a connection is so for a stream.
func (d *dispatcher) hunger(p *path, st *stream) {
	if p.starved != "" && !slices.Contains(p.hungry, st) {
		p.hungry = append(p.hungry, st)
		d.hungry[st]++
	}
}

// sated takes a path out of the line for a connection.
func (d *dispatcher) sated(p *path) {
	d.starved = slices.DeleteFunc(d.starved, func(q *path) bool { return q == p })
	p.starved = ""
	for _, st := range p.hungry {
		if d.hungry[st]--; d.hungry[st] == 0 {
			delete(d.hungry, st)
		}
	}
	p.hungry = p.hungry[:0]
}

// feeds reports whether a connection less of p is what starving waits for.
func (p *path) feeds(starving *path) bool {
	switch starving.starved {
	case throttle.ReasonRouteCap:
		return p.key.Route == starving.key.Route
	case throttle.ReasonProviderCap:
		return p.key.Provider == starving.key.Provider
	}
	return true
}

// othersStarve reports whether another path than p waits for a connection that p has. If p is the only one, its open
// sessions are what it waits for.
func (d *dispatcher) othersStarve(p *path) bool {
	return slices.ContainsFunc(d.starved, func(o *path) bool { return o != p && p.feeds(o) })
}

// part is how much a stream has of what is being sent, by its weight, with so many attempts more.
func (d *dispatcher) part(st *stream, more int) float64 {
	return float64(d.sending[st]+more) / float64(st.Weight)
}

// owes reports whether a session that has just sent for a stream is to go to another one, which waits for a connection on another path and has less than its part of all of them even then. It
// gives way after each message then, else (othersStarve) after ten.
func (d *dispatcher) owes(s *session) bool {
	if len(d.hungry) == 0 || s.of == nil {
		return false
	}
	for st := range d.hungry {
		if st == s.of || d.part(st, 1) > d.part(s.of, 0) {
			continue
		}
		if slices.ContainsFunc(d.starved, func(o *path) bool { return o != s.path && s.path.feeds(o) && slices.Contains(o.hungry, st) }) {
			return true
		}
	}
	return false
}

// feed serves those who wait for a connection of what p had, now that there is one: first the path of the stream that has the least for its weight, of these the one that waits for longest.
func (d *dispatcher) feed(p *path) {
	if d.conns >= d.s.cfg.MaxConnections || d.stopping || d.served != nil {
		return
	}
	d.feeds++
	for len(d.starved) > 0 {
		o := d.hungriest(p)
		if o == nil {
			return
		}
		d.sated(o)
		o.fed = d.feeds
		before := d.conns
		d.serve(o, "")
		if d.conns > before || d.conns >= d.s.cfg.MaxConnections {
			return
		}
	}
}

// hungriest is the path that is served next; nil if there is none that was not already.
func (d *dispatcher) hungriest(p *path) (best *path) {
	least := 0.0
	for _, o := range d.starved {
		if o.fed == d.feeds || !p.feeds(o) {
			continue
		}
		for _, st := range o.hungry {
			if part := d.part(st, 0); best == nil || part < least {
				best, least = o, part
			}
		}
		if best == nil {
			best, least = o, math.Inf(1)
		}
	}
	return best
}
