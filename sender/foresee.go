package sender

import (
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/reputemail/repute/internal/keyed"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/route"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// foresight is the forecast for one delivery in the making. It goes the way that begin and try go, without taking anything.
type foresight struct {
	d     *dispatcher
	l     *lane // nil: the dispatcher knows of no mail in it
	probe lane  // what begin would see: a lane with this delivery alone
	del   *queue.Delivery
	now   time.Time
	start time.Time // when its lane begins at the earliest
	own   int       // deliveries before it in its lane
	open  float64   // the share of a path's connections that is to its site, while the line of that path is looked at
	f     Forecast
	vague bool // something in the way is not known
	speed bool // a speed decided
	one   [1]queue.Delivery
	room  [8]prospect
}

// prospect is what one route has for the delivery.
type prospect struct {
	on       Path
	overflow bool
	open     time.Time // when it can go on at the earliest
	sure     time.Time // before which it surely does not
	at       time.Time // when the delivery has its turn, if it takes this route
	ahead    int
	rate     float64 // deliveries a second of the lane; 0: no limit is known
	busy     bool    // it is open, and only busy: no overflow
	shut     bool    // it is stopped or has no allowance
	stopped  bool    // by the receiver
	barred   bool    // it is not for this mail
	vague    bool
	speed    bool
	waits    [2]Wait
	n        int // of waits
}

// clear reports whether nothing is in the way but what stands before the delivery in its lane, and that is on its way.
func (p *prospect) clear() bool { return p.n == 0 && !p.busy && !p.shut }

func (p *prospect) wait(w Wait) {
	if p.n < len(p.waits) {
		p.waits[p.n] = w
		p.n++
	}
}

// Bounds of a forecast.
const (
	maxAhead  = 365 * 24 * time.Hour // further ahead is told as this
	maxRivals = 32                   // lanes of a stream in a line that are looked at; the others are taken to be like them
	maxKnown  = 10_000               // destinations of which the provider is remembered
	knownFor  = 24 * time.Hour       // unused
)

func newKnown() *keyed.Map[string, *destination] {
	return keyed.New(keyed.Config[string, *destination]{Max: maxKnown, Idle: knownFor})
}

// know remembers where a domain's mail goes, for forecasts and statistics when its lane is gone.
func (d *dispatcher) know(domain string, dest *destination) { d.known.Put(time.Now(), domain, dest) }

// forecast is that of a delivery that would be put now, at the end of its lane as its priority has it.
func (d *dispatcher) forecast(st *stream, del *queue.Delivery) Forecast {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	l := d.lanes[del.Lane]
	own := 0
	if l != nil {
		own = l.ahead(del.Priority)
	}
	return d.foresee(st, del, now, own)
}

// ahead is how many of a lane's deliveries would go before a new one.
func (l *lane) ahead(priority int) int {
	n := sort.Search(len(l.buf), func(i int) bool { return l.buf[i].Priority < priority })
	if priority <= l.best || l.best == minRank {
		n += l.queued
	}
	return n
}

// foresee is the forecast of a delivery with so many before it in its lane. The mutex is held.
func (d *dispatcher) foresee(st *stream, del *queue.Delivery, now time.Time, own int) Forecast {
	c := &d.foresight // the mutex is held, and it is large
	defer c.forget()
	c.d, c.l, c.del, c.now, c.start, c.own = d, d.lanes[del.Lane], del, now, now, own
	c.f = Forecast{Stream: del.Lane.Stream, Destination: del.Lane.Domain, At: now, Earliest: now, Basis: BasisClear, Ahead: own}
	if d.stopping {
		c.vague = true
		c.f.Waits = []Wait{{Reason: WaitStopped}}
		return c.done()
	}
	if del.Due.After(now) && del.State == queue.Waiting {
		c.start = del.Due
	}
	dest := c.destination(st)
	if dest == nil {
		return c.done()
	}
	c.f.Provider = dest.provider
	c.probe = lane{key: del.Lane, stream: st, dest: dest, best: del.Priority}
	c.probe.route, c.probe.pool, c.probe.warmOnly = splitLaneRoute(del.Lane.Route)
	c.probe.stream = c.d.inPool(st, c.probe.pool)
	c.one[0] = *del
	c.probe.buf = c.one[:]
	if c.l != nil {
		for _, w := range c.l.waits {
			if w.ours() && w.Until.After(c.now) {
				c.f.Waits = append(c.f.Waits, w)
				c.start, c.vague = later(c.start, w.Until), true // whether it gets through then, who knows
			}
		}
	}
	c.f.Earliest = c.start
	c.choose()
	return c.done()
}

// forget makes it ready for the next one.
func (c *foresight) forget() {
	c.l, c.del, c.probe, c.one[0], c.f = nil, nil, lane{}, queue.Delivery{}, Forecast{}
	c.vague, c.speed = false, false
}

// destination is where the mail goes, as far as that is known without asking.
func (c *foresight) destination(st *stream) *destination {
	domain := c.del.Lane.Domain
	w := Wait{Reason: WaitDNS}
	if c.l != nil {
		if c.l.dest != nil && !c.l.dnsUntil.After(c.now) {
			return c.l.dest
		}
		if c.l.dnsUntil.After(c.now) {
			w.Until = c.l.dnsUntil
			for _, told := range c.l.waits {
				if told.Reason == WaitDNS {
					w.Detail = told.Detail
				}
			}
			if w.Until.After(c.start) {
				c.start = w.Until
			}
			c.f.Earliest = c.start
		}
	}
	if w.Until.IsZero() {
		if dest, ok := c.d.known.Get(c.now, domain); ok {
			return dest
		}
		if !st.direct {
			dest := c.d.relayed(domain, c.now)
			c.d.known.Put(c.now, domain, dest)
			return dest
		}
	}
	c.vague = true
	c.f.Waits = append(c.f.Waits, w)
	return nil
}

// done makes the forecast consistent.
func (c *foresight) done() Forecast {
	f := &c.f
	if f.At.Before(c.start) {
		f.At = c.start
	}
	if last := c.now.Add(maxAhead); f.At.After(last) {
		f.At = last
	}
	if f.Earliest.Before(c.now) {
		f.Earliest = c.now
	}
	if f.Earliest.After(f.At) {
		f.Earliest = f.At
	}
	switch {
	case c.vague:
		f.Basis = BasisUnknown
	case c.speed:
		f.Basis = BasisSpeed
	case f.At.After(c.now) || len(f.Waits) > 0:
		f.Basis = BasisLimits
	}
	return *f
}

// choose looks at the routes of the pool in their order, as begin does, and takes the one on which the delivery has its turn first.
func (c *foresight) choose() {
	d, l := c.d, &c.probe
	if len(l.stream.migrations) > 0 && c.del.Recipient == "" { // whose way is not known: the old one is for all
		st := *l.stream
		st.migrations = nil
		l.stream = &st
	}
	a, tiers, sticky := d.tiers(l)
	met := c.room[:0]
tiers:
	for tier, routes := range tiers {
		if tier == 1 && (sticky && !c.leaves(met) || !sticky && !c.overflows(met, &tiers)) {
			break
		}
		if tier == 0 && !sticky && a.of == nil {
			routes = d.weights.order(c.now, l.stream.pool, l.dest.provider)
		}
		busy := false
		for _, r := range routes {
			if refusedBy(c.del, r.Name) {
				continue
			}
			if len(met) == cap(met) {
				break tiers
			}
			met = append(met, prospect{})
			p := &met[len(met)-1]
			p.overflow = tier > 0 && !sticky || slices.Contains(l.stream.pool.overflow, r)
			c.look(p, r)
			if p.clear() {
				c.take(met, len(met)-1)
				return
			}
			busy = busy || p.busy
		}
		if busy && (a.arm != warmup.ArmNew || tier > 1) {
			break
		}
	}
	first := -1
	for i := range met {
		if !met[i].barred && (first < 0 || met[i].at.Before(met[first].at)) {
			first = i
		}
	}
	if first < 0 { // there are only routes that are not for this mail, or none
		c.vague = true
		for i := range met {
			c.f.Waits = append(c.f.Waits, met[i].waits[:met[i].n]...)
		}
		return
	}
	c.take(met, first)
}

// leaves reports whether a delivery leaves the route on which it was tried before: when that is stopped for long.
func (c *foresight) leaves(met []prospect) bool {
	for i := range met {
		if !met[i].stopped || met[i].busy || met[i].open.Sub(c.start) < stickyFor {
			return false
		}
	}
	return true
}

// overflows reports whether the delivery overflows, now that the first routes are shut: at once, or since these may not carry what stands before it for as long as it may wait.
func (c *foresight) overflows(met []prospect, tiers *[4][]*routeInfo) bool {
	patience := c.probe.stream.OverflowAfter
	if patience == 0 || c.d.s.forecaster == nil || c.probe.warmOnly {
		return true
	}
	cold := slices.IndexFunc(met, func(p prospect) bool { return p.shut && !p.stopped })
	if cold < 0 || len(tiers[1])+len(tiers[2])+len(tiers[3]) == 0 {
		return true
	}
	room := 0
	for _, r := range tiers[0] {
		if _, n := c.d.s.budgets(c.probe.stream, r, c.probe.dest.provider); n > 0 {
			room = min(maxKept, room+min(maxKept, c.d.roomWithin(&c.probe, r, c.now, patience)))
		}
	}
	kept := c.own
	if p := c.d.paths[met[cold].on]; p != nil {
		kept = p.kept
		if c.l != nil && c.l.keptOn == p { // of its own lane only those before it
			kept += min(0, c.own-c.l.kept)
		}
	}
	if kept >= room {
		return true
	}
	if latest := c.now.Add(patience); met[cold].at.After(latest) {
		met[cold].at = latest // then it overflows
	}
	return false
}

// take makes the forecast of what was found, with the delivery on one of the prospects.
func (c *foresight) take(met []prospect, first int) {
	p, f := &met[first], &c.f
	f.Path, f.Overflow, f.Ahead, f.At, f.Rate = p.on, p.overflow, p.ahead, p.at, p.rate
	c.speed = c.speed || p.speed
	sure := p.sure
	for i := range met {
		if !met[i].barred && met[i].sure.Before(sure) {
			sure = met[i].sure
		}
		f.Waits = append(f.Waits, met[i].waits[:met[i].n]...)
	}
	if p.clear() {
		return
	}
	c.vague = c.vague || p.vague
	f.Earliest = later(f.Earliest, sure)
	c.together(met, p)
}

// together brings the time forward where several routes share what stands before the delivery.
func (c *foresight) together(met []prospect, first *prospect) {
	all := make([]*prospect, 0, 8)
	for i := range met {
		if p := &met[i]; !p.barred && p.rate > 0 && (p.stopped || !p.shut) {
			all = append(all, p)
		}
	}
	if len(all) < 2 || first.shut && !first.stopped {
		return
	}
	slices.SortFunc(all, func(a, b *prospect) int { return a.open.Compare(b.open) })
	rate, lost := 0.0, 0.0 // what those that are open carry a second, and what they have not carried before they were open
	for i, p := range all {
		rate += p.rate
		lost += p.rate * p.open.Sub(c.start).Seconds()
		at := c.start.Add(seconds((float64(c.own) + 1 + lost) / rate))
		if i+1 < len(all) && at.After(all[i+1].open) {
			continue
		}
		if at.Before(c.f.At) {
			c.f.At, c.f.Rate = at, rate
		}
		return
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
	full := path != nil && !p.stopped && c.full(path, s)
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
	if p.ahead, p.rate = whole(before), rate; rate > 0 {
		p.rate *= (float64(c.own) + 1) / (before + 1)
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
	p.speed = measured
}

// full reports whether a path can open no connection now, and has none to use.
func (c *foresight) full(p *path, s throttle.State) bool {
	if len(p.idle) > 0 {
		return false
	}
	return s.Limits.Connections > 0 && p.open >= s.Limits.Connections || c.d.conns >= c.d.s.cfg.MaxConnections
}

// rateOf is how many deliveries a second a path carries: by its limits, by what its connections carry, and not more than it gave lately when it was asked for all. 0 when
// nothing is known of that.
func (c *foresight) rateOf(on Path, r *routeInfo, p *path, s throttle.State) (rate float64, measured bool) {
	var sp *speed
	if p != nil {
		sp = p.speed
	} else {
		sp, _ = c.d.speeds.Peek(c.now, on)
	}
	least := func(v float64) bool {
		if v > 0 && (rate == 0 || v < rate) {
			rate = v
			return true
		}
		return false
	}
	least(perSecond(s.Limits.MessageRate) * sp.group())
	least(perSecond(r.Cap.MessageRate) * sp.group())
	least(perSecond(c.d.s.cfg.ProviderCaps[on.Provider].MessageRate) * sp.group())
	least(perSecond(c.d.s.cfg.MaxMessageRate) * sp.group())
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

// rivals is how many deliveries of all lanes in a line go before this one: those before it in its lane; of each other lane of its stream as many as it has turns itself; of
// the other streams by their weights.
func (c *foresight) rivals(q *line) float64 {
	if !q.ranked {
		n := float64(c.own)
		for _, fair := range q.by {
			n += c.fairRivals(fair)
		}
		return n
	}
	mine := c.del.Priority
	if c.l != nil {
		mine = max(mine, c.l.rank())
	}
	n := float64(c.own)
	for rank, fair := range q.by {
		switch {
		case rank > mine:
			for _, t := range fair.streams {
				n += backlog(t, c.l, math.MaxInt, "")
			}
		case rank == mine:
			n += c.fairRivals(fair)
		}
	}
	return n
}

// fairRivals is rivals for the lanes of one fairQueue.
func (c *foresight) fairRivals(q *fairQueue) float64 {
	mine := c.stream()
	turns := float64(c.own) + 1
	if t := q.streams[mine]; t != nil {
		fair := turns + backlog(t, c.l, c.own+1, "")
		if c.open > 0 { // a session that becomes free is for a lane that can use it
			fair = min(fair, (turns+backlog(t, c.l, c.own+1, c.probe.site()))/c.open)
		}
		turns = fair
	}
	n := turns - float64(c.own) - 1
	for st, t := range q.streams {
		if st != mine && len(t.lanes) > 0 {
			n += min(backlog(t, c.l, math.MaxInt, ""), turns*float64(st.Weight)/float64(max(1, mine.Weight)))
		}
	}
	return n
}

// stream is the delivery's, as the lines know it.
func (c *foresight) stream() *stream {
	if c.l != nil {
		return c.l.stream
	}
	return c.d.s.stream(c.del.Lane.Stream)
}

// backlog is about how many deliveries the lanes of a stream in line hold, or those to one site, each counted up to a number, without one lane.
func backlog(t *turn, without *lane, atMost int, site string) float64 {
	sum, seen, rest := 0, 0, len(t.lanes)
	for _, l := range t.lanes[:min(rest, maxRivals)] {
		seen++
		if l != without && (site == "" || l.site() == site) {
			sum += min(atMost, max(1, len(l.buf)+l.queued))
		}
	}
	if seen == 0 {
		return 0
	}
	return float64(sum) * float64(rest) / float64(seen)
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

// seconds is a duration, within what a forecast tells.
func seconds(s float64) time.Duration {
	switch {
	case !(s > 0):
		return 0
	case s > maxAhead.Seconds():
		return maxAhead
	}
	return time.Duration(s * float64(time.Second))
}

// whole is a count, within what an int holds everywhere.
func whole(n float64) int {
	switch {
	case !(n > 0):
		return 0
	case n > math.MaxInt32:
		return math.MaxInt32
	}
	return int(n)
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// destinationOf is what the dispatcher needs to know of a domain whose mail hosts were found.
func (d *dispatcher) destinationOf(domain string, found route.Destination) *destination {
	dest := &destination{Destination: found, provider: d.s.cfg.Providers.Provider(found.Domain, found.MX), site: strings.Join(found.MX, " ")}
	if dest.site == "" {
		dest.site = domain // an address literal
	}
	return dest
}

// relayed is the same where all goes through relays, and nothing is looked up.
func (d *dispatcher) relayed(domain string, now time.Time) *destination {
	return &destination{
		Destination: route.Destination{Domain: domain, Expires: now.Add(24 * time.Hour)},
		provider:    d.s.cfg.Providers.Provider(domain, nil),
	}
}
