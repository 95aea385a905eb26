package sender

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/route"
	"github.com/reputemail/repute/sender/transport"
)

// connect dials the hosts of the destination in turn. Of several failures it returns the one that tells most.
func (d *dispatcher) connect(a *attempt) (*session, *transport.Error) {
	r := a.path.route
	var failure *transport.Error
	tried := 0
	hosts, err := d.hosts(a)
	if err != nil {
		return nil, err
	}
	for _, h := range hosts {
		addrs := d.reachable(a, h)
		for i := 0; i < len(addrs); i++ {
			if tried == maxHosts || d.ctx.Err() != nil {
				break
			}
			tried++
			target := transport.Target{
				Host: h.Name, Addr: addrs[i], Others: addrs[i+1 : min(len(addrs), i+maxRaced)], LocalAddr: r.local,
				Hostname: r.Hostname, TLS: tlsFor(r, a.limits), Dial: r.outlet.dial,
			}
			if r.Relay != nil {
				target.TLS, target.Auth = r.Relay.TLS, r.relayAuth()
			}
			sess, err := d.s.cfg.Transport.Dial(d.ctx, target)
			if err == nil {
				s := &session{Session: sess, path: a.path, site: a.dest.site, host: h.Name, of: a.of}
				if r.Relay != nil {
					s.site = r.Relay.Addr
				}
				if t, ok := sess.(TLSReporter); ok {
					if info, on := t.TLS(); on {
						s.tls = info.Version
					}
				}
				d.down.Delete(r.Name + " " + s.site)
				d.proxyWorks(r)
				return s, nil
			}
			te := d.failure(err, bounce.StageConnect, h.Name)
			if isProxy(te) {
				return nil, te
			}
			d.proxyWorks(r)
			if failure == nil || tells(te.Reply) > tells(failure.Reply) {
				failure = te
			}
			if !te.Reply.Local && !d.tryNext(a, te.Reply) {
				return nil, failure
			}
			if te.Reply.Local && te.Reply.Status == (bounce.Status{Class: 4, Subject: 4, Detail: 1}) { // none of them answers
				i += len(target.Others)
			}
		}
	}
	if failure == nil {
		failure = &transport.Error{Reply: bounce.Reply{
			Status: bounce.Status{Class: 4, Subject: 4, Detail: 1}, Stage: bounce.StageConnect, Local: true,
			Lines: []string{"no address of the destination can be reached from " + r.LocalAddr},
		}}
	}
	return nil, failure
}

// maxRaced is how many addresses of a host are tried at a time, a quarter of a second apart (RFC 8305).
const maxRaced = 3

// reachable are the addresses of a host that can be reached from the route's source address.
func (d *dispatcher) reachable(a *attempt, h route.Host) []netip.AddrPort {
	r, port := a.path.route, uint16(d.s.cfg.Port)
	if r.Relay != nil {
		port = r.relayPort
	}
	addrs := make([]netip.AddrPort, 0, len(h.Addrs))
	for _, addr := range h.Addrs {
		if local := r.local; !local.IsValid() || local.Is4() == addr.Is4() {
			addrs = append(addrs, netip.AddrPortFrom(addr, port))
		}
	}
	return addrs
}

// tells ranks failures to connect by how much they say: a receiver's own reply, then what broke last.
func tells(r bounce.Reply) int {
	if !r.Local {
		return 10
	}
	return slices.Index([]bounce.Stage{bounce.StageConnect, bounce.StageEHLO, bounce.StageTLS, bounce.StageAuth}, r.Stage)
}

// tryNext reports whether another host may be tried after a host's reply. Not when the receiver has had enough of us.
func (d *dispatcher) tryNext(a *attempt, r bounce.Reply) bool {
	switch d.s.cfg.Classifier.Classify(a.dest.provider, r).Category {
	case bounce.Network, bounce.ServerBusy, bounce.TLSRequired, bounce.ProtocolError, bounce.Other:
		return true
	}
	return false
}

// hosts are where to connect: the destination's, or the relay's.
func (d *dispatcher) hosts(a *attempt) ([]route.Host, *transport.Error) {
	r := a.path.route
	if r.Relay == nil {
		return a.dest.Hosts, nil
	}
	if addr, err := netip.ParseAddr(r.relayHost); err == nil {
		return []route.Host{{Name: r.relayHost, Addrs: []netip.Addr{addr}}}, nil
	}
	addrs, err := d.s.cfg.Resolver.Addrs(d.ctx, r.relayHost)
	if err != nil {
		// A relay that cannot be found is our own misconfiguration or a passing fault, never the recipient's.
		return nil, &transport.Error{Err: err, Reply: bounce.Reply{
			Status: bounce.Status{Class: 4, Subject: 4, Detail: 3}, Stage: bounce.StageConnect, Host: r.relayHost, Local: true,
			Lines: []string{"relay cannot be resolved: " + err.Error()},
		}}
	}
	return []route.Host{{Name: r.relayHost, Addrs: addrs}}, nil
}

// failure makes a *transport.Error of any error of a Transport.
func (d *dispatcher) failure(err error, stage bounce.Stage, host string) *transport.Error {
	var te *transport.Error
	if errors.As(err, &te) {
		return te
	}
	return &transport.Error{Err: err, Reply: bounce.Reply{
		Status: bounce.Status{Class: 4, Subject: 4, Detail: 2}, Stage: stage, Host: host, Local: true, Lines: []string{err.Error()},
	}}
}

// fail settles a group that could not be attempted for want of a connection.
func (d *dispatcher) fail(a *attempt, te *transport.Error) {
	if d.ctx.Err() == nil && te.Reply.Local {
		d.markDown(a)
	}
	results := make([]transport.Result, len(a.group))
	for i := range results {
		results[i].Reply = te.Reply
	}
	d.judge(a, results, te)
}

// markDown closes the destination's hosts for a while that doubles: others need not try what just failed.
func (d *dispatcher) markDown(a *attempt) {
	site := a.dest.site
	if a.path.route.Relay != nil {
		site = a.path.route.Relay.Addr
	}
	key, now := a.path.route.Name+" "+site, time.Now()
	down, _ := d.down.Get(now, key)
	if down.until.After(now) {
		return
	}
	down.tries++
	down.until = now.Add(min(30*time.Minute, time.Minute<<min(down.tries-1, 5)))
	d.down.Put(now, key, down)
}

// relayAuth is what authenticates to the relay, or nil.
func (r *routeInfo) relayAuth() func() sasl.Client {
	switch relay := r.Relay; {
	case relay.AuthFunc != nil:
		return relay.AuthFunc
	case relay.Auth != nil:
		return func() sasl.Client { return relay.Auth }
	}
	return nil
}
