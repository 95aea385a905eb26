package sendertest

import (
	"time"

	"github.com/reputemail/repute/bounce"
)

// Hook answers one step of a conversation. nil leaves the step to the next script and in the end to the server's default.
// It runs on the session's goroutine; one Script may serve many sessions at a time, so state shared by its hooks needs a lock.
// A hook may wait with Session.Sleep and write octets of its own with Session.Write.
type Hook func(s *Session, arg string) *Answer

// Answer is what a server does at one step.
type Answer struct {
	// Reply is sent. A Reply with code 0 sends nothing. A positive reply has the effect that the default reply has (MAIL
	// begins a transaction, RCPT adds the recipient, the dot accepts the message), any other has none.
	Reply bounce.Reply
	// Delay is waited before the reply. Defaults to none.
	Delay time.Duration
	// Drip is waited after each octet of the reply. Defaults to none.
	Drip time.Duration
	// Close ends the connection after the reply.
	Close bool
	// Reset cuts the connection after the reply, as a TCP reset.
	Reset bool
	// Silent lets the reply have its effect without being sent.
	Silent bool

	accepts bool // answers the final dot
}

// takes reports whether the answer accepts a message.
func (a *Answer) takes() bool {
	return a.accepts && a.Reply.OK()
}

// Say is an Answer with one reply, written as on the wire: "550 5.1.1 No such user", with "\n" between the lines of a longer
// one, where each line after the first may leave out the codes. A text without a reply code is sent with code 451.
// The connection is closed after a 421 (RFC 5321 section 3.8).
func Say(reply string) *Answer {
	r := parseReply(reply)
	return &Answer{Reply: r, Close: r.Code == 421}
}

// Script is the behaviour of a Server where it differs from the default. The zero Script changes nothing.
// The fields are hooks by stage, with what arg is.
type Script struct {
	// OnConnect comes before the greeting. arg is the client's address. A negative reply ends the connection.
	OnConnect Hook
	// OnEHLO answers EHLO and HELO. arg is the client's name.
	OnEHLO Hook
	// OnStartTLS answers STARTTLS. arg is empty. The handshake follows a positive reply.
	OnStartTLS Hook
	// OnAuth answers AUTH, before the exchange. arg is the mechanism. A positive reply authenticates nobody: return nil.
	OnAuth Hook
	// OnMail answers MAIL. arg is the reverse-path without angle brackets.
	OnMail Hook
	// OnRcpt answers RCPT. arg is the forward-path without angle brackets.
	OnRcpt Hook
	// OnData answers DATA, before the content. arg is empty. The content follows a reply with code 354.
	OnData Hook
	// OnContent is asked before the content is read. arg is empty. An Answer that neither closes nor resets is ignored.
	OnContent Hook
	// OnDot answers the final dot. arg is empty; Session.Data has the content.
	OnDot Hook
	// OnReply may change any answer before it is sent, also the default ones.
	OnReply func(s *Session, a *Answer)
	// OnClose is called when the connection is over, also when OnConnect was not.
	OnClose func(s *Session)
	// OnTLS may replace the server's TLS configuration for this session. Only asked where there is one. The result is not
	// changed by the server.
	OnTLS TLSHook
}

// Compose makes one Script of several. At each step the first one that has an answer wins; OnReply and OnClose of all are
// called and OnTLS of all are applied, in order.
func Compose(scripts ...Script) Script {
	var c Script
	for _, s := range scripts {
		c.OnConnect = either(c.OnConnect, s.OnConnect)
		c.OnEHLO = either(c.OnEHLO, s.OnEHLO)
		c.OnStartTLS = either(c.OnStartTLS, s.OnStartTLS)
		c.OnAuth = either(c.OnAuth, s.OnAuth)
		c.OnMail = either(c.OnMail, s.OnMail)
		c.OnRcpt = either(c.OnRcpt, s.OnRcpt)
		c.OnData = either(c.OnData, s.OnData)
		c.OnContent = either(c.OnContent, s.OnContent)
		c.OnDot = either(c.OnDot, s.OnDot)
		if a, b := c.OnReply, s.OnReply; a == nil {
			c.OnReply = b
		} else if b != nil {
			c.OnReply = func(s *Session, an *Answer) { a(s, an); b(s, an) }
		}
		if a, b := c.OnClose, s.OnClose; a == nil {
			c.OnClose = b
		} else if b != nil {
			c.OnClose = func(s *Session) { a(s); b(s) }
		}
		c.OnTLS = c.OnTLS.then(s.OnTLS)
	}
	return c
}

func either(a, b Hook) Hook {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return func(s *Session, arg string) *Answer {
		if answer := a(s, arg); answer != nil {
			return answer
		}
		return b(s, arg)
	}
}

// each returns the Script with every hook that it has replaced.
func (s Script) each(replace func(Hook) Hook) Script {
	for _, h := range []*Hook{&s.OnConnect, &s.OnEHLO, &s.OnStartTLS, &s.OnAuth, &s.OnMail, &s.OnRcpt, &s.OnData, &s.OnContent, &s.OnDot} {
		if *h != nil {
			*h = replace(*h)
		}
	}
	return s
}

// at returns the hook field of a stage, or nil for a stage that has none.
func (s *Script) at(stage bounce.Stage) *Hook {
	switch stage {
	case bounce.StageConnect:
		return &s.OnConnect
	case bounce.StageEHLO:
		return &s.OnEHLO
	case bounce.StageTLS:
		return &s.OnStartTLS
	case bounce.StageAuth:
		return &s.OnAuth
	case bounce.StageMail:
		return &s.OnMail
	case bounce.StageRcpt:
		return &s.OnRcpt
	case bounce.StageData:
		return &s.OnData
	case bounce.StageDot:
		return &s.OnDot
	}
	return nil
}
