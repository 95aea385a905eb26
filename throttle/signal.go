package throttle

import (
	"log/slog"
	"time"
)

// SignalKind is what a receiver did, as far as the pace of sending is concerned.
type SignalKind string

// The kinds. The package comment says how each is answered.
const (
	// SignalSuccess: a message was accepted.
	SignalSuccess SignalKind = "success"
	// SignalRateLimited: the receiver wants less from us for a while.
	SignalRateLimited SignalKind = "rate-limited"
	// SignalBlocked: the receiver's reputation system or a blocklist has us.
	SignalBlocked SignalKind = "blocked"
	// SignalTooManyConnections: it takes no more connections at once.
	SignalTooManyConnections SignalKind = "too-many-connections"
	// SignalTooManyMessages: it takes no more messages over this connection.
	SignalTooManyMessages SignalKind = "too-many-messages"
	// SignalNetworkFailure: no connection came about, or it broke off without a reply.
	SignalNetworkFailure SignalKind = "network-failure"
	// SignalGreylisted: try again later from the same address. No penalty.
	SignalGreylisted SignalKind = "greylisted"
	// SignalOther: a reply that says nothing about the pace, good or bad (an unknown recipient, content, policy).
	SignalOther SignalKind = "other"
)

// SignalKinds lists every kind, in the order of the constants.
func SignalKinds() []SignalKind {
	return []SignalKind{
		SignalSuccess, SignalRateLimited, SignalBlocked, SignalTooManyConnections,
		SignalTooManyMessages, SignalNetworkFailure, SignalGreylisted, SignalOther,
	}
}

// reason is what a stop by this signal is called.
func (k SignalKind) reason() Reason {
	if k == SignalBlocked {
		return ReasonSuspended
	}
	return ReasonBackoff
}

// Signal is what came back from one attempt. Replies that the sender's own side made up are no signals, but for
// SignalNetworkFailure.
type Signal struct {
	Kind SignalKind
	// RetryAfter is the wait that the reply asked for; 0 when it named none. More than Backoff.Max counts as that.
	RetryAfter time.Duration
	// Began is when the attempt began: a signal of an attempt that began before the last stop ended tells nothing new. The
	// zero time: after it.
	Began time.Time
	// Messages, with SignalTooManyMessages, is how many messages the connection had taken; 0 when unknown.
	Messages int
}

// Backoff tunes the reactions to signals.
type Backoff struct {
	// RateLimited is how long a rate limit stops a path at first. Not negative, at most Max. Defaults to 10 minutes (Google,
	// "Email sender guidelines"), or Max if that is less.
	RateLimited time.Duration
	// Blocked is how long blocks suspend a path at first. Not negative, at most Max. Defaults to 2 hours (KumoMTA's
	// production shaping rules), or Max if that is less.
	Blocked time.Duration
	// BlocksPerHour within an hour suspend a path. Not negative, at most 1000. Defaults to 5.
	BlocksPerHour int
	// BlocksInRow within an hour and without a success between suspend a path. Not negative, at most 1000. Defaults to 2.
	BlocksInRow int
	// Network is how long failures stop a path at first. Not negative, at most Max. Defaults to 5 minutes, or Max if that is
	// less.
	Network time.Duration
	// FailuresInRow of the network, without any reply between, stop a path. Not negative, at most 1000. Defaults to 20.
	FailuresInRow int
	// Max is the longest stop, whatever doubles or is asked for. Not negative. Defaults to 4 hours.
	Max time.Duration
}

const (
	blockWindow = time.Hour
	// A receiver that is away or full for the moment is tried again at least this often.
	shortMax = 30 * time.Minute
	// crowded stops a path whose only connection was one too many.
	crowded = time.Minute
	// unlimitedGoal ends the ramp of a path without a limit of connections.
	unlimitedGoal = 10
)

// maxRow is the most blocks or failures that are counted.
const maxRow = 1000

// validate names the first field that was set to what it cannot be, and fills in the defaults of the others.
func (b *Backoff) validate() error {
	if b.Max < 0 {
		return invalid("Max", "%v is negative", b.Max)
	}
	if b.Max == 0 {
		b.Max = 4 * time.Hour
	}
	for _, f := range []struct {
		name  string
		field *time.Duration
		value time.Duration
	}{
		{"RateLimited", &b.RateLimited, 10 * time.Minute},
		{"Blocked", &b.Blocked, 2 * time.Hour},
		{"Network", &b.Network, 5 * time.Minute},
	} {
		switch {
		case *f.field < 0:
			return invalid(f.name, "%v is negative", *f.field)
		case *f.field > b.Max:
			return invalid(f.name, "%v is more than Max, %v", *f.field, b.Max)
		case *f.field == 0:
			*f.field = min(f.value, b.Max)
		}
	}
	for _, f := range []struct {
		name  string
		field *int
		value int
	}{
		{"BlocksPerHour", &b.BlocksPerHour, 5},
		{"BlocksInRow", &b.BlocksInRow, 2},
		{"FailuresInRow", &b.FailuresInRow, 20},
	} {
		switch {
		case *f.field < 0 || *f.field > maxRow:
			return invalid(f.name, "%d is not between 0 and %d", *f.field, maxRow)
		case *f.field == 0:
			*f.field = f.value
		}
	}
	return nil
}

// change is what a signal did to a path, for the log.
type change string

// The changes.
const (
	unchanged change = ""
	stopped   change = "path stopped"
	opened    change = "path open again"
)

// ObserveAt tells the Limiter what came back from an attempt over a path.
func (l *Limiter) ObserveAt(now time.Time, key Path, s Signal) {
	l.mu.Lock()
	p := l.path(now, key)
	what := p.observe(p.clock(now), s, &l.config.Backoff)
	until, length := p.until, p.length
	l.mu.Unlock()
	switch what { // The log must not hold the lock.
	case stopped:
		l.logger.Warn(string(what), slog.String("route", key.Route), slog.String("provider", key.Provider),
			slog.String("cause", string(s.Kind)), slog.Time("until", until), slog.Duration("for", length))
	case opened:
		l.logger.Info(string(what), slog.String("route", key.Route), slog.String("provider", key.Provider))
	}
}

// observe moves the machine of the path by one signal.
func (p *path) observe(now time.Time, s Signal, b *Backoff) change {
	s.RetryAfter = min(max(0, s.RetryAfter), b.Max)
	if s.Kind != SignalNetworkFailure {
		p.networkRow = 0
	}
	late := now.Before(p.until) || !s.Began.IsZero() && s.Began.Before(p.until)
	if late {
		return p.observeLate(now, s, b)
	}
	switch s.Kind {
	case SignalSuccess:
		p.blockRow = 0
		return p.succeed()
	case SignalRateLimited:
		return p.stop(now, s, b.RateLimited, b.Max)
	case SignalBlocked:
		if p.block(now, b) || p.cause == SignalBlocked {
			return p.stop(now, s, b.Blocked, b.Max)
		}
	case SignalTooManyConnections:
		if p.open <= 1 {
			return p.stop(now, s, min(crowded, b.Max), min(shortMax, b.Max))
		}
		if most := p.effective(now).Connections; most == 0 || p.open-1 < most {
			if p.ceiling == 0 {
				p.ceilingTop = p.open
			}
			p.ceiling, p.ceilingAt = p.open-1, now
		}
	case SignalTooManyMessages:
		p.learnMessages(now, s.Messages)
	case SignalNetworkFailure:
		p.networkRow++
		if p.networkRow >= b.FailuresInRow || p.cause == SignalNetworkFailure {
			return p.stop(now, s, b.Network, max(b.Network, min(shortMax, b.Max)))
		}
	}
	return unchanged
}

// observeLate takes a signal of an attempt that was under way when the path stopped. It may lengthen the running stop if
// the reply asked for that, or turn it into a suspension.
func (p *path) observeLate(now time.Time, s Signal, b *Backoff) change {
	if !now.Before(p.until) {
		return unchanged
	}
	if s.Kind == SignalBlocked && p.cause != SignalBlocked && p.block(now, b) {
		return p.stop(now, s, b.Blocked, b.Max)
	}
	if s.Kind == SignalRateLimited || s.Kind == SignalBlocked {
		if until := now.Add(s.RetryAfter); until.After(p.until) {
			p.until = until
			p.length = p.until.Sub(p.began)
		}
	}
	return unchanged
}

// succeed allows one connection more while the path ramps.
func (p *path) succeed() change {
	if p.cause == "" {
		return unchanged
	}
	p.allowed++
	if p.allowed < p.goal {
		return unchanged
	}
	p.cause, p.allowed, p.goal = "", 0, 0
	return opened
}

// block counts a block, and reports whether it is one too many.
func (p *path) block(now time.Time, b *Backoff) bool {
	if n := len(p.blocks); n > 0 && now.Sub(p.blocks[n-1]) >= blockWindow {
		p.blockRow = 0
	}
	p.blockRow++
	if p.blocks == nil {
		p.blocks = make([]time.Time, 0, b.BlocksPerHour)
	}
	if len(p.blocks) == cap(p.blocks) {
		copy(p.blocks, p.blocks[1:])
		p.blocks = p.blocks[:len(p.blocks)-1]
	}
	p.blocks = append(p.blocks, now)
	full := len(p.blocks) == cap(p.blocks) && now.Sub(p.blocks[0]) < blockWindow
	return full || p.blockRow >= b.BlocksInRow
}

// stop stops the path for at least base, or for twice as long as the last time when the same signal came while it ramped,
// and at most for longest; what the reply asked for comes before both.
func (p *path) stop(now time.Time, s Signal, base, longest time.Duration) change {
	length := base
	if p.cause == s.Kind {
		length = max(base, min(2*p.length, longest))
	}
	length = max(length, s.RetryAfter)
	if p.goal == 0 {
		p.goal = p.limits.Connections
		if p.goal == 0 {
			p.goal = max(unlimitedGoal, p.open)
		}
	}
	if !now.Before(p.until) {
		p.began = now
	}
	p.cause, p.length, p.allowed = s.Kind, length, 1
	if until := now.Add(length); until.After(p.until) {
		p.until = until
	}
	p.blocks, p.blockRow, p.networkRow = p.blocks[:0], 0, 0
	return stopped
}

// learnMessages lowers the messages per connection: to what the connection took, or else by half and at most once a minute.
func (p *path) learnMessages(now time.Time, taken int) {
	most := p.effective(now).MessagesPerConnection
	if taken <= 0 {
		if p.perConnection > 0 && now.Sub(p.perConnectionAt) < time.Minute {
			return
		}
		if taken = most / 2; most == 0 {
			taken = DefaultLimits().MessagesPerConnection / 2
		}
		taken = max(1, taken)
	}
	p.perConnection, p.perConnectionAt = taken, now
}
