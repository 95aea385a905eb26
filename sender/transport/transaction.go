package transport

import (
	"context"

	"github.com/reputemail/repute/bounce"
)

// A step is the place of a command in a transaction: these, or stepRcpt and the recipient's index.
type step int

const (
	stepRset step = iota
	stepMail
	stepRcpt
)

// transaction is one envelope on its way.
type transaction struct {
	env     *Envelope
	results []Result
	// ahead says that it was begun behind the content of another one.
	ahead bool
	// reset says that RSET comes first.
	reset bool
	// joined says that the content goes in one group with the commands, by BDAT; chunked that it goes by BDAT.
	joined, chunked bool

	// write and hear are the next command to be written, and the next one whose reply is to be read.
	write, hear step
	// unheard is how many replies are outstanding, bytes the length of their commands, heard how many came in this group.
	unheard, bytes, heard int
	mail                  int // the length of MAIL

	// refused says that MAIL was refused, accepted how many recipients were taken, contrary that some were in spite of that.
	refused  bool
	accepted int
	contrary bool
	// open says that the host waits for content. sent says that all of it was written.
	open, sent bool
	// astray says that replies may have been taken for those of other commands, doubtful that this is to be made sure of.
	astray, doubtful bool
}

// last is the step of DATA or BDAT.
func (tx *transaction) last() step { return stepRcpt + step(len(tx.env.To)) }

// has says whether a step is part of the transaction.
func (tx *transaction) has(at step) bool {
	switch {
	case at == stepRset:
		return tx.reset
	case at == tx.last():
		return !tx.chunked || tx.joined
	case at >= stepRcpt:
		return !tx.results[at-stepRcpt].Reply.Local // refused by us
	}
	return true
}

// size is the length of a step's command.
func (tx *transaction) size(at step) int {
	switch {
	case at == stepMail:
		return tx.mail
	case at >= stepRcpt && at < tx.last():
		return len("RCPT TO:<>\r\n") + len(tx.env.To[at-stepRcpt])
	}
	return len("RSET\r\n")
}

// wanted says whether there is any use in a step, by the replies so far.
func (tx *transaction) wanted(at step) bool {
	if at == tx.last() {
		return !tx.refused && (tx.accepted > 0 || tx.unheard > 0)
	}
	return !tx.refused
}

// settle gives reply to all recipients that have none yet. After astray none that the host gave counts.
func (tx *transaction) settle(reply bounce.Reply) {
	for i := range tx.results {
		if r := &tx.results[i]; tx.astray && !r.Reply.Local || r.Reply.Stage == "" {
			*r = Result{Reply: reply}
		}
	}
}

// verdict is the reply to the content for all that were accepted so far.
func (tx *transaction) verdict(accepted bool, reply bounce.Reply) {
	for i := range tx.results {
		if r := &tx.results[i]; r.Reply.Stage == "" {
			*r = Result{Accepted: accepted, Reply: reply}
		}
	}
}

// begin makes the transaction of an envelope. It is false when nothing is to be sent: the results are final then.
func (s *Session) begin(env *Envelope) (*transaction, bool) {
	tx := &transaction{env: env, results: make([]Result, len(env.To)), reset: s.dirty, chunked: s.chunking}
	if reply, ok := s.takes(env); !ok {
		tx.settle(reply)
		return tx, false
	}
	if !s.refuse(env, tx.results) {
		return tx, false
	}
	tx.joined = tx.chunked && s.window > 1 && len(env.Header)+len(env.Data) <= joinedContent
	s.dirty = true
	s.messages++
	return tx, true
}

// transact runs one transaction and fills in the results that the host decided. An error ends the session.
func (s *Session) transact(ctx context.Context, tx *transaction, next func() *Envelope) *Error {
	fault := s.converse(ctx, tx)
	if fault == nil {
		fault = s.decide(ctx, tx, next)
	}
	if fault == nil {
		return nil
	}
	w, timedOut := s.wire, isTimeout(s.wire.err)
	if s.window > 1 && (tx.astray || timedOut && tx.heard > 0 && tx.unheard > 0) {
		s.note(quirkPipelining)
	}
	if r := &fault.Reply; r.Local && r.Stage != bounce.StageDot {
		switch {
		case tx.sent:
			// The host has all of it, and may have acted on it before it answered.
			*r = local(bounce.StageDot, s.host, r.Status, unknownOutcome+r.Text())
		case tx.ahead && !timedOut && w.err != nil || tx.ahead && tx.astray:
			r.Stage = bounce.StageMail
		}
	}
	return fault
}
