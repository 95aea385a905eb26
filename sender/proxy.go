package sender

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/outlet"
	"github.com/reputemail/repute/sender/transport"
)

// Proxy is a proxy on another host, from whose addresses a route's connections leave. What it fails in is no receiver's doing, and no attempt: then the route
// rests, for 10 seconds and up to 5 minutes, the mail goes over the next route of its pool, or one for overflow, and else it waits (WaitProxy).
type Proxy struct {
	// Protocol is what it speaks: outlet.ProxyV2 ("proxy-v2") or outlet.SOCKS5 ("socks5"). Required.
	Protocol outlet.Protocol
	// Addr is its HOST:PORT. Config.Dial, if set, opens the connection to it. Required.
	Addr string
	// User and Password authenticate to it, for socks5 only; neither or both. The password is neither printed nor logged nor encoded as JSON. Default to none.
	User, Password string
}

// String is the protocol, the user and the address: "socks5 me@192.0.2.1:1080".
func (p Proxy) String() string {
	s := string(p.Protocol) + " "
	if p.User != "" {
		s += p.User + "@"
	}
	return s + p.Addr
}

// GoString is for the verb %#v.
func (p Proxy) GoString() string { return fmt.Sprintf("sender.Proxy{%q}", p.String()) }

// LogValue is String.
func (p Proxy) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalJSON leaves the password out.
func (p Proxy) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Protocol outlet.Protocol
		Addr     string
		User     string `json:",omitempty"`
	}{p.Protocol, p.Addr, p.User})
}

// checkProxy validates and copies the proxy of a route.
func (r *Route) checkProxy(field string) error {
	if r.Proxy == nil {
		return nil
	}
	p := *r.Proxy
	r.Proxy = &p
	if _, err := outlet.New(p.config()); err != nil {
		if name, reason, ok := strings.Cut(strings.TrimPrefix(err.Error(), "outlet: Config."), ": "); ok {
			return badConfig(field+".Proxy."+name, "%s", reason)
		}
		return badConfig(field+".Proxy", "%v", err)
	}
	if p.Protocol == outlet.ProxyV2 && r.LocalAddr == "" {
		return badConfig(field+".LocalAddr", "is needed with the proxy: the %s header names it", p.Protocol)
	}
	return nil
}

func (p *Proxy) config() outlet.Config {
	return outlet.Config{Protocol: p.Protocol, Addr: p.Addr, User: p.User, Password: p.Password}
}

// The rests of a route whose proxy failed.
const (
	proxyRest    = 10 * time.Second
	maxProxyRest = 5 * time.Minute
)

// outletInfo is the proxy of a route and how it is. The dispatcher's mutex guards all but dial.
type outletInfo struct {
	dial   transport.DialFunc // nil: there is no proxy
	until  time.Time          // when it is tried again
	failed time.Time          // the latest failure that counted
	since  time.Time          // the first failure in a row
	tries  int                // failures in a row
	why    string
}

// through makes the dialler of a route with a proxy.
func (r *routeInfo) through(s *Sender) error {
	if r.Proxy == nil {
		return nil
	}
	cfg := r.Proxy.config()
	cfg.Dial = s.cfg.Dial
	cfg.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) { return s.cfg.Resolver.Addrs(ctx, host) }
	o, err := outlet.New(cfg)
	if err != nil {
		return err
	}
	r.outlet.dial = o.Dial
	return nil
}

// obstacle is that the proxy rests. Other routes are for the mail meanwhile.
func (o *outletInfo) obstacle(key Path, now time.Time) (obstacle, bool) {
	if !o.until.After(now) {
		return obstacle{}, false
	}
	return obstacle{long: now.Sub(o.since) >= stickyFor, wait: Wait{Reason: WaitProxy, Path: key, Until: o.until, Detail: o.why}}, true
}

// probe lets one attempt try a proxy that failed, and keeps the others off until more is known.
func (o *outletInfo) probe(now time.Time) {
	if o.tries > 0 {
		o.until = now.Add(proxyRest)
	}
}

// isProxy reports whether a failure to connect is the proxy's own, and has the reply name it then.
func isProxy(te *transport.Error) bool {
	var failed *outlet.Error
	if !errors.As(te, &failed) {
		return false
	}
	te.Reply = bounce.Reply{
		Status: bounce.Status{Class: 4, Subject: 4, Detail: 1}, Stage: bounce.StageConnect, Host: te.Reply.Host, Local: true,
		Lines: []string{strings.TrimPrefix(failed.Error(), "outlet: ")},
	}
	return true
}

// proxyFailed reports whether a failure to connect is the proxy's own. That is no attempt: the mail goes back to its lane, and the route rests for
// all providers. Attempts that were under way when the proxy failed count as one failure.
func (d *dispatcher) proxyFailed(a *attempt, te *transport.Error) bool {
	var failed *outlet.Error
	if d.ctx.Err() != nil || !errors.As(te, &failed) {
		return false
	}
	a.back, a.dialled = a.group, false // no receiver saw a connection
	d.mu.Lock()
	defer d.unlock()
	o, now := &a.path.route.outlet, time.Now()
	if o.tries > 0 && !a.began.After(o.failed) {
		return true
	}
	if o.tries == 0 {
		o.since = now
	}
	o.tries++
	rest := min(maxProxyRest, proxyRest<<min(o.tries-1, 5))
	o.failed, o.until, o.why = now, now.Add(rest), te.Reply.Lines[0]
	d.s.log.Warn("proxy failed, its route rests", "route", a.path.key.Route, "proxy", failed.Proxy, "reason", failed.Reason, slog.Duration("for", rest))
	return true
}

// proxyWorks notes that the route's proxy served a connection, to whatever end.
func (d *dispatcher) proxyWorks(r *routeInfo) {
	if r.outlet.dial == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if o := &r.outlet; o.tries > 0 {
		d.s.log.Info("proxy works again", "route", r.Name, slog.Duration("after", time.Since(o.since)))
		o.tries, o.until, o.why = 0, time.Time{}, ""
	}
}
