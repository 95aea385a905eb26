package sender

import (
	"container/list"
	"context"
	"slices"
	"time"

	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
)

// session is an open session of a path.
type session struct {
	Session
	path *path
	site string
	host string
	tls  string
	sent int
	of   *stream   // for which it has sent the latest message
	last time.Time // when the latest transaction ended
	// How long the host took to answer the latest group of commands, and to take the latest content.
	group, content time.Duration
	alarm          alarm         // idle too long
	elem           *list.Element // in the dispatcher's list of idle sessions
}

// send runs a transaction, and asks next for the one to begin behind it if the session can do that.
func (s *session) send(ctx context.Context, e *transport.Envelope, next func() *transport.Envelope) ([]transport.Result, error) {
	if p, ok := s.Session.(Pipeliner); ok {
		return p.SendThen(ctx, e, next)
	}
	return s.Send(ctx, e)
}

// openConnection takes a connection of the path, for the caller to dial.
func (d *dispatcher) openConnection(p *path, now time.Time) (obstacle, bool) {
	if d.conns >= d.s.cfg.MaxConnections {
		d.evictOldest()
		p.full = true
		d.starve(p, throttle.ReasonProcessCap)
		return obstacle{path: p, saturated: true, wait: Wait{
			Reason: WaitConnections, Path: p.key, Detail: "all connections of the process are in use",
		}}, false
	}
	if p.rest.After(now) && p.open > 0 {
		p.full = true
		return obstacle{path: p, saturated: true, wait: Wait{
			Reason: WaitConnections, Path: p.key, Until: p.rest, Detail: "the receiver has just refused another one",
		}}, false
	}
	dec := d.token(now, p.key, throttle.TokenConnection)
	d.limited(p, &dec)
	if !dec.OK {
		return d.throttled(p, dec, now), false
	}
	d.connected(p, 1)
	return obstacle{}, true
}

// limited takes note of the limits of a path as of a decision, and closes idle sessions that are too many.
func (d *dispatcher) limited(p *path, dec *throttle.Decision) {
	p.limits = dec.Limits
	for p.surplus = max(0, dec.Surplus-p.closing); p.surplus > 0 && len(p.idle) > 0; {
		d.evictIdle(p)
	}
}

// unopened gives a connection back that was taken and not dialled.
func (d *dispatcher) unopened(p *path, now time.Time) {
	d.s.cfg.Throttle.ReleaseAt(now, throttle.Path(p.key), throttle.TokenUnopened)
	d.connected(p, -1)
}

// connected counts connections of a path.
func (d *dispatcher) connected(p *path, by int) {
	p.open += by
	d.conns += by
	for _, of := range [...]Path{{Route: p.key.Route}, {Provider: p.key.Provider}} {
		if d.connsOf[of] += by; d.connsOf[of] == 0 {
			delete(d.connsOf, of)
		}
	}
}

// takeIdle takes the idle session of a site that was used last.
func (p *path) takeIdle(site string) *session {
	idle := p.idle[site]
	if len(idle) == 0 {
		return nil
	}
	s := idle[len(idle)-1]
	idle[len(idle)-1] = nil
	if len(idle) == 1 {
		delete(p.idle, site)
	} else {
		p.idle[site] = idle[:len(idle)-1]
	}
	return s
}

// evictIdle closes one idle session of the path, to make room for one to another site.
func (d *dispatcher) evictIdle(p *path) {
	for site := range p.idle {
		d.closeSession(p.takeIdle(site))
		break
	}
}

// evictOldest closes the session of all paths that is idle for longest.
func (d *dispatcher) evictOldest() {
	if e := d.idle.Front(); e != nil {
		d.drop(e.Value.(*session))
	}
}

// drop closes an idle session.
func (d *dispatcher) drop(s *session) {
	p := s.path
	idle := p.idle[s.site]
	if i := slices.Index(idle, s); i >= 0 {
		if p.idle[s.site] = slices.Delete(idle, i, i+1); len(p.idle[s.site]) == 0 {
			delete(p.idle, s.site)
		}
		d.unidle(s)
		d.closeSession(s)
	}
}

// unidle notes that a session is not idle any more.
func (d *dispatcher) unidle(s *session) {
	d.alarms.clear(&s.alarm)
	if s.elem != nil {
		d.idle.Remove(s.elem)
		s.elem = nil
	}
}

// keep makes a session idle, or closes it when it has done its share.
func (d *dispatcher) keep(s *session) {
	p := s.path
	if !d.lasts(s) {
		d.closeSession(s)
		return
	}
	p.idle[s.site] = append(p.idle[s.site], s)
	s.elem = d.idle.PushBack(s)
	timeout := p.limits.IdleTimeout
	if timeout == 0 || timeout > maxIdle {
		timeout = maxIdle
	}
	if s.alarm.ring == nil {
		s.alarm.ring = func(time.Time) { d.drop(s) }
	}
	d.setAlarm(&s.alarm, time.Now().Add(timeout))
}

// maxIdle is how long a session stays open without mail: long enough for the next message of a burst, short enough not
// to hold a receiver's slot (the KumoMTA profiles allow 60 seconds).
const maxIdle = 10 * time.Second

// closeSession says QUIT, in a goroutine of its own, and gives the connection back when that is done. The mutex is held.
func (d *dispatcher) closeSession(s *session) {
	d.unidle(s)
	s.path.closing++
	s.path.surplus = max(0, s.path.surplus-1)
	if s.path.live[s.site]--; s.path.live[s.site] <= 0 {
		delete(s.path.live, s.site)
	}
	d.wg.Add(1)
	go func() {
		defer d.wg.Done()
		if err := s.Close(); err != nil {
			d.s.log.Debug("session did not close cleanly", "host", s.host, "err", err)
		}
		d.mu.Lock()
		defer d.unlock()
		s.path.closing--
		d.closed(s.path)
	}()
}

// closed gives a connection of the path back. The mutex is held.
func (d *dispatcher) closed(p *path) {
	d.s.cfg.Throttle.ReleaseAt(time.Now(), throttle.Path(p.key), throttle.TokenConnection)
	d.connected(p, -1)
	d.feed(p)
	d.serve(p, "")
	d.forget(p)
}
