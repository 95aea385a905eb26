package queue

import (
	"errors"
	"time"

	"github.com/reputemail/repute/bounce"
)

// Errors of queues.
var (
	// ErrDuplicate: a message with this ID was put before. The queue is unchanged.
	ErrDuplicate = errors.New("queue: message ID is already known")
	// ErrNotFound: no message or delivery has this ID, or it was settled long ago and forgotten.
	ErrNotFound = errors.New("queue: not found")
	// ErrFull: the queue's own bound is reached, or its disk is full. Nothing was stored.
	ErrFull = errors.New("queue: full")
	// ErrClosed: the queue was closed.
	ErrClosed = errors.New("queue: closed")
	// ErrUnknown: it is not known whether what was asked for was written. A message is put again with the same ID: ErrDuplicate says that it was. If it is
	// not put again it may be sent all the same.
	ErrUnknown = errors.New("queue: not known whether it was written")
	// ErrInvalid: the argument of Put cannot be stored by any queue. The error names the field.
	ErrInvalid = errors.New("queue: invalid")
)

// Lane is what decides together: the deliveries of one stream to one destination that may use the same routes.
type Lane struct {
	// Stream is the name of the stream.
	Stream string `json:"stream"`
	// Domain is the destination: the recipients' domain, lower case, A-labels.
	Domain string `json:"domain"`
	// Route is the only route that these deliveries may use next; empty: any of the stream's pool. The Sender adds "~warm" to it, or to nothing,
	// for mail that may not go over cold routes.
	Route string `json:"route,omitempty"`
}

// Message is what the recipients of one submission share. It is not changed after Put.
type Message struct {
	// ID names the message: unique in the queue.
	ID string
	// Stream is the name of its stream.
	Stream string
	// From is the envelope's reverse-path without angle brackets; empty for the null reverse-path.
	From string
	// EightBit and UTF8: the message needs 8BITMIME or SMTPUTF8 from the receiver.
	EightBit, UTF8 bool
	// Recipients is how many deliveries were put with it.
	Recipients int
	// Created is when it was accepted. Set by Put.
	Created time.Time
	// Data is the message as accepted: header and body, CRLF line ends.
	Data []byte
}

// State is where a delivery stands.
type State string

// The states. Waiting and InFlight are open, the others final.
const (
	// Waiting: to be attempted when due.
	Waiting State = "waiting"
	// InFlight: leased by a process.
	InFlight State = "in-flight"
	// Delivered: the receiver accepted it.
	Delivered State = "delivered"
	// Bounced: refused for good.
	Bounced State = "bounced"
	// Expired: its time ran out.
	Expired State = "expired"
	// Suppressed: not sent, since the gate closed after it was accepted.
	Suppressed State = "suppressed"
	// Cancelled: withdrawn by the host. Reserved: nothing withdraws mail yet.
	Cancelled State = "cancelled"
)

// Final reports whether a delivery in this state is done.
func (s State) Final() bool { return s != Waiting && s != InFlight }

// Delivery is one recipient of one message.
type Delivery struct {
	// ID names the delivery: what DeliveryID makes of the message's ID and the delivery's number.
	ID string
	// MessageID is its message.
	MessageID string
	// Lane is where it stands.
	Lane Lane
	// Recipient is the address: local-part as given, domain in lower-case A-labels.
	Recipient string
	// Priority orders a lane: higher first, then older first.
	Priority int
	// State is where it stands.
	State State
	// Created is when it was accepted; Due when it may be attempted next (while leased: when the lease ends; settled: when that
	// was); Expires when it is given up. Set by the queue by its own clock, and told as times of the clock of the process that asks.
	Created, Due, Expires time.Time
	// Lease identifies the claim that holds it while InFlight; 0 otherwise. Only Settle with the same lease ends it.
	Lease int64
	// Expired is set by Claim: its time has run out.
	Expired bool
	// Attempts counts the attempts that began.
	Attempts int
	// History holds the latest records, oldest first, at most HistoryLimit.
	History []Attempt
}

// HistoryLimit is how many records of a delivery a queue keeps.
const HistoryLimit = 10

// Last is the latest record, or nil.
func (d *Delivery) Last() *Attempt {
	if len(d.History) == 0 {
		return nil
	}
	return &d.History[len(d.History)-1]
}

// Attempt is the record of one attempt, or of what settled a delivery without one (a domain that does not exist).
type Attempt struct {
	// At is when it ended.
	At time.Time `json:"at"`
	// Route and Provider are the path it took; empty when it took none.
	Route    string `json:"route,omitempty"`
	Provider string `json:"provider,omitempty"`
	// Overflow says that the route was one of the pool's overflow routes.
	Overflow bool `json:"overflow,omitempty"`
	// OverflowFor says, in words, why the first routes did not take it.
	OverflowFor string `json:"overflow_for,omitempty"`
	// TLS is the TLS version of the session ("TLS 1.3"); empty for clear text.
	TLS string `json:"tls,omitempty"`
	// Reply is what decided, and Verdict what it meant.
	Reply   bounce.Reply   `json:"reply"`
	Verdict bounce.Verdict `json:"verdict"`
}

// Put is the argument of a queue's Put.
type Put struct {
	// Message is stored with all of its deliveries or not at all.
	Message *Message
	// Deliveries: at least one, at most MaxDeliveries. ID, MessageID, Lane, Recipient and Priority are set; the queue sets the
	// rest. Their numbers are 1, 2, 3 and so on, in order.
	Deliveries []Delivery
	// ExpireAfter is how long the deliveries live. At least a second.
	ExpireAfter time.Duration
	// LeaseFor, when above zero, leases the deliveries to the caller in the same write.
	LeaseFor time.Duration
}

// Claim is the argument of a queue's Claim.
type Claim struct {
	// Lane to claim from. Ignored with Expired.
	Lane Lane
	// Expired claims waiting deliveries of any lane whose time ran out, due or not, instead of due ones of a lane.
	Expired bool
	// Limit is how many at most. At least 1.
	Limit int
	// LeaseFor is for how long. At least a second.
	LeaseFor time.Duration
}

// Claimed is the result of a Claim.
type Claimed struct {
	// Deliveries are leased to the caller: by priority, then age. Ones whose time ran out may be among them, marked Expired.
	Deliveries []Delivery
	// More says that the lane holds waiting deliveries still, of which the first is due in Next (0: now).
	More bool
	Next time.Duration
}

// Settlement ends the lease of one delivery, or renews it.
type Settlement struct {
	// ID and Lease are those of the claimed delivery.
	ID    string
	Lease int64
	// State is the new state. InFlight renews the lease.
	State State
	// After: with Waiting, the delivery is due again after this time; with InFlight the lease lasts that long from now.
	After time.Duration
	// Route, with Waiting, is the route of the lane in which the delivery waits.
	Route string
	// Began says that an attempt began: the only thing that raises Delivery.Attempts.
	Began bool
	// Record is kept in the delivery's history, or nil.
	Record *Attempt
}

// LaneStatus tells about one lane that holds open deliveries.
type LaneStatus struct {
	Lane Lane `json:"lane"`
	// Waiting and InFlight count its deliveries.
	Waiting  int `json:"waiting"`
	InFlight int `json:"in_flight"`
	// Next is the time until the first waiting one is due; 0 when it is due now, and when none is waiting.
	Next time.Duration `json:"next"`
	// Oldest is when its oldest open delivery was accepted.
	Oldest time.Time `json:"oldest"`
}

// LaneBacklog is LaneStatus with more of what the lane holds.
type LaneBacklog struct {
	LaneStatus
	// Due counts the waiting ones that can be claimed now.
	Due int `json:"due"`
	// Older counts, for each age that was asked for, the open ones that were accepted longer ago.
	Older []int `json:"older"`
}

// LaneDue tells that a lane has something to claim, or will have.
type LaneDue struct {
	Lane Lane
	// Next is the time until its first waiting delivery is due; 0: now.
	Next time.Duration
}

// News tells of mail that came into the queue without a Put of this process, or back into it.
type News struct {
	// Accepted are deliveries that were put in a transaction of the host's, now committed. They wait in their lanes.
	Accepted []Delivery
	// Lanes hold deliveries of others that went silent, to be claimed.
	Lanes []Lane
}
