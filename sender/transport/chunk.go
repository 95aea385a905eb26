package transport

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/reputemail/repute/bounce"
)

const (
	// joinedContent is the largest content that is sent before the recipients are known to be accepted. It is what goes to
	// waste when none is; beyond it, sending takes longer than the round trip that is saved.
	joinedContent = 256 << 10
	// chunkSize is the length of the chunks of larger contents. A host may keep a chunk in memory.
	chunkSize = 1 << 20
)

// join sends the whole content by one BDAT, in one group with the commands before it.
func (s *Session) join(tx *transaction) {
	w, timeouts := s.wire, &s.config.Timeouts
	head, body := octets(tx.env)
	defer s.borrow()()
	w.armContent(len(head)+len(body), timeouts.Block, timeouts.Dot)
	w.out = appendChunk(w.out, len(head)+len(body), true)
	w.put(head)
	w.put(body)
	if w.err == nil {
		w.flush()
	}
	tx.sent = w.err == nil
}

// chunks sends the content by BDAT when recipients are known to be accepted, the next chunk before the reply to the last one is
// read where the window allows it. A chunk that is refused ends the transaction.
func (s *Session) chunks(ctx context.Context, tx *transaction) *Error {
	w, timeouts := s.wire, &s.config.Timeouts
	head, body := octets(tx.env)
	left := len(head) + len(body)
	defer s.borrow()()
	w.armContent(left, timeouts.Block, timeouts.Dot)
	for unheard, done, refused := 0, false, false; !done || unheard > 0; {
		for ; !done && w.err == nil && unheard < min(2, s.window); unheard++ {
			n := min(left, chunkSize)
			left -= n
			done = left == 0
			w.block = timeouts.Block
			w.out = appendChunk(w.out, n, done)
			k := min(n, len(head))
			w.put(head[:k])
			w.put(body[:n-k])
			head, body = head[k:], body[n-k:]
			w.flush()
		}
		w.arm(bounce.StageDot, timeouts.Dot)
		w.partial = !done || refused
		waited := time.Now()
		ok, fault := s.heard(ctx, tx, w.exchange())
		if fault != nil {
			return fault
		}
		w.until = w.until.Add(time.Since(waited)) // which is for the writing
		unheard--
		if refused || ok && unheard > 0 || ok && !done {
			continue // what comes behind a refusal is thrown away by the host, with replies of the same kind (RFC 3030 section 2)
		}
		if fault := s.chunked(tx, ok); fault != nil {
			return fault
		}
		done, refused = true, !ok
		if unheard == 0 && !w.agrees() {
			return s.overran(tx)
		}
	}
	return nil
}

// chunked does what follows from the reply to the last chunk, or to one that was refused.
func (s *Session) chunked(tx *transaction, ok bool) *Error {
	w := s.wire
	// A transaction whose BDAT failed has to be reset: RFC 3030 section 2.
	s.dirty = !ok || tx.accepted == 0
	switch {
	case ok:
	case w.code == 500 || w.code == 502 || w.code > 500 && w.code < 505 && tx.accepted > 0:
		// The host offers what it does not know. It may have read the content as commands: nothing more is to be had from it here.
		s.note(quirkChunking)
		return s.astray(fmt.Sprintf("the host offers CHUNKING and does not know BDAT: %v", w.reply("")))
	}
	// In a group with BDAT there is no 354 to tell that each reply is in its place. What is taken without a recipient is not the
	// content; a reply about an address is one to RCPT rather, which came to this place behind one that nobody asked for; a
	// refusal without a status may be. The content's own reply follows then.
	if tx.accepted == 0 {
		tx.doubtful = tx.joined && (ok || tx.contrary)
		return nil
	}
	reply := w.reply(s.host)
	tx.doubtful = tx.joined && (reply.Status.Subject == 1 || !ok && reply.Status.IsZero())
	tx.verdict(ok, reply)
	return nil
}

// octets are the content as BDAT sends it: with CRLF line ends and one at the end. BDAT says how many they are beforehand, and
// dots are not stuffed. Header and Data are used as they are when nothing is to be changed.
func octets(env *Envelope) (head, body []byte) {
	head, body = env.Header, env.Data
	last := body
	if len(body) == 0 {
		last = head
	}
	if proper(head) && proper(body) && (len(last) == 0 || bytes.HasSuffix(last, crlf)) {
		return head, body
	}
	lines := make([]byte, 0, len(head)+len(body)+len(body)/32+2)
	for _, p := range [][]byte{head, body} {
		for len(p) > 0 {
			i := bytes.IndexByte(p, '\n')
			if i < 0 {
				lines = append(lines, p...)
				break
			}
			if lines = append(lines, p[:i]...); len(lines) == 0 || lines[len(lines)-1] != '\r' {
				lines = append(lines, '\r')
			}
			lines = append(lines, '\n')
			p = p[i+1:]
		}
	}
	switch {
	case len(lines) == 0 || bytes.HasSuffix(lines, crlf):
	case lines[len(lines)-1] == '\r':
		lines = append(lines, '\n')
	default:
		lines = append(lines, crlf...)
	}
	return nil, lines
}

// proper says whether each LF has a CR before it.
func proper(p []byte) bool { return bytes.Count(p, crlf[1:]) == bytes.Count(p, crlf) }
