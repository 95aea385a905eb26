package transport

import (
	"context"
	"errors"

	"github.com/reputemail/repute/bounce"
)

// What may be sent before the replies to it are read. Both sides of a connection could wait for ever for the other one to read
// (RFC 2920 section 3.1), so what is on its way fits into the buffers of any system: the commands into those of one direction, and
// their replies, which are a line each as a rule, into those of the other. A host with very long replies costs a
// time-out at worst.
const (
	groupCommands = 128
	groupBytes    = 16 << 10
	// joinedCommands is how many replies may be outstanding while content is written, which fills the host's buffers.
	joinedCommands = 64
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
	// astray says that replies may have been taken for those of other commands.
	astray bool
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

// converse sends the commands, as many at a time as the window allows, and reads their replies.
func (s *Session) converse(ctx context.Context, tx *transaction) *Error {
	for {
		if s.wire.err == nil && tx.unheard <= s.window/2 && tx.write <= tx.last() {
			if fault := s.fill(ctx, tx); fault != nil {
				return fault
			}
		}
		if tx.unheard == 0 {
			return nil
		}
		if fault := s.hear(ctx, tx); fault != nil {
			return fault
		}
	}
}

// fill collects commands until the window is full. A group begins only when the host is quiet.
func (s *Session) fill(ctx context.Context, tx *transaction) *Error {
	for fresh := tx.unheard == 0 && !tx.ahead; tx.write <= tx.last(); tx.write++ {
		at := tx.write
		if !tx.has(at) {
			continue
		}
		if !tx.wanted(at) {
			tx.write = tx.last() + 1
			break
		}
		content := at == tx.last() && tx.joined
		if tx.unheard >= s.window || tx.unheard > 0 && tx.bytes+tx.size(at) > groupBytes || content && tx.unheard > joinedCommands {
			break
		}
		if fresh {
			s.arm(tx, at)
			if fault := s.quiet(ctx, tx); fault != nil {
				return fault
			}
			fresh, tx.heard = false, 0
		}
		s.put(tx, at)
		tx.unheard++
		tx.bytes += tx.size(at)
	}
	return nil
}

// quiet is an error when the host has said something that nobody asked for, or has gone.
func (s *Session) quiet(ctx context.Context, tx *transaction) *Error {
	w := s.wire
	if w.quiet() != nil {
		tx.astray = errors.Is(w.err, errUnasked)
		return w.broken(ctx, s.host)
	}
	if w.replied {
		return w.refusal(s.host)
	}
	return nil
}

// hear reads the next reply and does what follows from it.
func (s *Session) hear(ctx context.Context, tx *transaction) *Error {
	for !tx.has(tx.hear) {
		tx.hear++
	}
	at := tx.hear
	s.arm(tx, at)
	ok, fault := s.heard(ctx, tx, s.wire.exchange())
	if fault != nil {
		return fault
	}
	tx.hear++
	tx.heard++
	tx.unheard--
	tx.bytes -= tx.size(at)
	switch {
	case at == stepRset:
		if !ok {
			return s.astray("RSET refused: " + s.wire.reply("").String())
		}
	case at == stepMail:
		if tx.refused = !ok; !ok {
			tx.verdict(false, s.wire.reply(s.host))
		}
	case at < tx.last():
		switch {
		case tx.refused:
			tx.contrary = tx.contrary || ok
		case ok:
			tx.accepted++
		default:
			tx.results[at-stepRcpt].Reply = s.wire.reply(s.host)
		}
	case tx.joined:
		return s.chunked(tx, ok)
	case ok:
		tx.open = true
	default:
		if tx.accepted > 0 {
			tx.verdict(false, s.wire.reply(s.host))
		}
	}
	return nil
}

// heard judges an exchange that ended with err. It returns whether the reply was positive. An error is one that ends the
// session: the connection broke, the host said 421, or its reply makes no sense at this stage.
func (s *Session) heard(ctx context.Context, tx *transaction, err error) (bool, *Error) {
	w := s.wire
	switch {
	case err != nil:
		return false, w.broken(ctx, s.host)
	case w.positive():
		if w.err != nil && (w.stage == bounce.StageData || w.stage == bounce.StageDot) {
			return false, w.broken(ctx, s.host) // it cannot mean what was not sent in full
		}
		return true, nil
	case w.code == 421:
		return false, w.refusal(s.host)
	case w.code < 400:
		tx.astray = w.err == nil
		return false, s.astray("unexpected reply: " + w.reply("").String())
	case w.err != nil && w.stage != bounce.StageRcpt:
		return false, w.refusal(s.host)
	}
	return false, nil
}

// astray is the error for a host that is out of step.
func (s *Session) astray(text string) *Error {
	return fault(s.wire.stage, s.host, statusProtocol, text, nil)
}

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
	case w.overrun():
		tx.astray = true
		return s.astray("the host says more than it was asked for")
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
	s.ahead = ahead
	tx.verdict(ok, w.reply(s.host))
	return nil
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
