package transport

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/reputemail/repute/bounce"
)

// TLSInfo is what a session's TLS came to.
type TLSInfo struct {
	// Version and Cipher are names: "TLS 1.3", "TLS_AES_128_GCM_SHA256".
	Version, Cipher string
	// Verified says that the policy had the certificate verified for the host's name. Under TLSOpportunistic and
	// TLSRequired it is false, whatever the certificate.
	Verified bool
	// Resumed says that the handshake resumed an earlier session with the host. Verified is about that session's certificate
	// then, which was seen at most an hour ago and has not expired.
	Resumed bool
}

// Session is a conversation with one host, ready for mail. It is not safe for concurrent use, but for Abort.
type Session struct {
	wire   *wire
	config *Config
	host   string
	addr   netip.AddrPort
	ext    extensions
	tls    *TLSInfo
	blocks *sync.Pool

	// window is how many commands may be sent before their replies: 1 without PIPELINING. chunking says that BDAT is used.
	window   int
	chunking bool
	// note remembers that the host does not keep what it promised with an extension.
	note func(quirk)

	messages int
	// ahead is the transaction that was begun behind the content of the last one.
	ahead *transaction
	// dirty says that the last transaction did not end with a reply to a final dot, so that RSET must come first.
	dirty bool
	// dead says that nothing more can be sent.
	dead bool
}

// Send sends one message to env.To, and returns one Result for each, in that order. It returns none when env.To is empty.
//
// A nil error means that the conversation is in step and the session can be used again: each recipient was accepted (the
// Result has the reply to the content), or refused by the host at MAIL, RCPT, DATA or the content's end, or by this package
// before anything was sent, with a Local reply: 5.6.3 when the message needs 8BITMIME and the host has it not, 5.6.7 with
// SMTPUTF8 likewise, 5.3.4 when it is larger than the host's SIZE, 5.1.3 or 5.1.7 when an address holds what would break
// out of its command.
//
// With an error the session is dead, and the results are complete nevertheless. A recipient that the host had refused on
// its own before keeps that reply. All others, also those whose RCPT was accepted, were not accepted, and have the Reply
// that ended the session: the host's 421, what it said before it closed amid the content, or a Local one with status 4.4.2
// or 4.5.0 that says what happened. The error is
// an *Error with that same Reply, or ctx's error as it is when ctx ended. If the connection was lost after the whole content
// was sent, the Stage is StageDot, and the text says that the outcome is unknown: trying again may deliver the message twice.
//
// When the host says more than it was asked for, or something that cannot be the reply to its command, it is not sure which
// reply belongs to whom: the status is 4.5.0 then, and no recipient of the transaction keeps another one.
//
// Header and Data are written as they are, but that lines with a leading dot are stuffed, bare LF becomes CRLF, and a
// missing last line end is added. Bare CR is not looked for. Send does not change env and keeps nothing of it.
func (s *Session) Send(ctx context.Context, env *Envelope) ([]Result, error) {
	return s.SendThen(ctx, env, nil)
}

// SendThen is Send that begins the next transaction behind the end of the content (RFC 2920 section 3.1), so that a row of
// messages takes one round trip each. Where that cannot be (the host lacks PIPELINING) or gains nothing (with CHUNKING a
// message takes one round trip anyhow), it is Send, and next is not called.
//
// next is called at most once: when at least one recipient of env was accepted, right before the content is written, and
// never for a message that was refused before. It returns the envelope to be sent next, or nil. The host waits meanwhile, so
// next should have ready what it returns. If that envelope passes the checks that Send makes before it sends anything, MAIL, RCPT
// and DATA for it are sent, but not its content, and its replies are not read: SendThen returns when the reply to env's
// content is there, whether that is positive or not, since one transaction does not depend on the other.
//
// A transaction that was begun so has to be gone on with: the next call of Send or SendThen must be for the same *Envelope,
// unchanged. Any other envelope, and Close, end the session, because a DATA that was said cannot be taken back. When the
// session ends before the content of the envelope was sent, be that within this call or in the one for that envelope, nothing
// of it was taken: its recipients have a Local reply at StageMail then, unless the host refused them with a reply of its own,
// or kept silent for longer than Timeouts allow.
func (s *Session) SendThen(ctx context.Context, env *Envelope, next func() *Envelope) ([]Result, error) {
	if len(env.To) == 0 {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return s.unsent(env, "given up before the message was sent: "+err.Error()), err
	}
	if s.ahead != nil && s.ahead.env != env {
		s.end()
	}
	if !s.Usable() {
		results := s.unsent(env, "the session has ended")
		return results, &Error{Reply: results[0].Reply}
	}
	tx := s.ahead
	if s.ahead = nil; tx == nil {
		var ok bool
		if tx, ok = s.begin(env); !ok {
			return tx.results, nil
		}
	}
	stop := context.AfterFunc(ctx, s.wire.abort)
	fault := s.transact(ctx, tx, next)
	stopped := stop()
	if fault != nil {
		s.end()
		tx.settle(fault.Reply)
		if err := ctx.Err(); err != nil && s.wire.err != nil {
			return tx.results, err
		}
		return tx.results, fault
	}
	if !stopped {
		s.dead = true // ctx ended just after the last reply: the results hold, the connection does not
	}
	return tx.results, nil
}

// end closes the connection without a word.
func (s *Session) end() {
	s.dead, s.ahead = true, nil
	s.wire.abort()
}

// unsent are the results of an envelope of which nothing was sent.
func (s *Session) unsent(env *Envelope, why string) []Result {
	results := make([]Result, len(env.To))
	for i := range results {
		results[i].Reply = s.local(statusLost, why)
	}
	return results
}

// local is a Local reply at MAIL.
func (s *Session) local(status bounce.Status, text string) bounce.Reply {
	return local(bounce.StageMail, s.host, status, text)
}

// takes says whether the host can take the message at all, and why not.
func (s *Session) takes(env *Envelope) (bounce.Reply, bool) {
	size := int64(len(env.Header)) + int64(len(env.Data))
	switch {
	case !sayable(env.From):
		return s.local(statusBadFrom, fmt.Sprintf("the sender address %q cannot be sent", env.From)), false
	case env.EightBit && !s.ext.eightBit:
		return s.local(statusEightBit, "the message has 8-bit content and the host does not offer 8BITMIME"), false
	case (env.UTF8 || !ascii(env.From)) && !s.ext.utf8:
		return s.local(statusUTF8, "the message has a non-ASCII address or header field and the host does not offer SMTPUTF8"), false
	case s.ext.size > 0 && size > s.ext.size:
		return s.local(statusTooLarge, fmt.Sprintf("the message has %d bytes and the host takes %d", size, s.ext.size)), false
	}
	return bounce.Reply{}, true
}

// refuse settles the recipients that cannot be named to the host. It says whether any is left.
func (s *Session) refuse(env *Envelope, results []Result) bool {
	left := 0
	for i, to := range env.To {
		switch {
		case to == "" || !sayable(to):
			results[i].Reply = local(bounce.StageRcpt, s.host, statusBadTo, fmt.Sprintf("the address %q cannot be sent", to))
		case !s.ext.utf8 && !ascii(to):
			results[i].Reply = local(bounce.StageRcpt, s.host, statusUTF8, "the address is not ASCII and the host does not offer SMTPUTF8")
		default:
			left++
		}
	}
	return left > 0
}

// needsUTF8 says whether MAIL must have SMTPUTF8 (RFC 6531 section 3.4).
func (s *Session) needsUTF8(env *Envelope) bool {
	if env.UTF8 || !ascii(env.From) {
		return true
	}
	for _, to := range env.To {
		if !ascii(to) {
			return s.ext.utf8
		}
	}
	return false
}

// Close says QUIT if the session is usable, waits for the reply no longer than Timeouts.Quit, and closes the connection.
// Where another transaction was begun by SendThen, there is no QUIT. The error is always nil. A second call does nothing.
func (s *Session) Close() error {
	if s.dead || s.ahead != nil {
		s.end()
		return nil
	}
	s.dead = true
	s.wire.quit(s.config.Timeouts.Quit)
	return nil
}

// Abort closes the connection at once. A call that runs fails. It may be called from any goroutine, and more than once.
func (s *Session) Abort() { s.wire.abort() }

// Usable reports whether another message can be sent, as far as is known: that the host has closed an idle connection is
// only found out by the next Send. After SendThen has begun a transaction, only its message can be.
func (s *Session) Usable() bool { return !s.dead && !s.wire.closed.Load() }

// Messages is how many transactions were begun, whatever became of them: what a host counts for its limit per connection.
func (s *Session) Messages() int { return s.messages }

// Host is the Host of the target.
func (s *Session) Host() string { return s.host }

// Addr is the address of the host that the session is with: Target.Addr, or one of Target.Others.
func (s *Session) Addr() netip.AddrPort { return s.addr }

// TLS is what is known of the session's TLS; false when it is in clear text.
func (s *Session) TLS() (TLSInfo, bool) {
	if s.tls == nil {
		return TLSInfo{}, false
	}
	return *s.tls, true
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// sayable says whether an address can stand between angle brackets in a command without breaking out: no control
// characters, and no space or bracket outside a quoted string.
func sayable(addr string) bool {
	quoted := false
	for i := 0; i < len(addr); i++ {
		switch c := addr[i]; {
		case c < ' ' || c == 0x7f:
			return false
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
			if i < len(addr) && (addr[i] < ' ' || addr[i] == 0x7f) {
				return false
			}
		case !quoted && (c == ' ' || c == '<' || c == '>'):
			return false
		}
	}
	return !quoted
}
