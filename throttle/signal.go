package throttle

import "time"

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
	// SignalTooManyRecipients: it takes no more recipients in this transaction.
	SignalTooManyRecipients SignalKind = "too-many-recipients"
	// SignalClosed: it had closed the connection without a word when the next message was due, shortly after the one before.
	SignalClosed SignalKind = "closed"
	// SignalNetworkFailure: no connection came about, or it broke off without a reply, or the receiver was too busy to greet.
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
		SignalTooManyMessages, SignalTooManyRecipients, SignalClosed, SignalNetworkFailure, SignalGreylisted, SignalOther,
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
	// Messages, with SignalTooManyMessages and SignalClosed, is how many messages the connection had taken; 0 when unknown.
	Messages int
	// Recipients, with SignalTooManyRecipients, is how many recipients the transaction had; 0 when unknown.
	Recipients int
	// Code and Text are the receiver's reply, for Config.Reactions: the basic code and the lines without codes. 0 and empty where there was none, where our own side
	// made it up, and where it is not about our rate or reputation.
	Code int
	Text string
	// Domain is the recipient's domain, for reactions of ScopeDomain. Empty: they do nothing.
	Domain string
}

// Backoff tunes the reactions to signals, and bounds them.
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
	// MinConnections and MinMessageRate are what limits are never lowered below; a stop comes in spite of them. Defaults to 1 connection and 1 message a minute.
	MinConnections int
	MinMessageRate Rate
	// RaiseAfter is how long a lowered limit of connections stands before one more is tried, and MaxRaiseAfter what that doubles to while the receiver refuses it. Not
	// negative, at most 7 days. Defaults to 10 minutes and 4 hours, or the greater of the two.
	RaiseAfter, MaxRaiseAfter time.Duration
	// DeferredShare halves the message rate when as large a share of an hour's messages was put off or refused for our reputation or rate, and a quarter of it
	// is worth a warning; of at least MinSample messages. 0 to 1. Defaults to 0.2 of 100.
	DeferredShare float64
	MinSample     int
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

// The bounds of Backoff: maxRow is the most blocks or failures that are counted.
const (
	maxRow    = 1000
	maxSample = 1_000_000
	maxRaise  = 7 * 24 * time.Hour
)

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
		name       string
		field      *int
		value, max int
	}{
		{"BlocksPerHour", &b.BlocksPerHour, 5, maxRow},
		{"BlocksInRow", &b.BlocksInRow, 2, maxRow},
		{"FailuresInRow", &b.FailuresInRow, 20, maxRow},
		{"MinConnections", &b.MinConnections, 1, maxRow},
		{"MinSample", &b.MinSample, 100, maxSample},
	} {
		switch {
		case *f.field < 0 || *f.field > f.max:
			return invalid(f.name, "%d is not between 0 and %d", *f.field, f.max)
		case *f.field == 0:
			*f.field = f.value
		}
	}
	return b.validateAdaptive()
}

// validateAdaptive is the rest of validate.
func (b *Backoff) validateAdaptive() error {
	if err := b.MinMessageRate.validate(); err != nil {
		return invalid("MinMessageRate", "%v", err)
	}
	if b.MinMessageRate == (Rate{}) {
		b.MinMessageRate = Rate{N: 1, Per: time.Minute}
	}
	for _, f := range []struct {
		name  string
		field *time.Duration
		value time.Duration
	}{
		{"RaiseAfter", &b.RaiseAfter, 10 * time.Minute},
		{"MaxRaiseAfter", &b.MaxRaiseAfter, max(4*time.Hour, b.RaiseAfter)},
	} {
		switch {
		case *f.field < 0 || *f.field > maxRaise:
			return invalid(f.name, "%v is not between 0 and %v", *f.field, maxRaise)
		case *f.field == 0:
			*f.field = f.value
		}
	}
	if b.MaxRaiseAfter < b.RaiseAfter {
		return invalid("MaxRaiseAfter", "%v is less than RaiseAfter, %v", b.MaxRaiseAfter, b.RaiseAfter)
	}
	if !(b.DeferredShare >= 0 && b.DeferredShare <= 1) {
		return invalid("DeferredShare", "%v is not between 0 and 1", b.DeferredShare)
	}
	if b.DeferredShare == 0 {
		b.DeferredShare = 0.2
	}
	return nil
}
