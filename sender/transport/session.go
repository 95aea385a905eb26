package transport

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/internal/keyed"
)

// TLSInfo is what a session's TLS came to.
type TLSInfo struct {
	// Version and Cipher are names: "TLS 1.3", "TLS_AES_128_GCM_SHA256".
	Version, Cipher string
	// Verified says that the policy had the certificate verified for the host's name. Under TLSOpportunistic and
	// TLSRequired it is false, whatever the certificate.
	Verified bool
}

// Session is a conversation with one host, ready for mail. It is not safe for concurrent use, but for Abort.
type Session struct {
	wire   *wire
	client *smtp.Client
	config *Config
	host   string
	ext    extensions
	tls    *TLSInfo
	blocks *sync.Pool
	broken *keyed.Map[string, time.Time] // the transport's

	// begun is the transaction that was begun behind the final dot of the latest one.
	begun    *transaction
	messages int
	// dirty says that the last transaction did not end with a reply to a final dot, so that RSET must come first.
	dirty bool
	// dead says that nothing more can be sent.
	dead bool
}

// Send sends one message to env.To, and returns one Result for each, in that order. It returns none when env.To is empty.
//
// A nil error means that the conversation is in step and the session can be used again: each recipient was accepted (the
// Result has the reply to the final dot), or refused by the host at MAIL, RCPT, DATA or the final dot, or by this package
// before anything was sent, with a Local reply: 5.6.3 when the message needs 8BITMIME and the host has it not, 5.6.7 with
// SMTPUTF8 likewise, 5.3.4 when it is larger than the host's SIZE, 5.1.3 or 5.1.7 when an address holds what would break
// out of its command.
//
// With an error the session is dead, and the results are complete nevertheless. A recipient that the host had refused on
// its own before keeps that reply. All others, also those whose RCPT was accepted, were not accepted, and have the Reply
// that ended the session: the host's 421, what it said before it closed amid the content, or a Local one with status 4.4.2
// or 4.5.0 that says what happened. The error is
// an *Error with that same Reply, or ctx's error as it is when ctx ended. If the connection was lost after the final dot was
// sent, the Stage is StageDot, and the text says that the outcome is unknown: trying again may deliver the message twice.
//
// Header and Data are written as they are, but that lines with a leading dot are stuffed, bare LF becomes CRLF, and a
// missing last line end is added. Bare CR is not looked for. Send does not change env and keeps nothing of it.
func (s *Session) Send(ctx context.Context, env *Envelope) ([]Result, error) {
	return s.SendThen(ctx, env, nil)
}

// SendThen is Send, and lets another transaction begin behind the final dot of this one, so that in a row of messages each takes one round trip only (RFC 2920 section
// 3.1 allows the content of a message as the first part of a group).
//
// When the content is about to be sent, and so at least one recipient was accepted, it asks next for the envelope of the next transaction; once at most, and never where the host
// does not read ahead, or takes the content together with its recipients (CHUNKING), which needs one round trip anyway. next may return nil. It should not take long: the
// host waits for the content meanwhile.
//
// The envelope that next returned must be the one of the following call of Send or SendThen, and must not change until then. That is so whether or not its
// transaction was begun, which nobody is told. Anything else, and Close, ends the session without harm: no content was sent. If this call returns an error, so does the
// following one, and the host has seen nothing of that message: its results are Local ones of StageMail.
func (s *Session) SendThen(ctx context.Context, env *Envelope, next func() *Envelope) ([]Result, error) {
	if len(env.To) == 0 {
		return nil, nil
	}
	t := s.begun
	s.begun = nil
	if err := ctx.Err(); err != nil {
		results := make([]Result, len(env.To))
		s.settle(results, s.local(statusLost, "given up before the message was sent: "+err.Error()))
		if t != nil {
			s.end()
		}
		return results, err
	}
	if t != nil && t.env != env {
		s.end()
	}
	if !s.Usable() {
		results := make([]Result, len(env.To))
		err := &Error{Reply: s.local(statusLost, "the session has ended")}
		s.settle(results, err.Reply)
		return results, err
	}
	if t == nil {
		var any bool
		if t, any = s.newTransaction(env); !any {
			return t.results, nil
		}
	}
	stop := context.AfterFunc(ctx, s.wire.abort)
	fault := s.run(ctx, t, next)
	stopped := stop()
	if fault != nil {
		s.end()
		s.settle(t.results, fault.Reply)
		if err := ctx.Err(); err != nil && s.wire.err != nil {
			return t.results, err
		}
		return t.results, fault
	}
	if !stopped {
		s.dead = true // ctx ended just after the last reply: the results hold, the connection does not
	}
	return t.results, nil
}

// end ends the session at once.
func (s *Session) end() {
	s.dead = true
	s.wire.abort()
}

// settle gives reply to all recipients that have none yet.
func (s *Session) settle(results []Result, reply bounce.Reply) {
	for i := range results {
		if pending(&results[i]) {
			results[i].Reply = reply
		}
	}
}

// pending says whether nothing was decided for a recipient yet.
func pending(r *Result) bool { return r.Reply.Stage == "" }

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
// The error is always nil. A second call does nothing.
func (s *Session) Close() error {
	if s.dead || s.begun != nil { // the host may wait for content
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
// only found out by the next Send.
func (s *Session) Usable() bool { return !s.dead && !s.wire.closed.Load() }

// Messages is how many transactions were begun, whatever became of them: what a host counts for its limit per connection.
func (s *Session) Messages() int { return s.messages }

// Host is the Host of the target.
func (s *Session) Host() string { return s.host }

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
