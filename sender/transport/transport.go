package transport

import (
	"context"
	"net"
	"net/netip"

	"github.com/emersion/go-sasl"

	"github.com/reputemail/repute/bounce"
)

// TLSPolicy says how much TLS a conversation must have.
type TLSPolicy string

// The policies.
const (
	// TLSOpportunistic uses STARTTLS when offered, without verifying the certificate, and goes on in clear text when it
	// is refused or broken (RFC 7435). The default.
	TLSOpportunistic TLSPolicy = "opportunistic"
	// TLSRequired sends nothing without TLS; the certificate is not verified.
	TLSRequired TLSPolicy = "required"
	// TLSVerified sends nothing without TLS and a certificate that is valid for the host's name.
	TLSVerified TLSPolicy = "verified"
	// TLSImplicit starts with the handshake (RFC 8314, port 465) and verifies the certificate. For relays.
	TLSImplicit TLSPolicy = "implicit"
	// TLSNone never uses STARTTLS.
	TLSNone TLSPolicy = "none"
)

// Target is one host to talk to, and how.
type Target struct {
	// Host is the name of the MX host or relay: for certificates, the record of broken TLS, and replies.
	Host string
	// Addr is where to connect.
	Addr netip.AddrPort
	// Others are further addresses of the same host, the best first. Each is tried when the one before it has failed, or has
	// not answered within 250 ms, and the first connection wins (RFC 8305 section 5): Session.Addr tells which. Those of another
	// family than LocalAddr's are left out. Defaults to none.
	Others []netip.AddrPort
	// LocalAddr is the source address, or the zero Addr for the system's choice.
	LocalAddr netip.Addr
	// Hostname is the name for EHLO.
	Hostname string
	// TLS is the policy. Empty means TLSOpportunistic.
	TLS TLSPolicy
	// Auth authenticates to a relay, or nil. Called once for each connection, so one Target may be dialled concurrently.
	Auth func() sasl.Client
	// Dial replaces Config.Dial for this connection, for one that goes through a proxy. Nil means Config.Dial.
	Dial DialFunc
}

// Envelope is one SMTP transaction.
type Envelope struct {
	// From is the reverse-path without angle brackets; empty for the null reverse-path.
	From string
	// To are the recipients, at least one.
	To []string
	// Header is put before Data (DKIM-Signature fields); CRLF line ends.
	Header []byte
	// Data is the message, CRLF line ends.
	Data []byte
	// EightBit and UTF8 say that the message needs 8BITMIME (RFC 6152) and SMTPUTF8 (RFC 6531).
	EightBit, UTF8 bool
}

// Result is what the receiver said to one recipient of a transaction: the reply that decided.
// An accepted recipient has the reply to the final dot.
type Result struct {
	Accepted bool
	Reply    bounce.Reply
}

// Error is a conversation that failed. Every error of Dial and Send is one, but for a context's error, which is returned as it is.
type Error struct {
	// Reply is the deciding reply. Local when our side made it (connect, time-out, TLS, a missing extension).
	Reply bounce.Reply
	// Err is the cause below it, or nil.
	Err error
}

// Error is the stage, the host and the reply.
func (e *Error) Error() string {
	return "transport: " + string(e.Reply.Stage) + " " + e.Reply.Host + ": " + e.Reply.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// DialFunc opens a connection from local (the zero Addr: any) to addr. It must heed ctx.
// Connections with a socket (syscall.Conn), or with a method Readable() bool that says whether Read would return at once, are
// spared some milliseconds for each message.
type DialFunc func(ctx context.Context, local netip.Addr, addr netip.AddrPort) (net.Conn, error)
