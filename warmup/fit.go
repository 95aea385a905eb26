package warmup

import (
	"context"
	"fmt"
	"time"
)

// Campaign is mail that is to go out within a time.
type Campaign struct {
	// Messages are how many go to each provider. At least one provider; each between 0 and MaxCap.
	Messages map[string]int
	// Start is when the first of them may go. Defaults to now, and for Plan.Fit to 2026-01-05 00:00 UTC.
	Start time.Time
	// Window is in what time they have to be out. Required; at most 30 days.
	Window time.Duration
	// Every and Times repeat the campaign: a newsletter is sent every 168 hours. Every is at least Window. Defaults to once; at most 100 times.
	Every time.Duration
	Times int
}

// The bounds of a campaign.
const (
	maxCampaign = 30 * 24 * time.Hour
	maxSendings = 100
)

func (c *Campaign) check() error {
	switch {
	case len(c.Messages) == 0:
		return fault("Messages", "is empty: there must be a provider at least")
	case c.Window <= 0 || c.Window > maxCampaign:
		return fault("Window", "is %s: must be above 0 and at most %s", c.Window, maxCampaign)
	case c.Times < 0 || c.Times > maxSendings:
		return fault("Times", "is %d: must be between 0 and %d", c.Times, maxSendings)
	case c.Times > 1 && (c.Every < c.Window || c.Every > maxCampaign):
		return fault("Every", "is %s: must be at least Window and at most %s", c.Every, maxCampaign)
	}
	for provider, n := range c.Messages {
		if provider == "" {
			return fault("Messages", "a provider's name is empty")
		}
		if n < 0 || n > MaxCap {
			return fault(fmt.Sprintf("Messages[%q]", provider), "is %d: must be between 0 and %d", n, MaxCap)
		}
	}
	return nil
}

// Fit tells whether a campaign fits into the allowance of a route.
type Fit struct {
	// Fits says that all sendings go out within their windows.
	Fits bool `json:"fits"`
	// FirstFit is the first sending, counted from 1, that fits; 0 if there is none.
	FirstFit int `json:"first_fit"`
	// Sendings are what becomes of each.
	Sendings []Sending `json:"sendings"`
}

// Sending is one sending of a campaign.
type Sending struct {
	Start time.Time `json:"start"`
	// Fits says that all of it goes out in the window.
	Fits bool `json:"fits"`
	// Sent goes out in the window, and Overflow does not: it has to go over other routes, or wait.
	Sent     int `json:"sent"`
	Overflow int `json:"overflow"`
	// Done is when the last of it would go out if the overflow waited; zero if that is not within 30 days. The next sending takes for granted that it went
	// elsewhere.
	Done time.Time `json:"done,omitzero"`
	// Providers tells the same of each provider.
	Providers map[string]ProviderFit `json:"providers"`
}

// ProviderFit is a Sending to one provider.
type ProviderFit struct {
	Sent     int       `json:"sent"`
	Overflow int       `json:"overflow"`
	Done     time.Time `json:"done,omitzero"`
	// Stage is the highest stage during the window, from 1, and DayCap what it allows in 24 hours; 0 when complete.
	Stage  int `json:"stage"`
	DayCap int `json:"day_cap"`
}

// Fit tells whether a campaign fits into the plan, begun with it on an address that nobody knows. It takes for granted that all is delivered, so it is the best
// that can be hoped for.
func (p Plan) Fit(c Campaign) (Fit, error) {
	l, err := Open(context.Background(), Config{Plans: map[string]Plan{"new": p}})
	if err != nil {
		return Fit{}, err
	}
	if c.Start.IsZero() {
		c.Start = Scenario{}.withDefaults().Start
	}
	return l.fit("new", c)
}

// FitAt tells whether a campaign fits into what the paths of a route may carry from now on, with what they have carried and where they stand, as far as this
// owner knows. It reserves nothing and does not use the store. It takes for granted that nothing else is sent and that all is delivered. The error names the field of the
// campaign that is wrong, or is ErrWarm for a route without a plan: there everything fits.
func (l *Ledger) FitAt(now time.Time, route string, c Campaign) (Fit, error) {
	lad := l.ladders[route]
	if lad == nil {
		return Fit{}, fmt.Errorf("warmup: fit %s: %w", route, ErrWarm)
	}
	at := unstamp(l.stamp(now))
	if c.Start = unstamp(l.stamp(c.Start)); c.Start.Before(at) {
		c.Start = at
	}
	trial := l.fork(lad, l.stamp(now))
	return trial.fit(route, c)
}

// fork is a ledger of its own, without a store, whose paths of a route stand where ours stand.
func (l *Ledger) fork(lad *ladder, at int64) *Ledger {
	f := &Ledger{ladders: map[string]*ladder{lad.route: lad}, owner: l.owner, session: l.session, maxPaths: l.maxPaths, log: discard(), opened: l.opened,
		paths: map[Path]*path{}}
	l.mu.RLock()
	var all []*path
	for p, pt := range l.paths {
		if p.Route == lad.route {
			all = append(all, pt)
		}
	}
	l.mu.RUnlock()
	for _, pt := range all {
		pt.mu.Lock()
		c := f.newPath(pt.Path, lad)
		c.seen, c.caller, c.lastSent, c.ramp, c.outcomes, c.paced = pt.seen, pt.seen, pt.lastSent, pt.ramp, pt.outcomes, pt.paced
		for k := range kinds {
			c.windows[k] = pt.windows[k].clone()
			if pt.outstanding > 0 {
				c.windows[k].add(k, max(at, pt.seen), pt.outstanding)
			}
		}
		pt.mu.Unlock()
		f.paths[c.Path] = c
	}
	return f
}

// fit plays the campaign through.
func (l *Ledger) fit(route string, c Campaign) (Fit, error) {
	if err := c.check(); err != nil {
		return Fit{}, fmt.Errorf("warmup: Campaign.%w", err)
	}
	fit := Fit{Fits: true}
	for i := range max(1, c.Times) {
		start := c.Start.Add(time.Duration(i) * c.Every)
		s := Sending{Start: start, Fits: true, Providers: map[string]ProviderFit{}}
		late := false
		for provider, n := range c.Messages {
			f := l.send(Path{route, provider}, start, start.Add(c.Window), n)
			s.Providers[provider] = f
			s.Sent += f.Sent
			s.Overflow += f.Overflow
			late = late || f.Done.IsZero()
			if f.Done.After(s.Done) {
				s.Done = f.Done
			}
		}
		if s.Fits = s.Overflow == 0; s.Fits && fit.FirstFit == 0 {
			fit.FirstFit = i + 1
		}
		if late {
			s.Done = time.Time{}
		}
		fit.Fits = fit.Fits && s.Fits
		fit.Sendings = append(fit.Sendings, s)
	}
	return fit, nil
}

// send sends n messages over a path within a window, and finds out when the rest could go.
func (l *Ledger) send(p Path, start, end time.Time, n int) ProviderFit {
	f := ProviderFit{}
	f.Sent, f.Done = l.spend(p, start, end, n)
	f.Overflow = n - f.Sent
	st := l.StateAt(firstOf(f.Done, end), p)
	f.Stage, f.DayCap = st.Stage, st.Day.Cap
	if f.Overflow > 0 {
		var late int
		late, f.Done = l.fork(l.ladders[p.Route], stamp(end)).spend(p, end, start.Add(maxCampaign), f.Overflow)
		if late < f.Overflow {
			f.Done = time.Time{}
		}
	}
	return f
}

// spend sends up to n messages over a path, as soon as it takes them, before a time. last is when the last of them went.
func (l *Ledger) spend(p Path, now, end time.Time, n int) (sent int, last time.Time) {
	last = now
	for sent < n && now.Before(end) {
		room := l.RoomAt(now, p)
		part := min(n-sent, room.N)
		if part == 0 {
			now = room.Until
			continue
		}
		r := l.ReserveAt(now, p, part)
		if !r.OK {
			now = r.Until
			continue
		}
		l.CommitAt(now, r)
		l.ObserveAt(now, p, Delivered, part)
		sent += part
		last = now
	}
	return sent, last
}
