package transport

import (
	"context"
	"time"

	"github.com/reputemail/repute/bounce"
)

// decide does what is left when all commands have their replies: the content, or nothing.
func (s *Session) decide(ctx context.Context, tx *transaction, next func() *Envelope) *Error {
	w := s.wire
	switch {
	case w.err != nil:
		return w.broken(ctx, s.host)
	case tx.open && tx.contrary:
		// A dot would deliver an empty message to those whom it took.
		return s.astray("the host refused the sender, took a recipient, and waits for content")
	case tx.open || tx.chunked && !tx.joined && tx.accepted > 0:
		if w.arm(bounce.StageData, s.config.Timeouts.Data); !tx.open {
			w.stage, w.partial = bounce.StageDot, true
		}
		if fault := s.quiet(ctx, tx); fault != nil {
			return fault
		}
	default:
		within := time.Duration(0)
		if tx.doubtful {
			within = doubt
		}
		if w.overrun(within) != "" {
			return s.overran(tx)
		}
	}
	switch {
	case tx.open && tx.accepted == 0:
		return s.nothing(ctx, tx)
	case tx.open:
		return s.content(ctx, tx, next)
	case tx.chunked && !tx.joined && tx.accepted > 0:
		return s.chunks(ctx, tx)
	}
	return nil
}

// nothing ends a transaction whose DATA the host took although it had refused all recipients: RFC 2920 section 3.1 has the
// client send the dot alone.
func (s *Session) nothing(ctx context.Context, tx *transaction) *Error {
	w := s.wire
	w.arm(bounce.StageDot, s.config.Timeouts.Dot)
	w.out = append(w.out, dot...)
	_, fault := s.heard(ctx, tx, w.exchange())
	s.dirty = false
	return fault
}

// content sends the message behind the host's 354, with the commands of the next one behind it, and hears the reply to the
// final dot.
func (s *Session) content(ctx context.Context, tx *transaction, next func() *Envelope) *Error {
	w, timeouts := s.wire, &s.config.Timeouts
	s.dirty = false // by the reply to the dot, whatever it is (RFC 5321 section 4.1.1.4)
	var ahead *transaction
	if next != nil && s.window > 1 {
		ahead = s.beginAhead(next())
	}
	defer s.borrow()()
	w.armContent(len(tx.env.Header)+len(tx.env.Data), timeouts.Block, timeouts.Dot)
	w.content(tx.env.Header)
	w.content(tx.env.Data)
	w.dot()
	if ahead != nil {
		s.fill(ctx, ahead)
	}
	ok, fault := s.heard(ctx, tx, w.exchange())
	if fault != nil {
		return fault
	}
	if ahead == nil && !w.agrees() {
		return s.overran(tx)
	}
	s.ahead = ahead
	tx.verdict(ok, w.reply(s.host))
	return nil
}

// overran is the error for a host that says more than it was asked for.
func (s *Session) overran(tx *transaction) *Error {
	tx.astray = true
	text := "the host says more than it was asked for"
	if s.wire.stage == bounce.StageDot {
		text += ", so the outcome is unknown and the message may have been delivered"
	}
	return s.astray(text)
}

// beginAhead begins the transaction of an envelope that comes behind the content of another one; nil when there is nothing
// to be sent.
func (s *Session) beginAhead(env *Envelope) *transaction {
	if env == nil || len(env.To) == 0 {
		return nil
	}
	tx, ok := s.begin(env)
	if !ok {
		return nil
	}
	tx.ahead = true
	return tx
}

// borrow gives the wire a buffer of a block's size, with what is pending in it, until the returned function is called.
func (s *Session) borrow() (giveBack func()) {
	w := s.wire
	block := s.blocks.Get().(*[]byte)
	small := w.out
	w.out = append((*block)[:0], small...)
	return func() {
		if cap(w.out) <= 2*blockSize {
			*block = w.out[:0]
		}
		w.out = small[:0]
		s.blocks.Put(block)
	}
}
