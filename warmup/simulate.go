package warmup

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Scenario is what Simulate plays through: what a host has to send, over which routes, to whom.
type Scenario struct {
	// Start is the first moment. Defaults to 2026-01-05 00:00 UTC, a Monday.
	Start time.Time
	// Days is how many days are played, at most MaxDays. Defaults to 60.
	Days int
	// Volume is what comes. Required.
	Volume Curve
	// Providers are who gets it. Their shares add up to 1. Defaults to one provider, "provider", that takes everything.
	Providers []ProviderShare
	// Routes are the cold routes, each with its plan; mail goes over the first one that has room. At least one.
	Routes []ColdRoute
	// Overflow takes what the cold routes have no room for. Defaults to none: it waits.
	Overflow *OverflowRoute
	// Migration moves the volume from Overflow, which is required then, to Routes by shares of recipients. Defaults to none: all mail is meant for
	// Routes.
	Migration *Migration
	// Gate is the ledger's.
	Gate Gate
	// BadAddresses is the share of recipients who do not exist, and Complaints the share of delivered messages that are reported. Between 0 and 1.
	BadAddresses, Complaints float64
	// ExpireAfter is how long mail waits at most. Defaults to 72 hours.
	ExpireAfter time.Duration
}

// ProviderShare is a provider and its share of the volume.
type ProviderShare struct {
	// Name is the provider's, as in a Path.
	Name string
	// Share of the volume, above 0.
	Share float64
	// Receiver is what it does with mail. Defaults to Willing. A Receiver with a memory is used for one Simulate only.
	Receiver Receiver
}

// ColdRoute is a route that is warmed up.
type ColdRoute struct {
	Name string
	Plan Plan
}

// OverflowRoute is a warm route.
type OverflowRoute struct {
	Name string
	// PerHour is how many messages it takes in an hour for all providers together. Defaults to 0, any number.
	PerHour int
}

// MaxDays is the largest number of days that Simulate plays.
const MaxDays = 3650

// The clocks of a simulation.
const (
	simSlot = 15 * time.Minute
	// simRetry is after how long what was put off is tried again, doubled each time up to simRetryMost.
	simRetry     = 30 * time.Minute
	simRetryMost = 4 * time.Hour
	// simRest and simBlocked are how long a path rests after something was put off, and after a block.
	simRest    = simSlot
	simBlocked = time.Hour
)

func (s Scenario) withDefaults() Scenario {
	c := s
	if c.Start.IsZero() {
		c.Start = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	}
	c.Start = c.Start.Round(0).UTC()
	if c.Days == 0 {
		c.Days = 60
	}
	if c.Providers == nil {
		c.Providers = []ProviderShare{{Name: "provider", Share: 1}}
	}
	c.Providers = slices.Clone(c.Providers)
	for i := range c.Providers {
		if c.Providers[i].Receiver == nil {
			c.Providers[i].Receiver = Willing{}
		}
	}
	if c.ExpireAfter == 0 {
		c.ExpireAfter = 72 * time.Hour
	}
	return c
}

func (s *Scenario) check() error {
	switch {
	case s.Days < 1 || s.Days > MaxDays:
		return fault("Days", "is %d: must be between 1 and %d", s.Days, MaxDays)
	case len(s.Routes) == 0:
		return fault("Routes", "is empty: there must be at least one")
	case s.BadAddresses < 0 || s.BadAddresses > 1 || math.IsNaN(s.BadAddresses):
		return fault("BadAddresses", "is %g: must be between 0 and 1", s.BadAddresses)
	case s.Complaints < 0 || s.Complaints > 1 || math.IsNaN(s.Complaints):
		return fault("Complaints", "is %g: must be between 0 and 1", s.Complaints)
	case s.ExpireAfter < simSlot:
		return fault("ExpireAfter", "is %s: must be at least %s", s.ExpireAfter, simSlot)
	case s.Overflow != nil && s.Overflow.Name == "":
		return fault("Overflow.Name", "is empty")
	case s.Overflow != nil && s.Overflow.PerHour < 0:
		return fault("Overflow.PerHour", "is %d: must not be negative", s.Overflow.PerHour)
	case s.Migration != nil && s.Overflow == nil:
		return fault("Migration", "needs Overflow, the route to move from")
	}
	if err := s.Volume.check(); err != nil {
		return errors.New("Volume." + err.Error())
	}
	sum, names := 0.0, map[string]bool{}
	for i, p := range s.Providers {
		switch {
		case p.Name == "" || names[p.Name]:
			return fault(fmt.Sprintf("Providers[%d].Name", i), "is %q: must be there, and once only", p.Name)
		case !(p.Share > 0 && p.Share <= 1):
			return fault(fmt.Sprintf("Providers[%d].Share", i), "is %g: must be above 0 and at most 1", p.Share)
		}
		names[p.Name] = true
		sum += p.Share
	}
	if math.Abs(sum-1) > 1e-6 {
		return fault("Providers", "have shares that add up to %g: must be 1", sum)
	}
	routes := map[string]bool{}
	if s.Overflow != nil {
		routes[s.Overflow.Name] = true
	}
	for i, r := range s.Routes {
		if r.Name == "" || routes[r.Name] {
			return fault(fmt.Sprintf("Routes[%d].Name", i), "is %q: must be there, and once only", r.Name)
		}
		routes[r.Name] = true
		if err := r.Plan.validate(); err != nil {
			return errors.New(fmt.Sprintf("Routes[%d]: ", i) + err.Error())
		}
	}
	return nil
}

// simulation is a Simulate under way.
type simulation struct {
	Scenario
	ledger   *Ledger
	migrator *Migrator
	now      time.Time
	all      []*simProvider
	free     float64 // what the overflow route may still take in this slot
	forecast *Forecast
}

// simProvider is a provider of a simulation.
type simProvider struct {
	ProviderShare
	waiting  []cohort // oldest first
	count    int      // in waiting
	retries  map[int64][]cohort
	deferred int         // in retries
	rests    []time.Time // until when, by route
	carry    float64
	bad      float64
	reported float64
	lost     float64 // to the share of a migration
	row      *ForecastRow
}

// cohort is messages that came together.
type cohort struct {
	came  time.Time
	n     int
	route int // that has seen them; the overflow route is len(Routes)
	tries int
	first time.Time // when it was tried first
	old   bool      // of the control arm of a migration
}

// Simulate plays a scenario through: the ledger, the gate and the migration are those that mail goes through, in virtual time. It is as good as the model of
// the receivers; what it shows for certain is what the plan itself allows. Of ctx only the end is used.
func Simulate(ctx context.Context, scenario Scenario) (*Forecast, error) {
	s := &simulation{Scenario: scenario.withDefaults()}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("warmup: Scenario.%w", err)
	}
	s.forecast = &Forecast{Start: s.Start, Days: s.Days}
	plans := map[string]Plan{}
	for _, r := range s.Routes {
		plans[r.Name] = r.Plan
	}
	var err error
	s.ledger, err = Open(ctx, Config{Plans: plans, Gate: s.Gate, OnChange: func(c Change) { s.forecast.Changes = append(s.forecast.Changes, c) }})
	if err != nil {
		return nil, err
	}
	if err := s.openMigration(ctx); err != nil {
		return nil, err
	}
	for _, p := range s.Providers {
		s.all = append(s.all, &simProvider{ProviderShare: p, retries: map[int64][]cohort{}, rests: make([]time.Time, len(s.Routes)+1)})
	}
	for day := range s.Days {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s.day(ctx, day)
	}
	return s.forecast, nil
}

// day plays a day.
func (s *simulation) day(ctx context.Context, day int) {
	first := len(s.forecast.Rows)
	for _, p := range s.all {
		s.forecast.Rows = append(s.forecast.Rows, ForecastRow{Day: day + 1, Provider: p.Name})
	}
	begin := s.Start.Add(time.Duration(day) * 24 * time.Hour)
	for t := time.Duration(0); t < 24*time.Hour; t += simSlot {
		s.now = begin.Add(t)
		came := s.Volume.by(day, t+simSlot) - s.Volume.by(day, t)
		if t+simSlot == 24*time.Hour {
			came = s.Volume.on(day) - s.Volume.by(day, t)
		}
		if o := s.Overflow; o != nil {
			if s.free = math.MaxInt; o.PerHour > 0 {
				s.free = float64(o.PerHour) * simSlot.Hours()
			}
		}
		for i, p := range s.all {
			p.row = &s.forecast.Rows[first+i]
			s.slot(p, came)
		}
		s.sync(ctx)
	}
	end := begin.Add(24 * time.Hour)
	done := true
	for i, p := range s.all {
		row := &s.forecast.Rows[first+i]
		row.Waiting = p.count + p.deferred
		row.BacklogAge = end.Sub(p.oldest(end))
		for _, r := range s.Routes {
			st := s.ledger.StateAt(end, Path{r.Name, p.Name})
			row.DayCap += st.Day.Cap
			if row.Stage == 0 || st.Stage < row.Stage {
				row.Stage, row.Stages, row.Phase, row.Cause = st.Stage, st.Stages, st.Phase, st.Cause
			}
			done = done && st.Phase == PhaseComplete
		}
		row.Share = s.share(p.Name)
	}
	if done && s.forecast.Finished.IsZero() {
		s.forecast.Finished = end
	}
}

// slot plays a quarter of an hour at one provider.
func (s *simulation) slot(p *simProvider, came int) {
	p.carry += float64(came) * p.Share
	if n := int(p.carry + 1e-6); n > 0 {
		p.carry -= float64(n)
		p.row.Offered += n
		s.arrive(p, n)
	}
	for len(p.waiting) > 0 && s.now.Sub(p.waiting[0].came) >= s.ExpireAfter {
		p.row.Expired += p.waiting[0].n
		p.count -= p.waiting[0].n
		p.waiting = p.waiting[1:]
	}
	s.retry(p)
	s.sendCold(p)
	if s.Overflow != nil && p.count > 0 {
		if n := int(min(float64(p.count), s.free)); n > 0 {
			s.free -= float64(n)
			p.row.Overflowed += n
			s.attempt(p, len(s.Routes), s.now, p.take(n))
		}
	}
}

// arrive takes in what came: all of it is meant for the cold routes, or the share that a migration has reached.
func (s *simulation) arrive(p *simProvider, n int) {
	if s.migrator != nil {
		p.lost += float64(n) * (1 - s.share(p.Name))
		old := min(n, int(p.lost))
		p.lost -= float64(old)
		if old > 0 {
			s.attempt(p, len(s.Routes), s.now, []cohort{{came: s.now, n: old, old: true}})
		}
		if n -= old; n == 0 {
			return
		}
	}
	p.waiting = append(p.waiting, cohort{came: s.now, n: n})
	p.count += n
}

// retry tries again what is due.
func (s *simulation) retry(p *simProvider) {
	key := s.now.UnixNano() / int64(simSlot)
	due := p.retries[key]
	delete(p.retries, key)
	for _, c := range due {
		p.deferred -= c.n
		switch {
		case s.now.Sub(c.came) >= s.ExpireAfter:
			p.row.Expired += c.n
		case p.rests[c.route].After(s.now):
			p.later(s.now.Add(simSlot), c)
		default:
			s.attempt(p, c.route, s.now, []cohort{c})
		}
	}
}

// later puts a cohort among those to be tried again at a time.
func (p *simProvider) later(at time.Time, c cohort) {
	key := at.UnixNano() / int64(simSlot)
	p.retries[key] = append(p.retries[key], c)
	p.deferred += c.n
}

// sendCold sends what the cold routes have room for, until the slot is over.
func (s *simulation) sendCold(p *simProvider) {
	end := s.now.Add(simSlot)
	for now := s.now; p.count > 0 && now.Before(end); {
		next, sent := end, false
		for i, r := range s.Routes {
			path := Path{r.Name, p.Name}
			if p.rests[i].After(now) {
				next = firstOf(next, p.rests[i])
				continue
			}
			room := s.ledger.RoomAt(now, path)
			n := min(room.N, p.count)
			if n == 0 {
				s.ledger.ReserveAt(now, path, 1) // Is refused: so the path knows that there is more to send.
				next = firstOf(next, room.Until)
				continue
			}
			res := s.ledger.ReserveAt(now, path, n)
			if !res.OK {
				next = firstOf(next, res.Until)
				continue
			}
			s.ledger.CommitAt(now, res)
			s.attempt(p, i, now, p.take(n))
			if sent = true; p.count == 0 {
				break
			}
		}
		if !sent {
			now = next
		}
	}
}

func firstOf(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// take takes messages off the front.
func (p *simProvider) take(n int) []cohort {
	p.count -= n
	var out []cohort
	for n > 0 {
		c := &p.waiting[0]
		part := *c
		part.n = min(part.n, n)
		out = append(out, part)
		n -= part.n
		if c.n -= part.n; c.n == 0 {
			p.waiting = p.waiting[1:]
		}
	}
	return out
}

// attempt hands messages to the receiver over a route, and tells the ledger and the migration what became of them.
func (s *simulation) attempt(p *simProvider, route int, now time.Time, group []cohort) {
	name := ""
	if route < len(s.Routes) {
		name = s.Routes[route].Name
	} else {
		name = s.Overflow.Name
	}
	path := Path{name, p.Name}
	for _, c := range group {
		bad := 0
		if c.tries == 0 {
			if c.first = now; route < len(s.Routes) {
				p.row.Cold += c.n
			}
			p.bad += float64(c.n) * s.BadAddresses
			bad = min(c.n, int(p.bad))
			p.bad -= float64(bad)
		}
		got := p.Receiver.Receive(now, name, c.n, bad)
		p.row.Bounced += got.Bounced
		p.row.Deferred += got.Deferred
		p.row.Blocked += got.Blocked
		p.row.Delivered += got.Delivered
		p.reported += float64(got.Delivered) * s.Complaints
		complained := int(p.reported)
		p.reported -= float64(complained)
		for _, o := range [...]struct {
			outcome Outcome
			n       int
		}{{Delivered, got.Delivered}, {Bounced, got.Bounced}, {Deferred, got.Deferred}, {Blocked, got.Blocked}, {Complained, complained}} {
			if o.n > 0 {
				s.ledger.ObserveAt(now, path, o.outcome, o.n)
				s.observe(p, route, now, c, o.outcome, o.n)
			}
		}
		again := c
		again.n, again.route = got.Deferred+got.Blocked, route // a blocked one goes on later, as from a host that has no other route
		if again.n > 0 {
			again.tries++
			p.later(now.Add(min(simRetryMost, simRetry<<min(c.tries, 4))), again)
		}
		switch {
		case got.Blocked > 0:
			p.rests[route] = now.Add(simBlocked)
		case got.Deferred > 0:
			p.rests[route] = now.Add(simRest)
		}
	}
}

// oldest is when the oldest message that waits came, or now.
func (p *simProvider) oldest(now time.Time) time.Time {
	if len(p.waiting) > 0 {
		now = p.waiting[0].came
	}
	for _, cs := range p.retries {
		for _, c := range cs {
			now = firstOf(now, c.came)
		}
	}
	return now
}
