package sender

import (
	"slices"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
)

// attempt is one transaction for a group of deliveries of one message, from the moment its tokens were taken.
type attempt struct {
	lane        *lane
	path        *path
	dest        *destination
	overflow    bool
	overflowFor Wait // why it did not go over the first route
	arm         arm  // of a migration
	allowance   allowance
	beside      beside
	session     *session // nil: to be dialled with the connection that was taken
	group       []queue.Delivery
	struck      []string        // those of the group with strikes against them
	limits      throttle.Limits // of the path, when it was launched
	began       time.Time
	renewed     time.Time // until when the leases were renewed; the dispatcher's mutex guards it

	of      *stream
	dialled bool // the connection that was taken was used
	sent    bool // the message token was used
	// envelope is what is sent, when it was prepared before the attempt has its turn; next is the attempt that comes behind this one over the same session.
	envelope *transport.Envelope
	next     *attempt
	// back are those of the group to put back as if nothing had been attempted: the session had been closed by the other side before the transaction began, the
	// connection was one too many, or the transaction had too many recipients.
	back []queue.Delivery
}

// leasedUntil is when the lease of a delivery of the group ends.
func (a *attempt) leasedUntil(del *queue.Delivery) time.Time {
	if a.renewed.After(del.Due) {
		return a.renewed
	}
	return del.Due
}

// maxHosts is how many addresses of a destination one attempt tries (RFC 5321 section 5.1 asks for two at least).
const maxHosts = 5

// launch takes the group out of its lane and has the attempt run when the mutex is released.
func (d *dispatcher) launch(a *attempt, group []queue.Delivery) {
	l := a.lane
	a.group = append([]queue.Delivery(nil), group...)
	if n := len(group); l.from == 0 {
		l.buf = l.buf[n:]
		d.retain(l, l.keptOn, max(0, l.kept-n))
	} else {
		l.buf = slices.Delete(l.buf, l.from, l.from+n)
	}
	if len(l.buf) == 0 {
		l.buf = nil
	}
	l.inFlight++
	a.of = l.stream.itself()
	d.sending[a.of]++
	if a.session != nil {
		a.session.of = a.of
	}
	d.running[a] = struct{}{}
	d.wg.Add(1)
	d.ready = append(d.ready, a)
}

// work runs an attempt, and then the ones that its end lets begin, one after the other: on a busy path that is a goroutine for
// each connection, not for each message.
func (d *dispatcher) work(a *attempt) {
	for a != nil {
		a = d.workOne(a)
	}
}

// workOne runs an attempt and then lets those that wait have what it held. It returns the next attempt for this goroutine, if
// there is one.
func (d *dispatcher) workOne(a *attempt) (next *attempt) {
	defer d.wg.Done()
	alive := d.perform(a)
	behind := a.next
	if behind != nil && !alive {
		d.unsent(behind)
		behind = nil
	}
	d.mu.Lock()
	defer func() {
		if behind != nil {
			next = behind
			d.unlock()
			return
		}
		if len(d.ready) > 0 && len(d.outbox) == 0 { // settling may block, and would hold the attempt up
			next, d.ready = d.ready[0], d.ready[1:]
		}
		d.unlock()
	}()
	d.ended(a)
	switch {
	case a.session == nil && !a.dialled:
		d.unopened(a.path, time.Now())
		d.feed(a.path)
		d.serve(a.path, "")
	case a.session == nil: // dialled in vain
		d.closed(a.path)
	case behind != nil: // it has the session
	case alive:
		site := a.session.site
		d.keep(a.session)
		d.serve(a.path, site)
	default:
		d.closeSession(a.session)
	}
	d.advance(a.lane, 0)
	return nil // the next one is known when the mutex is released
}

// ended gives back what an attempt held but for its session, and puts back what was not attempted. The mutex is held.
func (d *dispatcher) ended(a *attempt) {
	delete(d.running, a)
	a.lane.inFlight--
	if d.sending[a.of]--; d.sending[a.of] == 0 {
		delete(d.sending, a.of)
	}
	if len(a.back) > 0 {
		d.again(a)
	}
	now := time.Now()
	if len(a.back) == 0 {
		a.path.speed.ended(now, now.Sub(a.began), len(a.group), a.path.busy.len() > 0)
	}
	if !a.sent {
		d.s.cfg.Throttle.ReleaseAt(now, throttle.Path(a.path.key), throttle.TokenMessage)
	}
	d.giveBeside(&a.beside, now, a.sent)
}

// perform runs the transaction and settles its deliveries. It reports whether the session is of further use.
func (d *dispatcher) perform(a *attempt) (alive bool) {
	a.began = time.Now()
	env := a.envelope
	if env == nil {
		if env = d.makeReady(a); env == nil {
			d.refund(a)
			return true
		}
	}
	if a.session == nil {
		a.dialled = true
		sess, failure := d.connect(a)
		if failure != nil {
			d.refund(a)
			if !d.proxyFailed(a, failure) && !d.oneTooMany(a, failure) {
				d.fail(a, failure)
			}
			return false
		}
		a.session = sess
		d.mu.Lock()
		a.path.live[sess.site]++
		d.mu.Unlock()
	}
	before := a.session.sent
	a.session.sent++
	began := time.Now()
	var asked time.Time
	results, err := a.session.send(d.ctx, env, func() *transport.Envelope {
		if asked = time.Now(); a.envelope == nil {
			a.session.group = asked.Sub(began)
		}
		if !a.session.worthwhile() {
			return nil
		}
		return d.ahead(a)
	})
	if !asked.IsZero() {
		a.session.content = time.Since(asked)
	}
	if before > 0 && err != nil && d.ctx.Err() == nil && time.Since(began) < staleWithin && d.closedBefore(a, results, before) {
		a.back = a.group
		d.refund(a)
		return false
	}
	a.session.last = time.Now()
	d.judge(a, results, err)
	return err == nil
}

// envelopeOf makes the envelope of an attempt.
func (d *dispatcher) envelopeOf(a *attempt, msg *queue.Message, header []byte) *transport.Envelope {
	env := &transport.Envelope{From: msg.From, Header: header, Data: msg.Data, EightBit: msg.EightBit, UTF8: msg.UTF8}
	if rp := a.lane.stream.ReturnPath; rp != nil && msg.From != "" {
		from, field, err := rp.of(msg, a.group[0].ID)
		if err == nil {
			env.From, env.Header = from, slices.Concat(field, header)
		} else { // accepted when the stream had no return path: its bounces go to the host's own
			d.s.log.Warn("no return path can be made for a delivery", "delivery", a.group[0].ID, "err", err)
		}
	}
	env.To = make([]string, 0, len(a.group))
	for i := range a.group {
		env.To = append(env.To, a.group[i].Recipient)
	}
	return env
}

// staleWithin is how soon MAIL fails on a session that was closed while it was idle. A host that is silent instead, and
// gone after minutes, has cost an attempt.
const staleWithin = 10 * time.Second

// closedBefore reports whether a session that was kept for reuse turns out to have been closed by the other side: idle
// too long, or at its limit of messages, of which it may not speak (Yahoo closes after some messages without a word). It is when MAIL meets
// a closed connection, or a 421 that complains of nothing or of that limit. sent is how many messages the session had carried. The throttle learns from it.
func (d *dispatcher) closedBefore(a *attempt, results []transport.Result, sent int) bool {
	kind := throttle.SignalClosed
	for _, r := range results {
		if r.Accepted || r.Reply.Stage != bounce.StageMail {
			return false
		}
		if r.Reply.Local {
			if r.Reply.Status != (bounce.Status{Class: 4, Subject: 4, Detail: 2}) {
				return false
			}
			continue
		}
		v := d.s.cfg.Classifier.Classify(a.dest.provider, r.Reply)
		if v.Limit == bounce.LimitMessages {
			kind = throttle.SignalTooManyMessages
			continue
		}
		switch v.Category {
		case bounce.Network, bounce.ServerBusy, bounce.Other:
		default:
			return false
		}
		if r.Reply.Code != 421 {
			return false
		}
	}
	now := time.Now()
	if kind == throttle.SignalTooManyMessages || a.session.last.Add(promptly).After(now) {
		d.signal(a, now, throttle.Signal{Kind: kind, Messages: sent}, false)
	}
	return true
}

// promptly is how soon after its last message a session is used again for its end to be the receiver's limit, and not that it was idle.
const promptly = 3 * time.Second

// oneTooMany reports whether a failure to connect only means that the path has as many connections as the receiver allows: it says so, or turns away, resets or ignores
// a connection while others to the same hosts work. That is no attempt: the mail goes back to its lane and waits for a connection. The throttle learns from it.
func (d *dispatcher) oneTooMany(a *attempt, te *transport.Error) bool {
	if d.ctx.Err() != nil {
		return false
	}
	site := a.dest.site
	if a.path.route.Relay != nil {
		site = a.path.route.Relay.Addr
	}
	d.mu.Lock()
	live, others := a.path.live[site] > 0, a.path.open > 1
	d.mu.Unlock()
	r := te.Reply
	s := throttle.Signal{Kind: throttle.SignalNetworkFailure, Code: r.Code, Text: strings.Join(r.Lines, "\n")}
	switch {
	case r.Stage != bounce.StageConnect && r.Stage != bounce.StageEHLO:
		return false
	case r.Local:
		if !live {
			return false
		}
		s.Code, s.Text = 0, ""
	default:
		v := d.s.cfg.Classifier.Classify(a.dest.provider, r)
		if v.Category != bounce.RateLimited {
			s.Code = 0
		}
		switch {
		case v.Permanent:
			return false
		case v.Limit == bounce.LimitConnections && others:
			s.Kind = throttle.SignalTooManyConnections
		case live && (v.Category == bounce.ServerBusy || v.Category == bounce.Other || v.Category == bounce.Network):
		default:
			return false
		}
	}
	now := time.Now()
	d.signal(a, now, s, false)
	a.back = a.group
	d.mu.Lock()
	a.path.rest = now.Add(tokenHold)
	d.mu.Unlock()
	return true
}

// admit settles the deliveries of the group that must not be attempted any more. It reports whether any is left, and the
// allowance is then for what is left.
func (d *dispatcher) admit(a *attempt) bool {
	now := time.Now()
	if d.s.cfg.Suppressions == (NoSuppressions{}) && d.s.cfg.Gate == nil && a.lane.stream.Gate == nil && !expiresBy(a.group, now) {
		return true
	}
	group := make([]queue.Delivery, 0, len(a.group))
	var failed error
	var struck []string
	for _, del := range a.group {
		if !del.Expires.After(now) {
			d.s.settler.put(d.s.settler.expired(del))
			continue
		}
		admitted, err := d.s.admitAgain(d.ctx, a.lane.stream, &del)
		switch {
		case err != nil:
			failed = err
			d.s.log.Error("gate has an error", "recipient", d.s.redact.recipient(del.Lane.Stream, del.Recipient), "err", err)
			d.s.settler.wait(del, gateRetry)
		case admitted.refusal != "":
			d.s.settler.suppressed(del, admitted.refusal)
		default:
			group = append(group, del)
			if admitted.struck {
				struck = append(struck, del.ID)
			}
		}
	}
	d.mu.Lock() // Explain and tidy read the group
	fewer := len(group) < len(a.group)
	a.group, a.struck = group, struck
	if failed != nil {
		d.hold(a.lane, WaitGate, failed)
	}
	d.mu.Unlock()
	if len(group) > 0 && fewer && a.allowance.n > 0 {
		d.refund(a)
		if n := countNew(group, a.path.key.Route); n > 0 {
			if !d.reserveRest(now, &a.allowance, n) {
				for _, del := range group { // somebody else was quicker
					d.s.settler.wait(del, tokenHold)
				}
				return false
			}
		}
	}
	return len(group) > 0
}

// expiresBy reports whether the time of any delivery of the group has run out.
func expiresBy(group []queue.Delivery, now time.Time) bool {
	for i := range group {
		if !group[i].Expires.After(now) {
			return true
		}
	}
	return false
}

// refund gives the warm-up allowance back: the receiver never saw the message.
func (d *dispatcher) refund(a *attempt) {
	if a.allowance.n == 0 {
		return
	}
	now := time.Now()
	on := a.allowance.on[:a.allowance.n]
	d.giveBack(&a.allowance, now)
	d.mu.Lock()
	defer d.unlock()
	for _, key := range on {
		if b := d.paths[key]; b != nil && b.cold.len() > 0 { // somebody waits for it
			d.setEarlier(&b.coldAt, now)
		}
	}
}
