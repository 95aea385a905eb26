package sender

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/reputemail/repute/warmup"
)

// ErrNoLedger: the Sender has no warm-up ledger of its own: it was not started, or Config.Pacer is the host's.
var ErrNoLedger = errors.New("sender: no warm-up ledger")

// Warmup is the Sender's warm-up ledger, for its operators' methods (Pause, SetStage, ...); nil before Start, and when Config.Pacer is the host's. Its times
// are those of the queue's clock, where the queue keeps it: WarmupStates and FitCampaign translate them.
func (s *Sender) Warmup() *warmup.Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger
}

// WarmupStates are the states of all paths under warm-up that are known to this process, of routes as a whole and of signing domains among them (see
// warmup.Total and warmup.SigningDomain). None before Start, and when Config.Pacer is the host's.
func (s *Sender) WarmupStates() []warmup.State {
	l := s.Warmup()
	if l == nil {
		return nil
	}
	states := l.StatesAt(s.sharedTime(time.Now()))
	for i := range states {
		for _, t := range []*time.Time{&states[i].Since, &states[i].Period, &states[i].LastSent} {
			*t = s.ownTime(*t)
		}
	}
	return states
}

// FitCampaign tells whether a campaign fits into what is left of the allowance of a route's paths, and when it would be out. It does not look at
// Route.WarmupTotal and Config.WarmupDomains. Errors are ErrNoLedger and those of
// warmup.Ledger.FitAt.
func (s *Sender) FitCampaign(route string, c warmup.Campaign) (warmup.Fit, error) {
	l := s.Warmup()
	if l == nil {
		return warmup.Fit{}, ErrNoLedger
	}
	if !c.Start.IsZero() {
		c.Start = s.sharedTime(c.Start)
	}
	fit, err := l.FitAt(s.sharedTime(time.Now()), route, c)
	for i := range fit.Sendings {
		f := &fit.Sendings[i]
		f.Start, f.Done = s.ownTime(f.Start), s.ownTime(f.Done)
		for provider, p := range f.Providers {
			p.Done = s.ownTime(p.Done)
			f.Providers[provider] = p
		}
	}
	return fit, err
}

// ProviderOf is the provider of a domain, as in a Path: what a Campaign counts its messages by. Where all routes are relays the domain's mail hosts are not
// looked up, and its name decides. Errors are *FieldError and those of the Resolver.
func (s *Sender) ProviderOf(ctx context.Context, domain string) (string, error) {
	name, err := normalDomain(domain)
	if err != nil {
		return "", badField("domain", "", "%v", err)
	}
	if !slices.ContainsFunc(s.streams, func(st *stream) bool { return st.direct }) {
		return s.cfg.Providers.Provider(name, nil), nil
	}
	d, err := s.cfg.Resolver.Resolve(ctx, name)
	if err != nil {
		return "", err
	}
	return s.cfg.Providers.Provider(d.Domain, d.MX), nil
}

// sharedTime is a time of this process as the ledger has it.
func (s *Sender) sharedTime(t time.Time) time.Time {
	if by, ok := s.pacer.(sharedLedger); ok {
		return by.shared(t)
	}
	return t
}

// ownTime is the inverse of sharedTime.
func (s *Sender) ownTime(t time.Time) time.Time {
	if by, ok := s.pacer.(sharedLedger); ok && !t.IsZero() {
		return by.clock.OwnTime(t)
	}
	return t
}

// tellWarmup tells that a path moved.
func (s *Sender) tellWarmup(c warmup.Change) {
	c.Time = s.ownTime(c.Time)
	s.events.emit(Event{Type: EventWarmup, Time: c.Time, Path: Path(c.Path), Warmup: &c})
}
