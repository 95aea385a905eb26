package throttle

import (
	"fmt"
	"time"
)

// ObserveAt tells the Limiter what came back from an attempt over a path.
func (l *Limiter) ObserveAt(now time.Time, key Path, s Signal) {
	var reaction *Reaction
	if s.Code != 0 {
		reaction = l.config.Reactions.Match(key.Provider, s.Code, s.Text)
	}
	l.mu.Lock()
	p := l.path(now, key)
	o := observation{path: p, now: p.clock(now), signal: s, backoff: &l.config.Backoff, reaction: reaction}
	if o.observe() {
		o.react(l, key)
	}
	if l.config.Store != nil && (len(o.changes) > 0 || p.cause != "" || p.learnt != nil && !p.learnt.empty(o.now)) {
		l.sharing.dirty[key] = struct{}{}
	}
	l.mu.Unlock()
	for i := range o.changes {
		c := &o.changes[i]
		if c.Path == (Path{}) {
			c.Path = key
		}
		c.Time, c.Reply = o.now, s.Text
	}
	l.tell(o.changes) // which must not hold the lock
}

// observation is one signal on its way through the machine of its path.
type observation struct {
	path    *path
	now     time.Time
	signal  Signal
	backoff *Backoff
	// reaction is the one to the reply, or nil.
	reaction *Reaction
	changes  []Change
}

// observe moves the machine of the path by the signal. It reports whether that tells something new: false for one of an attempt that was under way when
// the path stopped.
func (o *observation) observe() bool {
	p, s := o.path, &o.signal
	s.RetryAfter = min(max(0, s.RetryAfter), o.backoff.Max)
	if s.Kind != SignalNetworkFailure && s.Kind != SignalClosed {
		p.networkRow = 0
	}
	o.count()
	o.numbers()
	if o.now.Before(p.until) || !s.Began.IsZero() && s.Began.Before(p.until) {
		o.late()
		return false
	}
	switch s.Kind {
	case SignalSuccess:
		o.succeeded()
	case SignalRateLimited:
		o.cut(p.tally.rate(o.now), "")
		o.stop(o.backoff.RateLimited, o.backoff.Max)
	case SignalBlocked:
		if p.lessons().block(o.now, o.backoff) || p.cause == SignalBlocked {
			o.stop(o.backoff.Blocked, o.backoff.Max)
		} else {
			o.warn(fmt.Sprintf("blocks: %d; %d in a row or %d within an hour suspend the path", 1, o.backoff.BlocksInRow, o.backoff.BlocksPerHour))
		}
	case SignalTooManyConnections:
		if p.open <= 1 {
			o.stop(min(crowded, o.backoff.Max), min(shortMax, o.backoff.Max))
		} else if k := p.lessons(); k.conns.refused(o.now, p.open, p.limits.Connections, o.backoff) {
			o.lowered(fmt.Sprintf("connections: %d, refused with %d open", k.conns.most, p.open))
		}
	case SignalNetworkFailure:
		o.failed()
	}
	o.share()
	return true
}

// count keeps the windows.
func (o *observation) count() {
	switch o.signal.Kind {
	case SignalSuccess:
		o.path.tally.count(o.now, true, false)
	case SignalRateLimited, SignalBlocked:
		o.path.tally.count(o.now, false, true)
	case SignalOther, SignalGreylisted:
		o.path.tally.count(o.now, false, false)
	}
}

// numbers learns how many messages and recipients the receiver takes, also while the path is stopped.
func (o *observation) numbers() {
	p, s := o.path, &o.signal
	switch s.Kind {
	case SignalTooManyMessages:
		if k := p.lessons(); k.perConnection.refused(o.now, s.Messages, p.limits.MessagesPerConnection, DefaultLimits().MessagesPerConnection) {
			o.lowered(fmt.Sprintf("messages per connection: %d", k.perConnection.n))
		}
	case SignalClosed:
		if k := p.lessons(); s.Messages > 0 && k.closed(o.now, s.Messages) && k.perConnection.refused(o.now, s.Messages, p.limits.MessagesPerConnection, 0) {
			o.lowered(fmt.Sprintf("messages per connection: %d, closed without a word", k.perConnection.n))
		}
	case SignalTooManyRecipients:
		if k := p.lessons(); k.recipients.refused(o.now, s.Recipients, p.limits.Recipients, DefaultLimits().Recipients) {
			o.lowered(fmt.Sprintf("recipients: %d", k.recipients.n))
		}
	}
}

// late takes a signal of an attempt that was under way when the path stopped. It may lengthen the running stop if
// the reply asked for that, or turn it into a suspension.
func (o *observation) late() {
	p, s := o.path, &o.signal
	if !o.now.Before(p.until) {
		return
	}
	if s.Kind == SignalBlocked && p.cause != SignalBlocked && p.lessons().block(o.now, o.backoff) {
		o.stop(o.backoff.Blocked, o.backoff.Max)
		return
	}
	if s.Kind == SignalRateLimited || s.Kind == SignalBlocked {
		if until := o.now.Add(s.RetryAfter); until.After(p.until) {
			p.until = until
			p.length = p.until.Sub(p.began)
		}
	}
}

// succeeded lets what was lowered rise, and a path that ramps have one connection more.
func (o *observation) succeeded() {
	p := o.path
	if k := p.learnt; k != nil {
		k.blockRow = 0
		k.conns.succeeded(o.now, o.backoff)
		k.pace.succeeded(o.now, p.configuredRate())
	}
	if p.cause == "" {
		return
	}
	p.allowed++
	if p.allowed < p.goal {
		return
	}
	p.cause, p.allowed, p.goal = "", 0, 0
	o.changes = append(o.changes, Change{Kind: ChangeOpened, Cause: SignalSuccess})
}

// failed takes a failure of the network. Where others get through it is perhaps one connection too many.
func (o *observation) failed() {
	p := o.path
	p.networkRow++
	if p.networkRow >= o.backoff.FailuresInRow || p.cause == SignalNetworkFailure {
		o.stop(o.backoff.Network, max(o.backoff.Network, min(shortMax, o.backoff.Max)))
		return
	}
	if p.open > 1 && p.tally.alive(o.now) {
		if k := p.lessons(); k.conns.failed(o.now, p.open, p.limits.Connections, o.backoff) {
			o.lowered(fmt.Sprintf("connections: %d, one of %d failed while others worked", k.conns.most, p.open))
		}
	}
}

// share acts upon the share of an hour's messages that were put off.
func (o *observation) share() {
	if o.signal.Kind != SignalRateLimited && o.signal.Kind != SignalBlocked {
		return
	}
	p := o.path
	all, putOff := p.tally.hour(o.now)
	if all < o.backoff.MinSample {
		return
	}
	share := float64(putOff) / float64(all)
	evidence := fmt.Sprintf("%d of %d messages put off within an hour", putOff, all)
	switch {
	case share >= o.backoff.DeferredShare:
		o.cut(max(p.tally.rate(o.now), float64(all-putOff)/time.Hour.Seconds()), evidence)
		p.tally.forget()
	case share >= o.backoff.DeferredShare/4:
		o.warn(evidence)
	}
}

// cut halves the message rate. sent is what it was lately.
func (o *observation) cut(sent float64, evidence string) {
	p := o.path
	if sent == 0 && p.learnt == nil {
		return
	}
	k := p.lessons()
	if !k.pace.cut(o.now, sent, p.configuredRate(), o.backoff) {
		return
	}
	detail := "message rate: " + asRate(k.pace.rate).String()
	if evidence != "" {
		detail += ", " + evidence
	}
	o.lowered(detail)
}

// configuredRate is the configured message rate in messages a second; 0 is unlimited.
func (p *path) configuredRate() float64 {
	if p.limits.MessageRate == (Rate{}) {
		return 0
	}
	return p.limits.MessageRate.perSecond()
}

// stop stops the path for at least base, or for twice as long as the last time when the same signal came while it ramped,
// and at most for longest; what the reply asked for comes before both.
func (o *observation) stop(base, longest time.Duration) {
	p, s := o.path, &o.signal
	length := base
	if p.cause == s.Kind {
		length = max(base, min(2*p.length, longest))
	}
	length = max(length, s.RetryAfter)
	o.halt(s.Kind, o.now.Add(length))
	p.length = length
	o.changes = append(o.changes, Change{Kind: ChangeStopped, Cause: s.Kind, Until: p.until})
}

// halt stops the path until a time at least.
func (o *observation) halt(cause SignalKind, until time.Time) {
	p := o.path
	if p.goal == 0 {
		p.goal = p.effective(o.now).Connections
		if p.goal == 0 {
			p.goal = max(unlimitedGoal, p.open)
		}
	}
	if !o.now.Before(p.until) {
		p.began = o.now
	}
	p.cause, p.length, p.allowed = cause, until.Sub(o.now), 1
	if until.After(p.until) {
		p.until = until
	}
	if k := p.learnt; k != nil {
		k.blocks, k.blockRow = k.blocks[:0], 0
	}
	p.networkRow = 0
}

// lowered notes a lower limit.
func (o *observation) lowered(detail string) {
	o.changes = append(o.changes, Change{Kind: ChangeLowered, Cause: o.signal.Kind, Detail: detail})
}

// warn notes the first sign of trouble within an hour.
func (o *observation) warn(detail string) {
	k := o.path.lessons()
	if !k.warned.IsZero() && o.now.Sub(k.warned) < warnEvery {
		return
	}
	k.warned = o.now
	o.changes = append(o.changes, Change{Kind: ChangeWarning, Cause: o.signal.Kind, Detail: detail})
}
