package sender

import (
	"time"

	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/transport"
)

// ahead finds the attempt that comes behind one over the same session, and prepares it; nil if there is none. It is called while a's session waits for
// a's content.
func (d *dispatcher) ahead(a *attempt) *transport.Envelope {
	b := d.behind(a)
	if b == nil {
		return nil
	}
	b.began = time.Now()
	if b.envelope = d.makeReady(b); b.envelope != nil {
		a.next = b
		return b.envelope
	}
	d.refund(b)
	d.dropAttempt(b)
	return nil
}

// dropAttempt ends an attempt that was not begun, and that no goroutine runs.
func (d *dispatcher) dropAttempt(b *attempt) {
	defer d.wg.Done()
	d.mu.Lock()
	defer d.unlock()
	d.ended(b)
	d.advance(b.lane, 0)
}

// behind lets the lane whose turn it is on a's path have it, if it can use a's session: others are not passed over for the sake of a session.
func (d *dispatcher) behind(a *attempt) *attempt {
	d.mu.Lock()
	defer d.unlock()
	p, s := a.path, a.session
	if first := p.busy.first(); d.stopping || d.served != nil || first == nil || first.site() != s.site || !d.lasts(s) || p.closed.Until.After(time.Now()) {
		return nil
	}
	d.spare = s
	d.serve(p, s.site)
	d.spare = nil
	b := d.follower
	d.follower = nil
	return b
}

// worthwhile reports whether it saves much time to begin a transaction before the one before has its answer: not with a host that takes long over the content. What is begun ahead
// cannot be overtaken any more.
func (s *session) worthwhile() bool { return s.content <= aheadRatio*s.group }

// aheadRatio is up to how many round trips a content may take for the next one to be begun ahead.
const aheadRatio = 3

// lasts reports whether a session may carry another message.
func (d *dispatcher) lasts(s *session) bool {
	p := s.path
	yields := s.sent >= yieldAfter && d.othersStarve(p) || s.sent > 0 && d.owes(s) || d.holds.closes(p.key, time.Now())
	most := p.limits.Connections
	tooMany := p.surplus > 0 || most > 0 && p.open-p.closing > most
	return !d.stopping && !yields && !tooMany && (p.limits.MessagesPerConnection == 0 || s.sent < p.limits.MessagesPerConnection)
}

// makeReady asks the gates once more, reads and signs the message, and makes the envelope of an attempt; nil if it is not to be attempted.
func (d *dispatcher) makeReady(a *attempt) *transport.Envelope {
	if !d.admit(a) {
		return nil
	}
	msg, header, ok := d.compose(a)
	if !ok {
		return nil
	}
	return d.envelopeOf(a, msg, header)
}

// unsent puts an attempt back that was begun behind another one's final dot, when the session ended before its content was sent.
func (d *dispatcher) unsent(a *attempt) {
	a.back = append([]queue.Delivery(nil), a.group...)
	d.refund(a)
	d.dropAttempt(a)
}
