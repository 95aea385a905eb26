package sender

import (
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

// domainToken takes a message token of the signing domain of a lane's stream: what a receiver has stopped is stopped on all routes.
func (d *dispatcher) domainToken(l *lane, now time.Time) (obstacle, bool) {
	if l.stream.SigningDomain == "" {
		return obstacle{}, true
	}
	key := throttle.SigningDomain(l.stream.SigningDomain, l.dest.provider)
	dec := d.s.cfg.Throttle.AcquireAt(now, key, throttle.TokenMessage)
	if dec.OK {
		return obstacle{}, true
	}
	wait := Wait{Reason: WaitRate, Path: Path(key), Until: dec.Until, Detail: string(dec.Reason)}
	if dec.Reason == throttle.ReasonBackoff || dec.Reason == throttle.ReasonSuspended {
		wait.Reason = WaitBackoff
	}
	if !wait.Until.After(now) {
		wait.Until = now.Add(tokenHold)
	}
	return obstacle{saturated: true, wait: wait}, false
}

// domainTokenBack gives it back.
func (d *dispatcher) domainTokenBack(st *stream, provider string, now time.Time) {
	if st.SigningDomain != "" {
		d.s.cfg.Throttle.ReleaseAt(now, throttle.SigningDomain(st.SigningDomain, provider), throttle.TokenMessage)
	}
}

// signal tells the throttle what came back, for the path or for the signing domain, whichever it is about.
func (d *dispatcher) signal(a *attempt, now time.Time, s throttle.Signal, ofDomain bool) {
	s.Began = a.began
	domain := a.lane.stream.SigningDomain
	if ofDomain && domain != "" {
		d.s.cfg.Throttle.ObserveAt(now, throttle.SigningDomain(domain, a.dest.provider), s)
		s = throttle.Signal{Kind: throttle.SignalOther, Began: a.began}
	}
	d.s.cfg.Throttle.ObserveAt(now, throttle.Path(a.path.key), s)
	if s.Kind == throttle.SignalSuccess && domain != "" {
		d.s.cfg.Throttle.ObserveAt(now, throttle.SigningDomain(domain, a.dest.provider), s)
	}
}
