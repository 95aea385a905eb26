package sender

import (
	"slices"
	"time"

	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// RelayProvider is the provider in the Path of a relay's connections: what limits them is the relay, not the destination.
const RelayProvider = "relay"

// path is one route × provider with its open sessions and the lanes that wait for it. The dispatcher's mutex guards it.
type path struct {
	key    Path
	route  *routeInfo
	limits throttle.Limits // as of the latest decision about a connection

	surplus int                   // how many connections are to be closed, as of the latest decision
	closing int                   // that are being closed
	open    int                   // connections, from before they are dialled until they are closed
	live    map[string]int        // sessions, idle or not, by site
	rest    time.Time             // until when no further connection is opened: one was refused while others work
	idle    map[string][]*session // by site

	busy   line  // wait for a connection or a token
	cold   line  // have new mail only, and wait for warm-up allowance
	alarm  alarm // serves busy
	coldAt alarm // serves cold

	preparing   bool      // the pacer's store is being asked; the end of it serves cold
	prepared    time.Time // when it was last asked
	preparedFor int       // for how many; 0 if there was an answer since
	useful      bool      // there was an answer since the latest preparation began
	patience    time.Time // until when mail waits for the answer rather than go elsewhere; zero when the latest one was ready

	common  common  // for which routes what was scarce at the latest refusal was so
	begun   int     // messages
	yielded yielded // the latest turn that it left to another path

	starved  throttle.Reason // which cap it is in line for a connection of; empty: none
	hungry   []*stream       // for whose lanes that is
	fed      int             // in which round of feeding it was served last
	claiming int             // lanes that have their turn and claim what to send

	turn   *lane // whose turn in cold is kept, while it claims what to send
	kept   int   // deliveries that wait for its warm-up allowance while others overflow
	speed  *speed
	full   bool // the latest try found no room for anybody
	scarce Wait // the latest refusal for want of warm-up allowance
	closed Wait // the back-off that was told of as an event
}

// connections is how many are open; there may be no such path.
func (p *path) connections() int {
	if p == nil {
		return 0
	}
	return p.open
}

// tokenHold is how long a lane waits for room that no release or refill was promised for.
const tokenHold = time.Second

// maxClaiming is how many lanes of a path may claim at a time while their turn is kept.
const maxClaiming = 16

// maxTurns bounds the turns that are given in one go, beside one for each lane in the line.
const maxTurns = 1024

func (d *dispatcher) path(key Path, r *routeInfo) *path {
	p := d.paths[key]
	if p == nil {
		p = &path{key: key, route: r, idle: map[string][]*session{}, live: map[string]int{}}
		p.alarm.ring = func(time.Time) { d.serve(p, "") }
		p.coldAt.ring = func(now time.Time) { d.serveCold(p) }
		p.busy.ranked, p.cold.ranked = r.warming, true
		p.speed = d.speeds.GetOrCreate(time.Now(), key, func() *speed { return &speed{} })
		d.paths[key] = p
		// The limits are needed before the first connection: how many recipients a transaction may have.
		now := time.Now()
		dec := d.token(now, key, throttle.TokenConnection)
		if dec.OK {
			d.s.cfg.Throttle.ReleaseAt(now, throttle.Path(key), throttle.TokenUnopened)
		}
		p.limits = dec.Limits
	}
	return p
}

// forget drops a path that nobody uses. The mutex is held.
func (d *dispatcher) forget(p *path) {
	if p.open == 0 && p.claiming == 0 && p.starved == "" && p.busy.len() == 0 && p.cold.len() == 0 && p.kept == 0 && !p.preparing && !p.closed.Until.After(time.Now()) {
		d.opened(p, time.Now())
		d.alarms.clear(&p.alarm)
		d.alarms.clear(&p.coldAt)
		delete(d.paths, p.key)
	}
}

// opened tells that a path that was closed is open again.
func (d *dispatcher) opened(p *path, now time.Time) {
	if p.closed.Reason != "" {
		d.s.events.emit(Event{Type: EventPathOpened, Time: now, Path: p.key})
		p.closed = Wait{}
	}
}

// begin begins one attempt for the front of the lane's buf over the first route of its pool that is open and has room.
// Otherwise the lane stands in line for all routes that it may use. The mutex is held. It returns the path that took the
// attempt, or nil.
func (d *dispatcher) begin(l *lane, now time.Time) (on *path) {
	var obstacles [8]obstacle
	met := obstacles[:0]
	a, tiers, sticky := d.tiers(l)
	defer func() { l.from = 0 }()
choosing:
	for tier := 0; tier < len(tiers); tier++ {
		if tier == 1 && l.from == 0 && !sticky {
			if !d.mayOverflow(l, a, tiers[0], met, now) {
				break
			}
			if l.from > 0 { // it is for another delivery to overflow, which may be of the other arm
				before := a
				if a, tiers, sticky = d.tiers(l); a != before {
					tier = 0
				}
			}
		}
		if tier == 1 && sticky && !restsLong(met, now) {
			break
		}
		routes, saturated := tiers[tier], false
		if tier == 0 && !sticky && a.of == nil {
			routes = d.weights.order(now, l.stream.pool, l.dest.provider)
		}
		var scarce *obstacle // the first of them that is short of something common
		for _, r := range routes {
			if refusedBy(l.first(), r.Name) {
				continue
			}
			by := over{flow: tier > 0 && !sticky || slices.Contains(l.stream.pool.overflow, r), arm: a}
			if scarce != nil && scarce.common.holds(r) {
				by.behind = scarce
			}
			if by.flow {
				by.why = closing(l, met)
			}
			o, ok := d.try(l, r, now, by)
			if ok {
				if tier == 0 && !sticky {
					d.weights.took(now, l.stream.pool, l.dest.provider, r)
				}
				l.waits = l.waits[:0]
				return o.path
			}
			saturated = saturated || o.saturated
			met = append(met, o)
			if o.common != notCommon && scarce == nil {
				scarce = &o
			}
			if o.brief {
				break choosing
			}
		}
		if saturated && (a.arm != warmup.ArmNew || tier > 1) { // what the new way has no room for goes the old one: it must not hold that up
			break
		}
	}
	l.waits = l.waits[:0]
	if len(met) == 0 { // all of the pool have refused it, which was not so when it was put back: the pool is another one
		d.outbox = append(d.outbox, d.s.settler.refusedByAll(l.buf[0]))
		l.buf = l.buf[1:]
		d.retain(l, l.keptOn, max(0, l.kept-1))
		d.setEarlier(&l.alarm, now)
		return nil
	}
	if d.blocked(l, met, now) {
		return nil
	}
	for _, o := range met {
		l.waits = append(l.waits, o.wait)
		if d.stand(l, o, now) {
			d.s.stats.waited(Path{o.wait.Path.Route, l.dest.provider}, o.wait.Reason)
		}
	}
	return nil
}

// stickyFor is up to how long a delivery waits for the route on which it was tried before. Then another one may take it, though that is one to which a
// receiver that greylists has to get used.
const stickyFor = 15 * time.Minute

// restsLong reports whether the only obstacle is a path that is stopped or suspended for long.
func restsLong(met []obstacle, now time.Time) bool {
	for _, o := range met {
		if o.long {
			continue
		}
		switch o.wait.Reason {
		case WaitBackoff, WaitSuspended:
		default:
			return false
		}
		if o.saturated || !o.wait.Until.IsZero() && o.wait.Until.Sub(now) < stickyFor {
			return false
		}
	}
	return true
}

// over says whether a route is one for overflow, what led to it, for which arm of a migration it is tried, and which obstacle of a route before it is in its way too.
type over struct {
	flow   bool
	why    Wait
	arm    arm
	behind *obstacle
}

// closing is the first of the obstacles that led to another route: the one of the route that would have been the best.
func closing(l *lane, met []obstacle) Wait {
	if len(met) > 0 {
		return met[0].wait
	}
	if last := l.first().Last(); last != nil && last.Overflow {
		return Wait{Reason: WaitRetry, Detail: "it is tried again over the route that it took for: " + last.OverflowFor}
	}
	return Wait{}
}

// try begins an attempt over one route, or says what is in the way. Tokens that were taken in vain are given back.
func (d *dispatcher) try(l *lane, r *routeInfo, now time.Time, by over) (obstacle, bool) {
	if o, held := d.suspended(l, r, now); held {
		return o, false
	}
	key, site := Path{Route: r.Name, Provider: l.dest.provider}, l.dest.site
	if r.Relay != nil {
		key.Provider, site = RelayProvider, r.Relay.Addr
	}
	if o, rests := r.outlet.obstacle(key, now); rests {
		return o, false
	}
	if down, ok := d.down.Get(now, r.Name+" "+site); ok && down.until.After(now) {
		return obstacle{saturated: true, wait: Wait{Reason: WaitHost, Path: key, Until: down.until, Detail: "its hosts could not be reached"}}, false
	}
	p := d.path(key, r)
	if p.closed.Until.After(now) {
		p.full, p.common = true, notCommon
		return obstacle{path: p, wait: p.closed}, false
	}
	if by.behind != nil {
		if o, yields := p.yields(by.behind, now); yields {
			return o, false
		}
	}
	if (d.served != p || d.servedCold) && p.busy.others(l) {
		return obstacle{path: p, saturated: true, common: p.common, wait: Wait{Reason: WaitTurn, Path: key}}, false
	}
	also, o, ok := d.takeBeside(l, r, now)
	if !ok {
		return o, false
	}
	var granted allowance
	undo := func() {
		d.giveBack(&granted, now)
		d.giveBeside(&also, now, false)
	}
	limits := also.limit(p.limits)
	group, needs := d.groupFor(l, p, limits.Recipients)
	if needs > 0 {
		a, o, ok := d.allow(l, p, needs, now)
		if !ok && len(group) > 1 && !o.brief && !o.forbidden {
			group = group[:1]
			if needs = countNew(group, r.Name); needs > 0 {
				a, o, ok = d.allow(l, p, needs, now)
			}
		}
		if needs > 0 && !ok {
			undo()
			return o, false
		}
		granted = a
	}
	sess, behind := p.takeIdle(site), false
	if spare := d.spare; sess == nil && spare != nil && spare.path == p && spare.site == site {
		sess, behind, d.spare = spare, true, nil
	}
	if behind {
	} else if sess != nil {
		d.unidle(sess)
	} else if o, ok := d.openConnection(p, now); !ok {
		undo()
		return o, false
	}
	dec := d.token(now, key, throttle.TokenMessage)
	if !dec.OK {
		undo()
		if behind {
			d.spare = sess
		} else if sess != nil {
			d.keep(sess)
		} else {
			d.unopened(p, now)
		}
		d.limited(p, &dec)
		return d.throttled(p, dec, now), false
	}
	d.opened(p, now)
	p.begun++
	d.limited(p, &dec) // what was learnt meanwhile holds for sessions that are open, too
	if sess == nil {
		r.outlet.probe(now)
	}
	a := &attempt{lane: l, path: p, dest: l.dest, overflow: by.flow, overflowFor: by.why, arm: by.arm, allowance: granted, beside: also, limits: limits, session: sess}
	d.launch(a, group)
	if behind {
		d.ready, d.follower = d.ready[:len(d.ready)-1], a
	}
	return obstacle{path: p}, true
}

// groupFor is the group that one transaction over the path carries, of n at most (0: as many as there can be), and how many of it are new to the path.
func (d *dispatcher) groupFor(l *lane, p *path, n int) ([]queue.Delivery, int) {
	if n == 0 {
		n = maxRecipients
	}
	if l.stream.ReturnPath != nil {
		n = 1 // each has a reverse-path of its own
	}
	group := d.sameArm(l, l.group(n))
	return group, countNew(group, p.route.Name)
}

// countNew counts the deliveries whose first attempt over the route this would be, as the receiver sees it.
func countNew(group []queue.Delivery, route string) int {
	n := 0
	for i := range group {
		seen := false
		for _, a := range group[i].History {
			seen = seen || a.Route == route && a.Reply.Stage.SawMessage()
		}
		if !seen {
			n++
		}
	}
	return n
}

// refusedBy reports whether a route was refused for good with this delivery.
func refusedBy(del *queue.Delivery, route string) bool {
	for _, a := range del.History {
		if a.Route == route && a.Verdict.Permanent {
			return true
		}
	}
	return false
}

// throttled turns a decision of the throttle into an obstacle.
func (d *dispatcher) throttled(p *path, dec throttle.Decision, now time.Time) obstacle {
	o := obstacle{path: p, saturated: true, common: commonRates[dec.Reason], wait: Wait{Path: p.key, Until: dec.Until, Detail: string(dec.Reason)}}
	if p.key.Provider == RelayProvider && o.common == ofProvider { // that of relays
		o.common = notCommon
	}
	p.full, p.common = true, o.common
	switch dec.Reason {
	case throttle.ReasonRouteCap, throttle.ReasonProviderCap, throttle.ReasonProcessCap:
		o.wait.Reason = WaitConnections
		d.evictIdle(p)
		d.starve(p, dec.Reason)
	case throttle.ReasonConnections, throttle.ReasonShare:
		o.wait.Reason = WaitConnections
		d.evictIdle(p) // another site's, or one too many
	case throttle.ReasonBackoff, throttle.ReasonSuspended:
		o.wait.Reason, o.saturated = WaitBackoff, false
		for len(p.idle) > 0 {
			d.evictIdle(p)
		}
		if p.closed.Until != dec.Until {
			p.closed = o.wait
			d.s.events.emit(Event{Type: EventPathClosed, Time: now, Path: p.key, Wait: o.wait})
		}
	default:
		o.wait.Reason = WaitRate
	}
	if !o.wait.Until.IsZero() && !o.wait.Until.After(now) {
		o.wait.Until = now.Add(time.Millisecond)
	}
	return o
}

// tlsFor is the policy for a direct target: the stricter of the route's and the provider profile's.
func tlsFor(r *routeInfo, limits throttle.Limits) transport.TLSPolicy {
	if limits.TLS == throttle.TLSRequired && r.TLS != transport.TLSVerified {
		return transport.TLSRequired
	}
	return r.TLS
}
