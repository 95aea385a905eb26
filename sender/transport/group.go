package transport

import (
	"context"
	"errors"
	"time"

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
	// doubt is how long a further reply is waited for, when the reply to a joined content looks like that to a recipient.
	doubt = time.Second
)

// converse sends the commands, as many at a time as the window allows, and reads their replies.
func (s *Session) converse(ctx context.Context, tx *transaction) *Error {
	for {
		if s.wire.err == nil && tx.unheard <= s.window/2 && tx.write <= tx.last() {
			if fault := s.fill(ctx, tx); fault != nil {
				return fault
			}
			if isTimeout(s.wire.err) {
				return s.wire.broken(ctx, s.host) // while a joined content was sent
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
