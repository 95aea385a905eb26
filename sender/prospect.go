package sender

import (
	"math"
	"time"

	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// prospect is what one route has for the delivery.
type prospect struct {
	on       Path
	overflow bool
	open     time.Time // when it can go on at the earliest
	sure     time.Time // before which it surely does not
	at       time.Time // when the delivery has its turn, if it takes this route
	ahead    int
	rate     float64 // deliveries a second of the lane; 0: no limit is known
	all      float64 // the same for all routes together, by what they share; 0: no limit
	busy     bool    // it is open, and only busy: no overflow
	shut     bool    // it is stopped or has no allowance
	stopped  bool    // by the receiver or an operator
	held     bool    // by an operator, who knows for how long
	barred   bool    // it is not for this mail
	vague    bool
	speed    bool
	waits    [2]Wait
	n        int // of waits
}

// clear reports whether nothing is in the way but what stands before the delivery in its lane, and that is on its way.
func (p *prospect) clear() bool { return p.n == 0 && !p.busy && !p.shut }

// comesBefore reports whether the delivery rather takes this route than another one.
func (p *prospect) comesBefore(o *prospect) bool {
	if p.held != o.held {
		return o.held
	}
	return p.at.Before(o.at)
}

func (p *prospect) wait(w Wait) {
	if p.n < len(p.waits) {
		p.waits[p.n] = w
		p.n++
	}
}

// look finds out what one route has for the delivery, in the order of try.
func (c *foresight) look(p *prospect, r *routeInfo) {
	d, l := c.d, &c.probe
	p.on = Path{Route: r.Name, Provider: l.dest.provider}
	site := l.dest.site
	if r.Relay != nil {
		p.on.Provider, site = RelayProvider, r.Relay.Addr
	}
	p.open, p.sure, p.at, p.ahead = c.start, c.start, c.start, c.own
	hold := d.holds.ofRoute(Path{Route: r.Name, Provider: l.dest.provider}, l.route == r.Name, c.start)
	if hold != nil {
		p.shut, p.stopped, p.held = true, true, hold.Until.IsZero()
		c.until(p, hold.wait(Path{Route: r.Name, Provider: l.dest.provider}))
	}
	if down, ok := d.down.Peek(c.now, r.Name+" "+site); ok && down.until.After(c.start) {
		p.busy = true
		c.until(p, Wait{Reason: WaitHost, Path: p.on, Until: down.until, Detail: "its hosts could not be reached"})
	}
	path := d.paths[p.on]
	state := d.stateOf(c.now, p.on, path)
	if state.Phase == throttle.PhaseStopped && state.Until.After(c.start) {
		p.shut, p.stopped = true, true
		c.until(p, Wait{Reason: WaitBackoff, Path: p.on, Until: state.Until, Detail: string(state.Reason)})
	}
	c.turn(p, r, path, state, c.beside(p, r))
	if hold != nil { // the other routes are tried, whatever else is in the way of this one
		p.busy, p.n = false, 1
	}
	if countNew(c.probe.buf, r.Name) > 0 {
		c.allowance(p, r)
	}
	if limit := c.now.Add(maxAhead); p.at.After(limit) {
		p.at = limit
	}
}

// until notes that a route is closed until a time.
func (c *foresight) until(p *prospect, w Wait) {
	p.wait(w)
	if w.Until.After(p.open) {
		p.open = w.Until
	}
	if w.Until.After(p.sure) {
		p.sure = w.Until
	}
	if w.Until.After(p.at) {
		p.at = w.Until
	}
}

// stateOf is what the throttle tells of a path. A Throttle that tells nothing is known by what it has answered.
func (d *dispatcher) stateOf(now time.Time, key Path, p *path) (state throttle.State) {
	if d.s.states != nil {
		return d.s.states.LookAt(now, throttle.Path(key))
	}
	state.Phase, state.Messages = throttle.PhaseOpen, -1
	if p != nil {
		state.Limits, state.Configured, state.Open = p.limits, p.limits, p.open
		if p.closed.Until.After(now) {
			state.Phase, state.Until, state.Reason = throttle.PhaseStopped, p.closed.Until, throttle.Reason(p.closed.Detail)
		}
	}
	return state
}

// beside looks at what a message counts against beside its path, and returns the rate that it leaves, in messages a second; 0: no limit. It leads to no overflow.
func (c *foresight) beside(p *prospect, r *routeInfo) (rate float64) {
	if c.d.s.states == nil {
		return 0
	}
	look := func(key throttle.Path) {
		s := c.d.s.states.LookAt(c.now, key)
		if s.Phase == throttle.PhaseStopped && s.Until.After(c.start) {
			p.busy = true
			c.until(p, Wait{Reason: WaitBackoff, Path: Path(key), Until: s.Until, Detail: string(s.Reason)})
		}
		if m := perSecond(s.Limits.MessageRate); m > 0 && (rate == 0 || m < rate) {
			rate = m
			if s.Messages == 0 && c.own == 0 {
				p.busy = true
				p.wait(Wait{Reason: WaitRate, Path: Path(key)})
			}
		}
	}
	l := &c.probe
	if l.stream.SigningDomain != "" {
		look(throttle.SigningDomain(l.stream.SigningDomain, l.dest.provider))
	}
	if c.d.s.domains != nil && r.Relay == nil && c.d.s.domains.LimitsDomainAt(c.now, r.Name, l.key.Domain) {
		look(throttle.DomainPath(r.Name, l.key.Domain))
	}
	return rate
}

// turn finds out when the delivery has its turn on a path, by what stands before it and how fast the path is. beside is the rate of beside.
func (c *foresight) turn(p *prospect, r *routeInfo, path *path, s throttle.State, beside float64) {
	inLine := path != nil && path.busy.len() > 0
	capped := !p.stopped && c.capped(p.on, r, path)
	full := !p.stopped && path != nil && c.full(path, s) || capped
	empty := s.Messages == 0 && !p.stopped
	before := float64(c.own)
	if inLine {
		if c.open = 0; full && !empty && path.open > 0 && r.Relay == nil {
			c.open = float64(path.live[c.probe.dest.site]) / float64(path.open)
		}
		before = c.rivals(&path.busy)
		c.open = 0
	}
	rate, measured := c.rateOf(p.on, r, path, s)
	p.ahead, p.rate, p.all = whole(before), rate, c.d.commonRate(p.on)*c.speedOf(p.on, path).group()
	if part := (float64(c.own) + 1) / (before + 1); rate > 0 {
		p.rate *= part
		p.all *= part
	}
	if beside > 0 && (p.rate == 0 || beside < p.rate) {
		p.rate = beside
	}
	half, from := 0.0, p.open
	if !p.stopped && (inLine || full || empty) {
		p.busy, half = true, 0.5 // the next one is on its way, who knows how far
		w := Wait{Reason: WaitTurn, Path: p.on}
		switch {
		case empty:
			if w.Reason = WaitRate; inLine && path.alarm.slot > 0 && path.alarm.at.After(from) { // then there is a token
				half, from, w.Until = 0, path.alarm.at, path.alarm.at
				p.sure = later(p.sure, from)
				p.at = later(p.at, from)
			}
		case full:
			w.Reason = WaitConnections
		}
		if p.ahead > 0 {
			w.Detail = itoa(p.ahead) + " before it"
		}
		p.wait(w)
	} else if before == 0 {
		return
	}
	if capped && path.connections() == 0 { // whose end it waits for, who knows
		p.vague, p.rate = true, 0
	}
	if p.rate == 0 {
		p.vague = true
		return
	}
	work, after := before+half, 0.0
	if !inLine && s.Messages > 0 {
		work = max(0, work-float64(s.Messages))
	}
	if rate > 0 {
		after = work / rate
	}
	if s.Cause == throttle.SignalRateLimited && s.Phase != throttle.PhaseOpen && !measured && s.Limits.MessageRate != s.Configured.MessageRate {
		after = rising(work, rate)
	}
	if beside > 0 {
		after = max(after, (float64(c.own)+half)/beside)
	}
	p.at = later(p.at, from.Add(seconds(after)))
	p.speed, p.vague = measured, p.vague || measured && c.speedOf(p.on, path).old(c.now)
}

// full reports whether a path can open no connection now by its own limits, and has none to use.
func (c *foresight) full(p *path, s throttle.State) bool {
	if len(p.idle) > 0 {
		return false
	}
	return s.Limits.Connections > 0 && p.open >= s.Limits.Connections
}

// capped reports whether a path has no connection to use, and can have none by what all paths, or those of the route or to the provider, may have together.
func (c *foresight) capped(on Path, r *routeInfo, p *path) bool {
	if p != nil && len(p.idle) > 0 {
		return false
	}
	cfg, of := &c.d.s.cfg, c.d.connsOf
	reached := func(n, most int) bool { return most > 0 && n >= most }
	return reached(c.d.conns, cfg.MaxConnections) && c.d.idle.Len() == 0 || // else the one that is idle for longest makes room
		reached(of[Path{Route: on.Route}], r.Cap.Connections) || reached(of[Path{Provider: on.Provider}], cfg.ProviderCaps[on.Provider].Connections)
}

// commonRate is how many messages a second all routes together may carry; 0: no limit.
func (d *dispatcher) commonRate(on Path) float64 {
	of, all := perSecond(d.s.cfg.ProviderCaps[on.Provider].MessageRate), perSecond(d.s.cfg.MaxMessageRate)
	if of == 0 || all > 0 && all < of {
		return all
	}
	return of
}

// speedOf is what is known of how fast a path was, or nil.
func (c *foresight) speedOf(on Path, p *path) *speed {
	if p != nil {
		return p.speed
	}
	sp, _ := c.d.speeds.Peek(c.now, on)
	return sp
}

// rateOf is how many deliveries a second a path carries: by its limits, by what its connections carry, and not more than it gave lately when it was asked for all. 0 when
// nothing is known of that.
func (c *foresight) rateOf(on Path, r *routeInfo, p *path, s throttle.State) (rate float64, measured bool) {
	sp := c.speedOf(on, p)
	least := func(v float64) bool {
		if v > 0 && (rate == 0 || v < rate) {
			rate = v
			return true
		}
		return false
	}
	least(perSecond(s.Limits.MessageRate) * sp.group())
	least(perSecond(r.Cap.MessageRate) * sp.group())
	least(c.d.commonRate(on) * sp.group())
	connections := s.Limits.Connections
	if s.Phase != throttle.PhaseOpen { // it comes back by one connection for each success: soon
		connections = s.Configured.Connections
	}
	if connections == 0 {
		connections = c.d.s.cfg.MaxConnections
	}
	if v, ok := sp.over(connections); ok && least(v) {
		measured = true
	}
	if v, ok := sp.measured(); ok && least(v) {
		measured = true
	}
	return rate, measured
}

// allowance finds out when a route that is being warmed up has room for the delivery, after those that wait for it already.
func (c *foresight) allowance(p *prospect, r *routeInfo) {
	d, l := c.d, &c.probe
	keys, n := d.s.budgets(l.stream, r, l.dest.provider)
	for _, key := range keys[:n] {
		line := d.paths[Path(key)]
		if d.s.rooms == nil {
			if line != nil && line.scarce.Until.After(c.start) && line.cold.len() > 0 {
				p.shut = true
				c.until(p, line.scarce)
			}
			continue
		}
		room := d.s.rooms.RoomAt(c.start, key)
		if room.N == math.MaxInt { // it is warm
			continue
		}
		if l.warmOnly && Path(key) == p.on {
			p.shut, p.barred = true, true
			p.wait(Wait{Reason: WaitWarmup, Path: p.on, Detail: "the message may not go over a route that is being warmed up"})
			continue
		}
		before := float64(c.own)
		if line != nil && line.cold.len() > 0 {
			before = c.rivals(&line.cold)
		}
		need := whole(before) + 1
		if room.N >= need {
			continue
		}
		p.shut, p.ahead = true, max(p.ahead, whole(before))
		w := Wait{Reason: WaitWarmup, Path: Path(key), Until: room.Until, Detail: string(room.Reason)}
		if room.Reason == warmup.ReasonPaused { // until an operator says otherwise
			p.vague = true
		}
		if room.N == 0 && room.Until.After(p.sure) {
			p.sure = room.Until
		}
		p.wait(w)
		at := room.Until
		if need > 1 {
			at = later(at, c.start.Add(d.roomFor(key, c.start, need)))
		}
		p.at = later(p.at, at)
		if within := d.s.forecaster; within != nil {
			if hour := within.RoomWithinAt(c.start, key, time.Hour); hour < math.MaxInt && (p.rate == 0 || float64(hour)/3600 < p.rate) {
				p.rate = float64(hour) / 3600
			}
		}
	}
}

// roomFor is in what time a path may carry n messages. Beyond a day it goes on as in it.
func (d *dispatcher) roomFor(key warmup.Path, now time.Time, n int) time.Duration {
	if d.s.forecaster == nil {
		return 0
	}
	const day = 24 * time.Hour
	within := func(t time.Duration) int { return d.s.forecaster.RoomWithinAt(now, key, t) }
	if all := within(day); all < n {
		return seconds(day.Seconds() * float64(n) / float64(max(1, all)))
	}
	low, high := time.Duration(0), day
	for high-low > time.Second && high-low > high/256 {
		if mid := low + (high-low)/2; within(mid) >= n {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}

// rising is in how many seconds so much is done at a rate that rises by a thirtieth of itself each minute, as that of a path does which a receiver has slowed (throttle).
func rising(work, rate float64) float64 {
	const over = 30 * 60
	return over * (math.Sqrt(1+2*work/(rate*over)) - 1)
}

// perSecond is a rate in messages a second; 0 for none.
func perSecond(r throttle.Rate) float64 {
	if r.N <= 0 || r.Per <= 0 {
		return 0
	}
	return float64(r.N) / r.Per.Seconds()
}
