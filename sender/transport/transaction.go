package transport

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/reputemail/repute/bounce"
)

// transaction is one transaction on its way: commands that were sent, replies that are outstanding.
type transaction struct {
	env     *Envelope
	results []Result
	steps   []step // commands that were sent and whose replies are outstanding, in order

	started bool // MAIL was sent
	named   int  // recipients whose RCPT was sent, or that need none
	asked   bool // DATA, or BDAT with the content, was sent
	bdat    bool // it was BDAT

	accepted int           // recipients that the host took
	group    []int         // recipients that the host has answered in the group that is being read
	mail     *bounce.Reply // the refusal of MAIL
	data     *bounce.Reply // the refusal of DATA
}

// step is a command whose reply is outstanding.
type step struct {
	verb verb
	to   int // the recipient of a RCPT
}

// verb is what a step's command was.
type verb int

const (
	verbRset verb = iota
	verbMail
	verbRcpt
	verbData
	verbBdat
)

// The bounds of a group of commands. A host's replies to as many fit into any window, so that neither side can wait for the other to read (RFC 2920 section 3.1).
const (
	maxGroup      = 50
	maxGroupBytes = 8 << 10
	// maxChunk is the largest content that goes in one group with its recipients: it is sent in vain when they are refused.
	maxChunk = 128 << 10
)

// newTransaction prepares a transaction, and settles what this side refuses itself. It reports whether anything is left to be said to the host.
func (s *Session) newTransaction(env *Envelope) (*transaction, bool) {
	t := &transaction{env: env, results: make([]Result, len(env.To))}
	if reply, ok := s.takes(env); !ok {
		s.settle(t.results, reply)
		return t, false
	}
	return t, s.refuse(env, t.results)
}

// run brings a transaction to its end. An error ends the session.
func (s *Session) run(ctx context.Context, t *transaction, next func() *Envelope) *Error {
	for {
		if len(t.steps) == 0 {
			if n := s.wire.br.Buffered(); n > 0 {
				return s.outOfStep(ctx, t)
			}
			s.collect(t)
			if err := s.wire.send(s.arming(t.steps[0])); err != nil {
				return s.lost(ctx, t)
			}
		}
		if err := s.hear(ctx, t); err != nil {
			return err
		}
		switch {
		case t.mail != nil:
			s.settle(t.results, *t.mail)
			return nil
		case t.named < len(t.env.To):
		case t.accepted == 0:
			return nil
		case t.data != nil:
			s.settle(t.results, *t.data)
			return nil
		case t.bdat:
			return nil
		case t.asked:
			return s.deliver(ctx, t, next)
		}
	}
}

// collect puts the next group of commands into the buffer of what is to be written: one command, or as many as belong together with a host that
// reads ahead.
func (s *Session) collect(t *transaction) {
	w, began, most := s.wire, len(s.wire.out), 1
	if s.pipelines() {
		most = maxGroup
	}
	room := func() bool { return len(t.steps) < most && len(w.out)-began < maxGroupBytes }
	add := func(v verb, to int) { t.steps = append(t.steps, step{v, to}) }
	w.ahead = true // go-smtp's client formats the commands; what it reads says yes to each
	defer func() { w.ahead = false }()
	if s.dirty && !t.started && room() {
		w.out = append(w.out, "RSET\r\n"...)
		add(verbRset, -1)
	}
	if !t.started && room() {
		size := int64(len(t.env.Header)) + int64(len(t.env.Data))
		s.client.Mail(t.env.From, &smtp.MailOptions{Size: size, UTF8: s.needsUTF8(t.env)})
		add(verbMail, -1)
		t.started, s.dirty = true, true
		s.messages++
	}
	for ; t.started && t.named < len(t.env.To) && room(); t.named++ {
		if pending(&t.results[t.named]) {
			s.client.Rcpt(t.env.To[t.named], nil)
			add(verbRcpt, t.named)
		}
	}
	if t.started && t.named == len(t.env.To) && room() && (t.accepted > 0 || len(t.steps) > 0) {
		s.ask(t, add)
	}
}

// ask puts the command that asks for the content, or has it with it, into the buffer.
func (s *Session) ask(t *transaction, add func(verb, int)) {
	w := s.wire
	t.asked = true
	if n, ok := chunk(t.env); ok && s.chunks() && s.pipelines() {
		w.out = fmt.Appendf(w.out, "BDAT %d LAST\r\n", n)
		w.out = append(append(w.out, t.env.Header...), t.env.Data...)
		t.bdat = true
		add(verbBdat, -1)
		return
	}
	w.ask(s.client)
	add(verbData, -1)
}

// chunk is the size of a message as one chunk (RFC 3030 section 2), if it can go as it is: with the line ends of SMTP, and small enough.
func chunk(env *Envelope) (size int, ok bool) {
	size = len(env.Header) + len(env.Data)
	last := env.Data
	if len(last) == 0 {
		last = env.Header
	}
	if size > maxChunk || !bytes.HasSuffix(last, crlf) {
		return 0, false
	}
	return size, !bareLF(env.Header) && !bareLF(env.Data)
}

// bareLF reports whether a text has an LF that no CR comes before.
func bareLF(p []byte) bool {
	for at := 0; ; {
		i := bytes.IndexByte(p[at:], '\n')
		if i < 0 {
			return false
		}
		if at += i; at == 0 || p[at-1] != '\r' {
			return true
		}
		at++
	}
}

// hear reads the replies to the group that was sent.
func (s *Session) hear(ctx context.Context, t *transaction) *Error {
	t.group = t.group[:0]
	for len(t.steps) > 0 {
		c := t.steps[0]
		if err := s.wire.await(s.arming(c)); err != nil {
			return s.lost(ctx, t)
		}
		t.steps = t.steps[1:]
		if err := s.answered(ctx, t, c); err != nil {
			return err
		}
	}
	t.steps = nil
	if s.wire.br.Buffered() > 0 {
		return s.outOfStep(ctx, t)
	}
	return nil
}

// arming is the stage of a step, and how long its reply may take.
func (s *Session) arming(c step) (bounce.Stage, time.Duration) {
	timeouts := &s.config.Timeouts
	switch c.verb {
	case verbRcpt:
		return bounce.StageRcpt, timeouts.Rcpt
	case verbData:
		return bounce.StageData, timeouts.Data
	case verbBdat:
		return bounce.StageDot, timeouts.Dot
	}
	return bounce.StageMail, timeouts.Mail
}

// answered takes the reply to one command.
func (s *Session) answered(ctx context.Context, t *transaction, c step) *Error {
	w := s.wire
	void := t.mail != nil || c.verb > verbRcpt && t.accepted == 0 // it only says that it came too soon
	ok := w.positive()
	switch {
	case w.code == 421:
		return w.refusal(s.host)
	case void && c.verb == verbData && ok: // RFC 2920 section 3.1: the content is wanted all the same, and is none
		return s.nothing(ctx, t)
	case void && c.verb == verbBdat && w.code/100 == 2:
		return s.fault(t, "content without a recipient was accepted")
	case void:
		return nil
	case !ok && w.code < 400:
		return s.fault(t, "unexpected reply: "+w.reply("").String())
	}
	switch c.verb {
	case verbRset:
		if !ok {
			return s.fault(t, "RSET refused: "+w.reply("").String())
		}
		s.dirty = t.started
	case verbMail:
		if !ok {
			reply := w.reply(s.host)
			t.mail = &reply
		}
	case verbRcpt:
		if ok {
			t.accepted++
			break
		}
		t.results[c.to].Reply = w.reply(s.host)
		t.group = append(t.group, c.to)
	case verbData:
		if !ok {
			return s.notWanted(ctx, t)
		}
	case verbBdat:
		if !ok && w.code/10 == 50 {
			// What the host took the content for nobody knows: nothing more is said to it, and the next time it gets DATA.
			s.broken.Put(time.Now(), chunkKey(s.host), time.Now().Add(noChunksFor))
			return s.fault(t, "the host offers CHUNKING and does not know it: "+w.reply("").String())
		}
		s.dirty = false
		s.finish(t, ok, w.reply(s.host))
	}
	return nil
}

// notWanted takes the refusal of DATA. Behind a group it is made sure that it was the reply to DATA, and not to a RCPT that came one too late: the RSET that is due in any case
// must be what is answered next.
func (s *Session) notWanted(ctx context.Context, t *transaction) *Error {
	w, reply := s.wire, s.wire.reply(s.host)
	t.data = &reply
	if !s.pipelines() {
		return nil
	}
	w.out = append(w.out, "RSET\r\n"...)
	stage, wait := s.arming(step{verb: verbRset})
	if err := w.send(stage, wait); err != nil {
		return nil // the host has closed behind its refusal, which holds; the next transaction finds out
	}
	if w.await(stage, wait) != nil {
		if w.err != nil && isTimeout(w.err) {
			return s.lost(ctx, t)
		}
		s.dead = true
		return nil
	}
	if w.code == 421 {
		return w.refusal(s.host)
	}
	if w.code/100 != 2 {
		return s.fault(t, "RSET refused: "+w.reply("").String())
	}
	s.dirty = false
	return nil
}

// nothing sends a content without a line and hears what the host says to that, which is nothing to anybody.
func (s *Session) nothing(ctx context.Context, t *transaction) *Error {
	w := s.wire
	w.out = append(w.out, dot...)
	if w.send(bounce.StageDot, s.config.Timeouts.Dot) != nil || w.await(bounce.StageDot, s.config.Timeouts.Dot) != nil {
		return s.lost(ctx, t)
	}
	if w.code == 421 {
		return w.refusal(s.host)
	}
	return nil
}

// deliver sends the content, and behind it the next transaction's commands if there is one. Then it hears the reply to the final dot.
func (s *Session) deliver(ctx context.Context, t *transaction, next func() *Envelope) *Error {
	w, timeouts := s.wire, &s.config.Timeouts
	var then *transaction
	if next != nil && s.pipelines() {
		if env := next(); env != nil {
			then, _ = s.newTransaction(env)
		}
	}
	block := s.blocks.Get().(*[]byte)
	small := w.out
	w.out = (*block)[:0]
	w.armContent(len(t.env.Header)+len(t.env.Data), timeouts.Block, timeouts.Dot)
	err := w.content(t.env.Header)
	if err == nil {
		err = w.content(t.env.Data)
	}
	if err == nil {
		err = w.dot()
	}
	if err == nil {
		if then != nil && s.fits(then) {
			s.dirty = false
			s.collect(then)
			s.begun = then
		}
		err = w.flush()
	}
	*block = w.out[:0]
	w.out = small
	s.blocks.Put(block)
	if err == nil {
		err = w.await(bounce.StageDot, timeouts.Dot)
	}
	if err != nil {
		return s.lost(ctx, t)
	}
	switch {
	case w.code == 421:
		return w.refusal(s.host)
	case w.code/100 != 2 && w.code < 400:
		return s.fault(t, "unexpected reply: "+w.reply("").String())
	}
	if s.begun == nil {
		s.dirty = false
	}
	s.finish(t, w.code/100 == 2, w.reply(s.host))
	return nil
}

// fits reports whether all commands of a transaction are one group, so that it can begin behind a final dot.
func (s *Session) fits(t *transaction) bool {
	n, size := 1, 64+len(t.env.From)
	for i, to := range t.env.To {
		if pending(&t.results[i]) {
			n++
			size += len(to) + 16
		}
	}
	return n > 1 && n+1 <= maxGroup && size <= maxGroupBytes && !s.chunks()
}

// finish settles those whom the host took by the reply to the content.
func (s *Session) finish(t *transaction, ok bool, reply bounce.Reply) {
	for i := range t.results {
		if pending(&t.results[i]) {
			t.results[i] = Result{Accepted: ok, Reply: reply}
		}
	}
}

// lost is a connection that broke, or what the host said before it closed.
func (s *Session) lost(ctx context.Context, t *transaction) *Error {
	w := s.wire
	if ctx.Err() == nil && w.lastWords() {
		return w.refusal(s.host)
	}
	if t.bdat && w.stage != bounce.StageDot && isTimeout(w.err) {
		w.stage = bounce.StageDot // the content is on its way: nobody knows what has become of it
	}
	return w.broken(ctx, s.host)
}

// fault is a host that is out of step: whom it meant with the replies to the latest group nobody knows.
func (s *Session) fault(t *transaction, text string) *Error {
	for _, i := range t.group {
		if s.pipelines() {
			t.results[i] = Result{}
		}
	}
	return fault(s.wire.stage, s.host, statusProtocol, text, nil)
}

// outOfStep is the end of a session whose host says what nobody has asked for.
func (s *Session) outOfStep(ctx context.Context, t *transaction) *Error {
	w := s.wire
	stage := w.stage
	if !t.started {
		stage = bounce.StageMail
	}
	if err := w.await(stage, s.config.Timeouts.Mail); err != nil {
		return s.lost(ctx, t)
	}
	if w.code == 421 {
		return w.refusal(s.host)
	}
	return s.fault(t, "a reply that nobody has asked for: "+w.reply("").String())
}

// pipelines reports whether the host reads ahead (RFC 2920).
func (s *Session) pipelines() bool { return s.ext.pipelining && !s.config.DisablePipelining }

// chunks reports whether the host takes content by BDAT (RFC 3030).
func (s *Session) chunks() bool {
	if !s.ext.chunking || s.config.DisableChunking {
		return false
	}
	until, known := s.broken.Get(time.Now(), chunkKey(s.host))
	return !known || time.Now().After(until)
}

// chunkKey is the key of a host that offers CHUNKING and does not know it, beside those whose TLS is broken.
func chunkKey(host string) string { return "chunking " + host }

// noChunksFor is how long it is sent no chunks.
const noChunksFor = 72 * time.Hour
