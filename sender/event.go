package sender

import (
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// EventType says what happened.
type EventType string

// The event types.
const (
	// EventAccepted: Enqueue stored a delivery.
	EventAccepted EventType = "accepted"
	// EventRefused: the gate refused a recipient at Enqueue. Nothing was stored for it.
	EventRefused EventType = "refused"
	// EventDelivered: a receiver accepted it. Final.
	EventDelivered EventType = "delivered"
	// EventDeferred: an attempt failed for now; NextAttempt says when it is tried again.
	EventDeferred EventType = "deferred"
	// EventBounced: refused for good. Final.
	EventBounced EventType = "bounced"
	// EventExpired: its time ran out. Final.
	EventExpired EventType = "expired"
	// EventSuppressed: the gate closed before an attempt. Final.
	EventSuppressed EventType = "suppressed"
	// EventCancelled: withdrawn by the host, with Sender.Cancel. Final.
	EventCancelled EventType = "cancelled"
	// EventReturned: a message that a receiver had accepted came back as a bounce (an out-of-band bounce). The delivery was delivered
	// before. See Sender.Report.
	EventReturned EventType = "returned"
	// EventComplained: a recipient complained about a message that was delivered.
	EventComplained EventType = "complained"
	// EventUnsubscribed: a recipient asked, by mail, to be sent no more of the stream.
	EventUnsubscribed EventType = "unsubscribed"
	// EventWarmup: the warm-up of a path moved to another phase or stage (Path, Warmup).
	EventWarmup EventType = "warm-up"
	// EventMigration: a migration moved to another phase, stage or share (Migration).
	EventMigration EventType = "migration"
	// EventPathWarning: the first sign of trouble of a path, or of a signing domain, within an hour: nothing follows from it yet (Path, Throttle).
	EventPathWarning EventType = "path-warning"
	// EventPathSlowed: a limit of a path was lowered (Path, Throttle). It rises again by itself.
	EventPathSlowed EventType = "path-slowed"
	// EventPathClosed: a path was closed to all mail (Path, Wait); EventPathOpened: it may carry mail again.
	EventPathClosed EventType = "path-closed"
	EventPathOpened EventType = "path-opened"
	// EventOperation: an operator has given an order (Operation, Actor, Reason). What becomes of each delivery that is bounced or cancelled by
	// one is told by an event of its own, before.
	EventOperation EventType = "operation"
	// EventDrained: nothing is left that has to go over a route or path that is being drained (Operation.Hold).
	EventDrained EventType = "drained"
)

// Final reports whether the delivery of the event is done.
func (t EventType) Final() bool {
	switch t {
	case EventDelivered, EventBounced, EventExpired, EventSuppressed, EventCancelled:
		return true
	}
	return false
}

// Event tells what happened to a delivery, or to a path. Fields that do not apply are zero.
type Event struct {
	Type EventType `json:"type"`
	// Time is when it was decided.
	Time time.Time `json:"time"`
	// MessageID, DeliveryID and Stream name the delivery.
	MessageID  string `json:"message_id,omitempty"`
	DeliveryID string `json:"delivery_id,omitempty"`
	Stream     string `json:"stream,omitempty"`
	// Recipient shows as a keyed hash unless Config.PlainAddresses.
	Recipient Recipient `json:"recipient,omitzero"`
	// Domain is the destination.
	Domain string `json:"domain,omitempty"`
	// Path is the route and provider.
	Path Path `json:"path,omitzero"`
	// Overflow says that the route was an overflow route of the pool.
	Overflow bool `json:"overflow,omitempty"`
	// OverflowFor is why the first routes did not take it.
	OverflowFor Wait `json:"overflow_for,omitzero"`
	// Attempt counts the attempts so far.
	Attempt int `json:"attempt,omitempty"`
	// Reply and Verdict are what the receiver said, and what it means.
	Reply   bounce.Reply   `json:"reply,omitzero"`
	Verdict bounce.Verdict `json:"verdict,omitzero"`
	// NextAttempt is when a deferred delivery is due again.
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	// QueueTime is how long a delivery was in the queue when it was settled.
	QueueTime time.Duration `json:"queue_time,omitempty"`
	// Reason says why in words, where there is no reply: the gate's refusal, the type of a complaint, an operator's reason.
	Reason string `json:"reason,omitempty"`
	// Actor is the operator whose order it was.
	Actor string `json:"actor,omitempty"`
	// Report is the ID of the report that came in, for EventReturned, EventComplained and EventUnsubscribed.
	Report string `json:"report,omitempty"`
	// Unverified says that such a report is tied to no delivery of ours: anybody may have made it up, and nothing follows from it.
	Unverified bool `json:"unverified,omitempty"`
	// Wait is why and until when a path is closed.
	Wait Wait `json:"wait,omitzero"`
	// Throttle is what the throttle noticed, and by what.
	Throttle *throttle.Change `json:"throttle,omitempty"`
	// Warmup is what a path's warm-up went through, with the evidence.
	Warmup *warmup.Change `json:"warmup,omitempty"`
	// Migration is what a migration went through, with the evidence.
	Migration *warmup.MigrationChange `json:"migration,omitempty"`
	// Operation is what an operator ordered.
	Operation *Operation `json:"operation,omitempty"`
}

// Path is a route and a provider: what a receiver sees and judges.
//
// The packages warmup and throttle have the same type for themselves, since they know nothing of each other; the three
// convert into each other.
type Path struct {
	Route    string `json:"route"`
	Provider string `json:"provider"`
}

// String is "mta1/google"; empty for the zero Path.
func (p Path) String() string {
	if p == (Path{}) {
		return ""
	}
	return p.Route + "/" + p.Provider
}

// WaitReason says why mail waits although nobody refused it: a choice of ours, never an attempt.
type WaitReason string

// The reasons.
const (
	// WaitRetry: it was deferred and is not due yet.
	WaitRetry WaitReason = "retry"
	// WaitDNS: the destination could not be resolved for the moment.
	WaitDNS WaitReason = "dns"
	// WaitHost: the destination's hosts could not be reached a short while ago.
	WaitHost WaitReason = "host"
	// WaitProxy: the route's proxy failed a short while ago.
	WaitProxy WaitReason = "proxy"
	// WaitWarmup: the path's warm-up allowance is used up. Where the pool has overflow routes, those are closed as well.
	WaitWarmup WaitReason = "warm-up"
	// WaitRate: the path's message or connect rate is used up.
	WaitRate WaitReason = "rate"
	// WaitConnections: all connections that the path may have are busy.
	WaitConnections WaitReason = "connections"
	// WaitBackoff: the receiver asked for less; the path rests.
	WaitBackoff WaitReason = "back-off"
	// WaitSigner: the message could not be signed.
	WaitSigner WaitReason = "signer"
	// WaitGate: the gate had an error.
	WaitGate WaitReason = "gate"
	// WaitQueue: the queue had an error.
	WaitQueue WaitReason = "queue"
	// WaitTurn: it is in line behind others.
	WaitTurn WaitReason = "turn"
	// WaitSuspended: an operator has suspended the route, the path, the provider, the stream or the destination; Detail has who and why.
	WaitSuspended WaitReason = "suspended"
	// WaitStopped: the Sender is not running.
	WaitStopped WaitReason = "stopped"
)

// Wait is one reason why a delivery or lane waits.
type Wait struct {
	Reason WaitReason `json:"reason"`
	// Path is the path that is closed, where one is.
	Path Path `json:"path,omitzero"`
	// Until is when it ends at the earliest; zero when that depends on others.
	Until time.Time `json:"until,omitzero"`
	// Detail is in words: "day-cap: 50 of 50 used".
	Detail string `json:"detail,omitempty"`
}

// String is the wait in words: "warm-up mta1/google: day-cap: 50 of 50 used"; empty for the zero Wait.
func (w Wait) String() string {
	s := string(w.Reason)
	if p := w.Path.String(); p != "" {
		s += " " + p
	}
	if w.Detail != "" {
		s += ": " + w.Detail
	}
	return s
}
