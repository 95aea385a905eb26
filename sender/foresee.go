package sender

import (
	"math"
	"slices"
	"sort"
	"time"

	"github.com/reputemail/repute/internal/keyed"
	"github.com/reputemail/repute/sender/queue"
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
	if dest != nil {
		c.f.Provider = dest.provider
	}
	if h := d.holds.of(st.Name, del.Lane.Domain, c.f.Provider, now); h != nil {
		c.f.Waits = append(c.f.Waits, h.wait(Path{}))
		c.start, c.vague = later(c.start, h.Until), c.vague || h.Until.IsZero()
	}
	c.f.Earliest = c.start
	if dest == nil {
		return c.done()
	}
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
		if c.l.dest.usable(c.now) || c.l.dest != nil && !c.l.dnsUntil.After(c.now) {
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
		if !met[i].barred && (first < 0 || met[i].comesBefore(&met[first])) {
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
		if !met[i].stopped || met[i].busy || !met[i].held && met[i].open.Sub(c.start) < stickyFor {
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
		c.vague = c.vague || p.vague && p.speed // how fast it was once, who knows how fast it is
		return
	}
	c.vague = c.vague || p.vague || p.held
	f.Earliest = later(f.Earliest, sure)
	c.together(met, p)
}

// together brings the time forward where several routes share what stands before the delivery.
func (c *foresight) together(met []prospect, first *prospect) {
	all := make([]*prospect, 0, 8)
	for i := range met {
		if p := &met[i]; !p.barred && !p.held && p.rate > 0 && (p.stopped || !p.shut) {
			all = append(all, p)
		}
	}
	if len(all) < 2 || first.shut && !first.stopped {
		return
	}
	slices.SortFunc(all, func(a, b *prospect) int { return a.open.Compare(b.open) })
	rate, lost := 0.0, 0.0 // what those that are open carry a second, and what they have not carried before they were open
	for i, p := range all {
		more := p.rate
		if p.all > 0 {
			more = max(0, min(more, p.all-rate))
		}
		rate += more
		lost += more * p.open.Sub(c.start).Seconds()
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
