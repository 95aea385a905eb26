package sender

import (
	"context"
	"time"

	"github.com/reputemail/repute/throttle"
)

// tellThrottle tells of what the throttle noticed. That a path is stopped or open again, events tell when mail meets it.
func (s *Sender) tellThrottle(c throttle.Change) {
	t := EventPathSlowed
	switch c.Kind {
	case throttle.ChangeWarning:
		t = EventPathWarning
	case throttle.ChangeLowered:
	default:
		return
	}
	s.events.emit(Event{Type: t, Time: c.Time, Path: Path(c.Path), Throttle: &c})
}

// beside are the paths that a transaction counts against beside its own: those of the signing domain and of the recipient domain.
type beside struct {
	paths [2]throttle.Path
	n     int
	// recipient says that the last one is the recipient domain's, of which a connection is taken too.
	recipient bool
	limits    throttle.Limits // of the recipient domain
}

// limit applies those of the recipient domain to the limits of a path.
func (b *beside) limit(l throttle.Limits) throttle.Limits {
	if n := b.limits.Recipients; n > 0 && (l.Recipients == 0 || n < l.Recipients) {
		l.Recipients = n
	}
	if b.limits.TLS != "" {
		l.TLS = b.limits.TLS
	}
	return l
}

// takeBeside takes tokens of the signing domain of a lane's stream, so that what a receiver has stopped for it is stopped on all routes; and of the recipient domain, where
// that has limits of its own. If it is told no, nothing is taken.
func (d *dispatcher) takeBeside(l *lane, r *routeInfo, now time.Time) (b beside, o obstacle, ok bool) {
	if domain := l.stream.SigningDomain; domain != "" {
		b.paths[0], b.n = throttle.SigningDomain(domain, l.dest.provider), 1
		if dec := d.s.cfg.Throttle.AcquireAt(now, b.paths[0], throttle.TokenMessage); !dec.OK {
			return beside{}, besideClosed(b.paths[0], dec, now), false
		}
	}
	if d.s.domains == nil || r.Relay != nil || !d.s.domains.LimitsDomainAt(now, r.Name, l.key.Domain) {
		return b, obstacle{}, true
	}
	key := throttle.DomainPath(r.Name, l.key.Domain)
	dec := d.s.cfg.Throttle.AcquireAt(now, key, throttle.TokenConnection)
	if dec.OK {
		if dec = d.s.cfg.Throttle.AcquireAt(now, key, throttle.TokenMessage); !dec.OK {
			d.s.cfg.Throttle.ReleaseAt(now, key, throttle.TokenUnopened)
		}
	}
	if !dec.OK {
		d.giveBeside(&b, now, false)
		return beside{}, besideClosed(key, dec, now), false
	}
	b.paths[b.n], b.recipient, b.limits = key, true, dec.Limits
	b.n++
	return b, obstacle{}, true
}

// besideClosed makes an obstacle of a decision about a domain. It leads to no overflow: the other routes are closed to it as well, or it passes soon.
func besideClosed(key throttle.Path, dec throttle.Decision, now time.Time) obstacle {
	wait := Wait{Reason: WaitRate, Path: Path(key), Until: dec.Until, Detail: string(dec.Reason)}
	switch dec.Reason {
	case throttle.ReasonBackoff, throttle.ReasonSuspended:
		wait.Reason = WaitBackoff
	case throttle.ReasonConnections:
		wait.Reason = WaitConnections
	}
	if !wait.Until.After(now) {
		wait.Until = now.Add(besideEvery)
	}
	return obstacle{saturated: true, wait: wait}
}

// besideEvery is how often a lane looks again for a connection of its domain.
const besideEvery = 200 * time.Millisecond

// giveBeside gives back what was taken: the messages only if none was sent.
func (d *dispatcher) giveBeside(b *beside, now time.Time, sent bool) {
	for i, key := range b.paths[:b.n] {
		if !sent {
			d.s.cfg.Throttle.ReleaseAt(now, key, throttle.TokenMessage)
		}
		if b.recipient && i == b.n-1 {
			d.s.cfg.Throttle.ReleaseAt(now, key, throttle.TokenConnection)
		}
	}
	b.n = 0
}

// signal tells the throttle what came back, for the path or for the signing domain, whichever it is about.
func (d *dispatcher) signal(a *attempt, now time.Time, s throttle.Signal, ofDomain bool) {
	s.Began = a.began
	if a.path.route.Relay == nil {
		s.Domain = a.dest.Domain
	}
	path := throttle.Path(a.path.key)
	domain := throttle.SigningDomain(a.lane.stream.SigningDomain, a.dest.provider)
	signed := a.lane.stream.SigningDomain != ""
	if ofDomain && signed {
		d.s.cfg.Throttle.ObserveAt(now, domain, s)
		s = throttle.Signal{Kind: throttle.SignalOther, Began: a.began}
	}
	d.s.cfg.Throttle.ObserveAt(now, path, s)
	if s.Kind != throttle.SignalSuccess {
		return
	}
	for _, key := range a.beside.paths[:a.beside.n] {
		d.s.cfg.Throttle.ObserveAt(now, key, s)
	}
}

// loadThrottle has the throttle remember what it had learnt. It reports whether there is anything to be kept.
func (s *Sender) loadThrottle(ctx context.Context) bool {
	if s.keeper == nil || s.keeper.SyncWanted() == nil {
		return false
	}
	if err := s.keeper.LoadAt(ctx, time.Now()); err != nil {
		s.log.Error("throttle does not remember what it had learnt of all receivers", "err", err)
	}
	return true
}

// syncRetry is how long after a failure the throttle's store is used again.
const syncRetry = time.Second

// keepThrottle lets the throttle exchange with its store, until ctx ends.
func (s *Sender) keepThrottle(ctx context.Context) {
	failed := false
	for {
		next, err := s.keeper.SyncAt(ctx, time.Now())
		if err != nil && ctx.Err() == nil && !failed {
			s.log.Error("throttle's store is away: each process keeps to its share of the limits", "err", err)
		}
		if failed = err != nil; next.IsZero() && !failed {
			return
		}
		wait := time.Until(next)
		if failed {
			wait = max(wait, syncRetry)
		}
		timer := time.NewTimer(max(wait, 10*time.Millisecond))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.keeper.SyncWanted():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// throttleConfig is that of the default Throttle: the host's limits by provider, and those of relays.
func (s *Sender) throttleConfig(table *throttle.Table) throttle.Config {
	cfg := throttle.Config{
		Table: table, Logger: s.log, Limits: s.cfg.Limits, Backoff: s.cfg.Backoff, Paths: map[throttle.Path]throttle.Limits{},
		Routes: map[string]throttle.Cap{}, Providers: s.cfg.ProviderCaps, Process: throttle.Cap{MessageRate: s.cfg.MaxMessageRate},
		Reactions: s.cfg.Reactions, OnChange: s.tellThrottle,
	}
	if s.cfg.Providers != Providers(table) { // the host's own names
		for name := range s.cfg.Limits {
			cfg.Names = append(cfg.Names, name)
		}
		for name := range s.cfg.ProviderCaps {
			cfg.Names = append(cfg.Names, name)
		}
	}
	cfg.Store, cfg.Owner, cfg.TTL = s.cfg.ThrottleStore, s.cfg.ThrottleOwner, s.cfg.ThrottleTTL
	if q, ok := s.cfg.Queue.(ThrottleStorer); ok && cfg.Store == nil {
		var owner string
		if cfg.Store, owner = q.ThrottleStore(); cfg.Owner == "" {
			cfg.Owner = owner
		}
	}
	for _, r := range s.routes {
		if r.Cap != (throttle.Cap{}) {
			cfg.Routes[r.Name] = r.Cap
		}
		if r.Relay == nil {
			continue
		}
		limits := relayLimits
		if r.Relay.Limits != nil {
			limits = *r.Relay.Limits
		}
		cfg.Paths[throttle.Path{Route: r.Name, Provider: RelayProvider}] = limits
	}
	return cfg
}

// relayLimits are those of a relay that sets none: the relay is there to take our mail, so nothing holds the rate back.
var relayLimits = throttle.Limits{Connections: 10, MessagesPerConnection: 100, Recipients: 100, IdleTimeout: time.Minute}
