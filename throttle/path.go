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
	cause         SignalKind
	until         time.Time
	allowed, goal int
	// What was learnt. ceiling is the most connections as of ceilingAt; 0 means none. It rises with time, and is gone at
	// ceilingTop, as many as were open when the receiver first refused one. perConnection is the most messages of a
	// connection as of perConnectionAt; 0 means none.
	ceiling, ceilingTop int
	perConnection       int
	messages, connects  bucket
	route, provider     *connectionCap

	ceilingAt, perConnectionAt time.Time
	// The stop began at began and was meant to take length.
	began  time.Time
	length time.Duration
	// The rows and windows that lead to a stop: blocks are the times of the latest blocks, the oldest first; blockRow and
	// networkRow count what came without a success, or without any reply, between.
	blocks               []time.Time
	blockRow, networkRow int
}

// How fast lowered limits come back.
const (
	ceilingStep       = time.Hour      // one connection more
	perConnectionHold = 24 * time.Hour // the configured number again
)

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
	times := []*time.Time{&p.began, &p.until, &p.ceilingAt, &p.perConnectionAt}
	for i := range p.blocks {
		times = append(times, &p.blocks[i])
	}
	for _, t := range times {
		if !t.IsZero() {
			*t = t.Add(by)
		}
	}
}

// live reports whether forgetting the path would let the receiver be sent more than it may be. What was learnt counts only
// until the path was not used for idle, as it ends for a path that nobody crowds out.
func (p *path) live(now time.Time, idle time.Duration) bool {
	if p.open > 0 || now.Before(p.until) || p.messages.tokens(now) < 1 || p.connects.tokens(now) < 1 {
		return true
	}
	if p.cause == "" && p.ceiling == 0 && p.perConnection == 0 || now.Sub(p.seen) >= idle {
		return false
	}
	p.effective(now) // forgets what was learnt too long ago
	return p.cause != "" || p.ceiling > 0 || p.perConnection > 0
}

// effective are the limits as lowered by signals.
func (p *path) effective(now time.Time) Limits {
	l := p.limits
	if p.ceiling > 0 {
		ceiling := p.ceiling + int(now.Sub(p.ceilingAt)/ceilingStep)
		if ceiling >= p.ceilingTop {
			p.ceiling = 0
		} else {
			l.Connections = tighter(l.Connections, ceiling)
		}
	}
	if p.perConnection > 0 {
		if now.Sub(p.perConnectionAt) >= perConnectionHold {
			p.perConnection = 0
		} else {
			l.MessagesPerConnection = tighter(l.MessagesPerConnection, p.perConnection)
		}
	}
	if p.cause != "" {
		l.Connections = tighter(l.Connections, max(1, p.allowed))
	}
	return l
}
