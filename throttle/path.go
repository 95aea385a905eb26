package throttle

import "time"

// path is the state of one Path. The Limiter's lock guards it. What a decision reads comes first, so that it lies together
// in memory.
type path struct {
	limits Limits
	open   int
	// seen is the latest time that a call that uses the path gave.
	seen time.Time
	// cause is the signal that stopped the path, empty when it is open. The stop lasts to until (which stays when the path
	// is open again). From then on the path ramps: allowed connections, and open again when they reach goal.
	cause              SignalKind
	until              time.Time
	allowed, goal      int
	learnt             *learnt // nil: nothing
	messages, connects bucket
	route, provider    *capacity
	shares             *pathShares // where several processes have its limits together
	tickets            *tickets    // nil: it waits for no cap

	// The stop began at began and was meant to take length.
	began  time.Time
	length time.Duration
	// networkRow counts failures of the network without any reply between.
	networkRow int
	tally      tally
}

// clock takes note of the time and returns the one to use: never before an earlier one, unless the clock was set back.
func (p *path) clock(now time.Time) time.Time {
	p.seen = p.look(now)
	return p.seen
}

// look is clock without taking note: the path is not used.
func (p *path) look(now time.Time) time.Time {
	back := p.seen.Sub(now)
	switch {
	case back <= 0:
		return now
	case back > clockSlack:
		p.shift(now, -back)
	}
	return p.seen
}

// shift moves everything remembered by the distance that the clock jumped.
func (p *path) shift(now time.Time, by time.Duration) {
	p.seen = now
	p.messages, p.connects = bucket{}, bucket{}
	p.messages.start(now, p.limits.MessageRate, 0)
	p.connects.start(now, p.limits.ConnectRate, 0)
	for _, t := range []*time.Time{&p.began, &p.until} {
		if !t.IsZero() {
			*t = t.Add(by)
		}
	}
	p.tickets = nil
	if p.learnt != nil {
		p.learnt.shift(by)
	}
}

// live reports whether forgetting the path would let the receiver be sent more than it may be. What was learnt counts only
// until the path was not used for idle, as it ends for a path that nobody crowds out.
func (p *path) live(now time.Time, idle time.Duration) bool {
	if p.open > 0 || now.Before(p.until) || p.messages.tokens(now) < 1 || p.connects.tokens(now) < 1 {
		return true
	}
	if now.Sub(p.seen) >= idle {
		return false
	}
	return p.cause != "" || p.learnt != nil && !p.learnt.empty(now)
}

// effective are the limits as lowered by signals.
func (p *path) effective(now time.Time) Limits {
	l := p.limits
	if p.learnt != nil {
		p.learnt.lower(now, &l)
	}
	if p.shares != nil && p.shares.connections != nil {
		l.Connections = tighter(l.Connections, max(1, p.shares.connections.connections.most()))
	}
	if p.cause != "" {
		l.Connections = tighter(l.Connections, max(1, p.allowed))
	}
	return l
}

// surplus is how many connections are open above the limits and the shares of this process.
func (p *path) surplus(l *Limits) int {
	n := 0
	if l.Connections > 0 {
		n = p.open - l.Connections
	}
	if p.shares != nil && p.shares.connections != nil {
		n = max(n, p.open-p.shares.connections.connections.most())
	}
	for _, c := range [...]*capacity{p.route, p.provider} {
		if c != nil && c.connectionShare != nil {
			n = max(n, min(p.open, c.open-c.connectionShare.connections.most()))
		}
	}
	return max(0, n)
}

// lessons is where the path keeps what it learns.
func (p *path) lessons() *learnt {
	if p.learnt == nil {
		p.learnt = &learnt{}
	}
	return p.learnt
}

// full is why no further connection may be opened, or empty.
func (p *path) full(l *Limits, process *capacity) Reason {
	switch {
	case l.Connections > 0 && p.open >= l.Connections:
		return ReasonConnections
	case p.route.full():
		return ReasonRouteCap
	case p.provider.full():
		return ReasonProviderCap
	case process.full():
		return ReasonProcessCap
	}
	return ""
}

// takeMessage takes a message token from all that limits them, or says why and until when not. If one of them has none, the path's own are given back; of the caps it has
// a ticket then, so that no path takes from the others what is shared.
func (p *path) takeMessage(now time.Time, process *capacity) (until time.Time, why Reason) {
	ok := true
	if p.learnt != nil {
		if until, ok = p.learnt.take(now); !ok {
			return until, ReasonMessageRate
		}
	}
	if p.shares != nil && p.shares.messages != nil {
		until, ok = p.shares.messages.rate.take(now)
	} else {
		until, ok = p.messages.take(now)
	}
	if !ok {
		p.giveOwn(now, false)
		return until, ReasonMessageRate
	}
	if p.route == nil && p.provider == nil && (process == nil || process.rate == Rate{}) {
		return time.Time{}, ""
	}
	caps := [...]*capacity{p.route, p.provider, process}
	whys := [len(caps)]Reason{ReasonRouteRate, ReasonProviderRate, ReasonProcessRate}
	if p.tickets == nil {
		p.tickets = &tickets{}
	}
	for i, c := range caps {
		if !c.far(now, p.tickets, i) {
			continue
		}
		if until, ok = c.take(now, p.tickets, i); !ok {
			p.tickets.until = until
			p.giveOwn(now, true)
			return until, whys[i]
		}
		c.hold(now, p.tickets, i)
	}
	var refused [len(caps)]bool
	for i, c := range caps {
		at, ok := c.take(now, p.tickets, i)
		if refused[i] = !ok; refused[i] && (why == "" || at.After(until)) {
			until, why = at, whys[i]
		}
	}
	if why == "" {
		return time.Time{}, ""
	}
	p.tickets.until = until
	for i, c := range caps { // it keeps what it has, so that it has all of them some time
		if !refused[i] {
			c.hold(now, p.tickets, i)
		}
	}
	p.giveOwn(now, true)
	return until, why
}

// giveMessage gives a message token back.
func (p *path) giveMessage(now time.Time, process *capacity) {
	p.giveOwn(now, true)
	p.route.give(now)
	p.provider.give(now)
	process.give(now)
}

// giveOwn gives back what takeMessage took of the path itself.
func (p *path) giveOwn(now time.Time, messages bool) {
	if p.learnt != nil {
		p.learnt.give()
	}
	switch {
	case !messages:
	case p.shares != nil && p.shares.messages != nil:
		p.shares.messages.rate.give(now)
	default:
		p.messages.give(now)
	}
}

// takeConnect takes a token of the connect rate, or says when there will be one.
func (p *path) takeConnect(now time.Time) (until time.Time, ok bool) {
	if p.shares != nil && p.shares.connects != nil {
		return p.shares.connects.rate.take(now)
	}
	return p.connects.take(now)
}

func (p *path) giveConnect(now time.Time) {
	if p.shares != nil && p.shares.connects != nil {
		p.shares.connects.rate.give(now)
		return
	}
	p.connects.give(now)
}
