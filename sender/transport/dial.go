package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/internal/keyed"
)

// Dial opens a session with one host; the package comment has the steps. The error is an *Error whose Reply is what the
// host refused with, or a Local one of ours, or it is ctx's error as it is. Local replies have the status
// 4.4.1 when no connection came about; 4.4.2 when it broke or a reply did not come in time; 4.5.0 when the host does not
// speak SMTP; 4.7.4 when it lacks the TLS or AUTH mechanism that is demanded; 4.7.5 when the TLS handshake failed; 4.7.8
// when our side of AUTH failed; and 4.3.5 when target is wrong.
//
// ctx bounds the dialling, not the session.
func (t *Transport) Dial(ctx context.Context, target Target) (*Session, error) {
	if target.TLS == "" {
		target.TLS = TLSOpportunistic
	}
	if err := target.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := &call{config: &t.config, tickets: t.tickets, target: target, need: target.mustTLS(), startTLS: target.TLS != TLSNone}
	if !c.need && c.startTLS && t.tlsBroken(time.Now(), target) {
		c.startTLS = false
	}
	s, err := t.dial(ctx, c)
	if c.brokenTLS && c.offered {
		// It may be the resumption that failed: once more with a full handshake, before anything is made of it.
		c = &call{config: &t.config, target: c.pinned(), need: c.need, startTLS: true, fresh: true}
		s, err = t.dial(ctx, c)
	}
	if err == nil && c.tls != nil {
		t.broken.Delete(target.key())
	}
	if err == nil || !c.brokenTLS || c.need {
		return s, err
	}
	// RFC 7435 section 3: opportunistic security goes on without protection when protection does not work.
	why := err
	c = &call{config: &t.config, target: c.pinned()}
	if s, err = t.dial(ctx, c); err != nil {
		return nil, err
	}
	// Only now is it sure that it was TLS, not the host or the network, that failed.
	t.config.Logger.Warn("tls given up, sending in clear text",
		"host", target.Host, "addr", c.addr, slog.Duration("for", t.rememberBroken(time.Now(), target)), "error", why)
	return s, nil
}

// firstBrokenTLS is for how long one failed handshake counts. A single one may be a dropped packet, or an attacker's who
// wants the mail in clear text: that must not be had for days by one forged reset.
const firstBrokenTLS = time.Hour

// tlsBroken says whether the host's TLS is known not to work.
func (t *Transport) tlsBroken(now time.Time, target Target) bool {
	until, ok := t.broken.Get(now, target.key())
	return ok && now.Before(until)
}

// rememberBroken takes note of a failed handshake, and returns for how long TLS is not tried now.
func (t *Transport) rememberBroken(now time.Time, target Target) time.Duration {
	longest := max(0, t.config.BrokenTLSFor)
	if longest == 0 {
		return 0
	}
	until, ok := t.broken.Get(now, target.key())
	if ok && now.Before(until) {
		return until.Sub(now) // It failed at the same time as another one, and is no second failure.
	}
	length := min(firstBrokenTLS, longest)
	if ok && now.Before(until.Add(longest)) {
		length = longest
	}
	t.broken.Put(now, target.key(), now.Add(length))
	return length
}

// key is what the host is remembered by.
func (t *Target) key() string {
	if t.Host == "" {
		return t.Addr.String()
	}
	return strings.ToLower(strings.TrimSuffix(t.Host, "."))
}

// check validates a target.
func (t *Target) check() error {
	wrong := func(text string) error { return fault(bounce.StageConnect, t.Host, statusConfig, text, nil) }
	if !t.Addr.IsValid() || t.Addr.Port() == 0 {
		return wrong("Target.Addr: no address and port")
	}
	for _, other := range t.Others {
		if !other.IsValid() || other.Port() == 0 {
			return wrong("Target.Others: no address and port")
		}
	}
	// RFC 5321 section 4.1.1.1: the name is the client's own, which "localhost" never is to anybody else.
	if t.Hostname == "" || strings.EqualFold(t.Hostname, "localhost") || strings.ContainsFunc(t.Hostname, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return wrong(fmt.Sprintf("Target.Hostname: %q is no name for EHLO", t.Hostname))
	}
	switch t.TLS {
	case TLSOpportunistic, TLSRequired, TLSNone:
	case TLSVerified, TLSImplicit:
		if t.Host == "" {
			return wrong("Target.Host: no name to verify the certificate for")
		}
	default:
		return wrong(fmt.Sprintf("Target.TLS: unknown policy %q", t.TLS))
	}
	return nil
}

// mustTLS says whether nothing may be sent without TLS. Credentials never go in clear text over a network.
func (t *Target) mustTLS() bool {
	switch t.TLS {
	case TLSRequired, TLSVerified, TLSImplicit:
		return true
	case TLSNone:
		return false
	}
	abroad := func(a netip.AddrPort) bool { return !a.Addr().Unmap().IsLoopback() }
	return t.Auth != nil && (abroad(t.Addr) || slices.ContainsFunc(t.Others, abroad))
}

// call is one connection on its way to become a session.
type call struct {
	config *Config
	target Target
	// need says that the session must have TLS, startTLS that it is wanted when offered, fresh that no session is resumed.
	need, startTLS, fresh bool
	tickets               *keyed.Map[string, ticket]

	wire *wire
	// addr is the address that answered.
	addr netip.AddrPort
	ext  extensions
	tls  *TLSInfo
	// brokenTLS is set when the handshake failed, offered when it was to resume a session.
	brokenTLS, offered bool
}

// pinned is the target with the address that answered, for another connection to the same host.
func (c *call) pinned() Target {
	t := c.target
	if c.addr.IsValid() {
		t.Addr, t.Others = c.addr, nil
	}
	return t
}

// dial makes one connection and converses until mail can be sent.
func (t *Transport) dial(ctx context.Context, c *call) (*Session, error) {
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, c.wire.abort)
	s, fault := c.converse(ctx)
	if fault != nil {
		// After a failure of our own or a refusal the host is told good-bye; after a 421 or a broken connection it is not
		// there any more.
		if c.wire.replied && c.wire.code == 421 {
			c.wire.abort()
		}
		c.wire.quit(c.config.Timeouts.Quit)
	}
	if !stop() {
		c.wire.abort()
		return nil, ctx.Err()
	}
	if fault != nil {
		return nil, fault
	}
	s.blocks = &t.blocks
	key := c.target.key()
	s.window, s.note = 1, func(q quirk) { t.noteQuirk(time.Now(), key, q) }
	if c.ext.pipelining && !t.config.DisablePipelining && !t.hasQuirk(time.Now(), key, quirkPipelining) {
		s.window = groupCommands
	}
	s.chunking = c.ext.chunking && !t.config.DisableChunking && !t.hasQuirk(time.Now(), key, quirkChunking)
	t.config.Logger.Debug("session opened", "host", c.target.Host, "addr", c.addr, slog.Bool("tls", c.tls != nil))
	return s, nil
}

// converse does all that comes before MAIL.
func (c *call) converse(ctx context.Context) (*Session, *Error) {
	w, host, timeouts := c.wire, c.target.Host, &c.config.Timeouts
	if c.target.TLS == TLSImplicit {
		if err := c.handshake(ctx); err != nil {
			return nil, err
		}
	}
	w.arm(bounce.StageConnect, timeouts.Greeting)
	if w.exchange() != nil {
		return nil, w.broken(ctx, host)
	}
	if w.code != 220 {
		return nil, c.refused()
	}
	if err := c.hello(ctx); err != nil {
		return nil, err
	}
	if c.startTLS && c.tls == nil {
		if err := c.upgrade(ctx); err != nil {
			return nil, err
		}
	}
	if c.target.Auth != nil {
		if err := c.auth(ctx); err != nil {
			return nil, err
		}
	}
	return &Session{wire: w, config: c.config, host: host, addr: c.addr, ext: c.ext, tls: c.tls}, nil
}

// refused is the last reply as an error. One that is positive, but none that can be gone on with, is none of the host's
// opinions: the error is ours then.
func (c *call) refused() *Error {
	if c.wire.code >= 400 {
		return c.wire.refusal(c.target.Host)
	}
	return fault(c.wire.stage, c.target.Host, statusProtocol, "unexpected reply: "+c.wire.reply("").String(), nil)
}

// hello sends EHLO.
func (c *call) hello(ctx context.Context) *Error {
	ext, ok := c.wire.hello(c.target.Hostname, c.config.Timeouts.Hello)
	switch {
	case ok:
		c.ext = ext
		return nil
	case c.wire.err != nil:
		return c.wire.broken(ctx, c.target.Host)
	}
	return c.refused()
}

// upgrade does STARTTLS, as far as the policy wants it and the host can.
func (c *call) upgrade(ctx context.Context) *Error {
	w, host := c.wire, c.target.Host
	if !c.ext.startTLS {
		return c.lacksTLS("the host does not offer STARTTLS")
	}
	w.arm(bounce.StageTLS, c.config.Timeouts.Hello)
	if w.command("STARTTLS") != nil {
		c.brokenTLS = true // some middle boxes drop the connection at the word
		return w.broken(ctx, host)
	}
	switch {
	case w.code == 220:
	case w.code == 421:
		return w.refusal(host)
	default:
		return c.lacksTLS("the host refused STARTTLS: " + w.reply("").String())
	}
	if err := c.handshake(ctx); err != nil {
		return err
	}
	err := c.hello(ctx)
	if err != nil && w.err != nil {
		c.brokenTLS = true
		// With TLS 1.3 the host may refuse the handshake after our side of it is done: RFC 8446 section 4.4.4.
		if op := (*net.OpError)(nil); errors.As(w.err, &op) && op.Op == "remote error" && ctx.Err() == nil {
			return c.handshakeFailed(w.err)
		}
	}
	return err
}

// lacksTLS is nil when the policy lets the conversation go on in clear text.
func (c *call) lacksTLS(text string) *Error {
	if !c.need {
		return nil
	}
	if c.target.TLS == TLSOpportunistic {
		text += "; credentials are not sent in clear text"
	}
	return fault(bounce.StageTLS, c.target.Host, statusNoTLS, text, nil)
}

// handshake does the TLS handshake on the connection.
func (c *call) handshake(ctx context.Context) *Error {
	verify := c.target.TLS == TLSVerified || c.target.TLS == TLSImplicit
	config := c.config.TLSConfig.Clone()
	config.ServerName = strings.TrimSuffix(c.target.Host, ".")
	config.InsecureSkipVerify = !verify
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	// Small first records speed up browsers; here they only make more packets.
	config.DynamicRecordSizingDisabled = true
	config.ClientSessionCache = nil
	sessions := c.resumption()
	if sessions != nil {
		config.ClientSessionCache = sessions
	}
	conn, err := c.wire.startTLS(config, c.config.Timeouts.Handshake)
	if sessions != nil {
		c.offered = sessions.offered
	}
	if err != nil {
		if c.offered {
			sessions.forget()
		}
		if ctx.Err() != nil {
			return c.wire.broken(ctx, c.target.Host)
		}
		c.brokenTLS = true
		return c.handshakeFailed(err)
	}
	state := conn.ConnectionState()
	if sessions != nil {
		sessions.done(state.DidResume)
	}
	c.tls = &TLSInfo{
		Resumed:  state.DidResume,
		Version:  tls.VersionName(state.Version),
		Cipher:   tls.CipherSuiteName(state.CipherSuite),
		Verified: verify,
	}
	return nil
}

// handshakeFailed is the error for a handshake.
func (c *call) handshakeFailed(err error) *Error {
	text := describe(err)
	if isTimeout(err) {
		text = fmt.Sprintf("not done within %v", c.config.Timeouts.Handshake)
	}
	return fault(bounce.StageTLS, c.target.Host, statusTLS, "TLS handshake: "+text, err)
}
