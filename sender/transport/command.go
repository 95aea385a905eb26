package transport

import (
	"strconv"

	"github.com/reputemail/repute/bounce"
)

// put collects the command of a step, and for BDAT the content.
func (s *Session) put(tx *transaction, at step) {
	w, env := s.wire, tx.env
	switch {
	case at == stepRset:
		w.out = append(w.out, "RSET\r\n"...)
	case at == stepMail:
		start := len(w.out)
		w.out = s.appendMail(w.out, env)
		tx.mail = len(w.out) - start
	case at < tx.last():
		w.out = append(append(append(w.out, "RCPT TO:<"...), env.To[at-stepRcpt]...), ">\r\n"...)
	case tx.joined:
		s.join(tx)
	default:
		w.out = append(w.out, "DATA\r\n"...)
	}
}

// appendMail appends MAIL with its parameters (RFC 5321 section 4.1.1.2). Where 8BITMIME is offered it is used whatever the
// content, since the next host on the way may add to it.
func (s *Session) appendMail(out []byte, env *Envelope) []byte {
	out = append(append(append(out, "MAIL FROM:<"...), env.From...), '>')
	if s.ext.eightBit {
		out = append(out, " BODY=8BITMIME"...)
	}
	if size := len(env.Header) + len(env.Data); s.ext.hasSize && size > 0 {
		out = strconv.AppendInt(append(out, " SIZE="...), int64(size), 10)
	}
	if s.needsUTF8(env) {
		out = append(out, " SMTPUTF8"...)
	}
	return append(out, crlf...)
}

// appendChunk appends BDAT for n octets (RFC 3030 section 2).
func appendChunk(out []byte, n int, last bool) []byte {
	out = strconv.AppendInt(append(out, "BDAT "...), int64(n), 10)
	if last {
		out = append(out, " LAST"...)
	}
	return append(out, crlf...)
}

// arm prepares for the reply to the command of a step.
func (s *Session) arm(tx *transaction, at step) {
	w, timeouts := s.wire, &s.config.Timeouts
	switch {
	case at <= stepMail:
		w.arm(bounce.StageMail, timeouts.Mail)
	case at < tx.last():
		w.arm(bounce.StageRcpt, timeouts.Rcpt)
	case tx.joined:
		w.arm(bounce.StageDot, timeouts.Dot)
	default:
		w.arm(bounce.StageData, timeouts.Data)
	}
}
