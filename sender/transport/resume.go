package transport

import (
	"crypto/tls"
	"strings"
	"time"

	"github.com/reputemail/repute/internal/keyed"
)

// resumeFor is how long after a full handshake its session is resumed. A certificate that was taken back or replaced is noticed
// after this time at the latest.
const resumeFor = time.Hour

// ticket is a TLS session that may be resumed, and when its certificate was seen.
type ticket struct {
	state *tls.ClientSessionState
	seen  time.Time
}

// resumption is the tls.ClientSessionCache of one handshake. Its key is the transport's own: a session is resumed only for the
// same host under the same policy, and from the same source address by the same name, since a ticket tells the host that two
// connections are of one client.
type resumption struct {
	tickets *keyed.Map[string, ticket]
	key     string
	// seen is when the certificate of this session was seen; offered says that a session was given to the handshake.
	seen    time.Time
	offered bool
}

// resumption returns the cache for a handshake, or nil when nothing may be resumed: what a host's own check says of a certificate
// is not asked when a session is resumed.
func (c *call) resumption() *resumption {
	base := c.config.TLSConfig
	if c.fresh || base.SessionTicketsDisabled || base.VerifyPeerCertificate != nil {
		return nil
	}
	t := &c.target
	return &resumption{
		tickets: c.tickets,
		key:     strings.Join([]string{string(t.TLS), t.LocalAddr.String(), strings.ToLower(t.Hostname), t.key()}, "\n"),
	}
}

// Get gives the handshake a session.
func (r *resumption) Get(string) (*tls.ClientSessionState, bool) {
	now := time.Now()
	t, ok := r.tickets.Get(now, r.key)
	if !ok || now.Sub(t.seen) >= resumeFor {
		return nil, false
	}
	r.seen, r.offered = t.seen, true
	return t.state, true
}

// Put takes a new session, or nil for one that is of no use. With TLS 1.3 that happens after the handshake, on the goroutine
// that reads.
func (r *resumption) Put(_ string, state *tls.ClientSessionState) {
	now := time.Now()
	if state == nil {
		r.tickets.Delete(r.key)
		return
	}
	if r.seen.IsZero() {
		r.seen = now
	}
	r.tickets.Put(now, r.key, ticket{state, r.seen})
}

// done tells of the handshake's outcome.
func (r *resumption) done(resumed bool) {
	if !resumed {
		r.seen = time.Now()
	}
}

// forget drops the session.
func (r *resumption) forget() { r.tickets.Delete(r.key) }
