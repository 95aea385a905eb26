package sender

import (
	"errors"
	"strings"
	"time"

	"github.com/reputemail/repute/sender/route"
)

// destination is a resolved domain, grouped.
type destination struct {
	route.Destination
	provider string
	site     string // the set of MX hosts: sessions are shared by destinations with the same
}

// usable reports whether there is a destination, and its answer is not too old to be used while it is asked for anew.
func (dst *destination) usable(now time.Time) bool {
	return dst != nil && dst.Expires.Add(staleFor).After(now)
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

// resolved reports whether the lane's destination is known, and else sees to it. The mutex is held.
func (d *dispatcher) resolved(l *lane, now time.Time) bool {
	if l.dest != nil && l.dest.Expires.After(now) {
		return true
	}
	// An answer that has just run out is good while it is asked for anew, so that the lane keeps its place in lines.
	stale := l.dest.usable(now)
	if l.resolving || d.stopping {
		return stale
	}
	if l.dnsUntil.After(now) {
		if !stale {
			l.waits = []Wait{l.dnsWait}
			d.setEarlier(&l.alarm, l.dnsUntil)
		}
		return stale
	}
	if !l.stream.direct {
		l.dest = d.relayed(l.key.Domain, now)
		return true
	}
	l.resolving = d.spawn(func() {
		d.resolves <- struct{}{}
		dest, err := d.s.cfg.Resolver.Resolve(d.ctx, l.key.Domain)
		<-d.resolves
		d.mu.Lock()
		defer d.unlock()
		l.resolving = false
		d.settleResolve(l, dest, err)
	})
	return stale
}

// settleResolve takes the resolver's answer. The mutex is held.
func (d *dispatcher) settleResolve(l *lane, dest route.Destination, err error) {
	now := time.Now()
	if err == nil {
		l.dnsTries = 0
		if !dest.Expires.After(now) {
			dest.Expires = now.Add(destinationTTL)
		}
		before := l.dest
		l.dest = d.destinationOf(l.key.Domain, dest)
		d.know(l.key.Domain, l.dest)
		if l.lines > 0 && before.usable(now) && before.provider == l.dest.provider { // it has its turn in time
			return
		}
		d.advance(l, 0)
		return
	}
	if d.ctx.Err() != nil {
		return
	}
	var re *route.Error
	if errors.As(err, &re) && !re.Temporary {
		// The destination takes no mail: all that waits for it bounces, what the queue still holds is claimed and follows.
		for _, del := range l.buf {
			d.outbox = append(d.outbox, d.s.settler.unroutable(del, re.Reply))
		}
		l.buf = nil
		d.advance(l, 0)
		return
	}
	l.dnsTries++
	l.dnsUntil = now.Add(min(30*time.Minute, time.Minute<<min(l.dnsTries-1, 5)))
	l.dnsWait = Wait{Reason: WaitDNS, Until: l.dnsUntil, Detail: err.Error()}
	if !l.dest.usable(now) {
		l.waits = []Wait{l.dnsWait}
	}
	d.s.stats.waited(Path{Provider: l.key.Domain}, WaitDNS)
	d.setEarlier(&l.alarm, l.dnsUntil)
}
