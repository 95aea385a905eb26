package sender

import (
	"context"
	"database/sql"
	"net/netip"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/suppress"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/route"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// This file holds every interface that a host can replace. All methods are called concurrently unless said otherwise.
// An interface grows by add-on interfaces that New finds by type assertion, never by more methods.

// Queue keeps accepted mail. [queue.Memory] is the executable specification; queuetest.Run checks an implementation.
//
// A Queue is also a [Backlog]; the two are apart only so that each can be read at one glance.
type Queue interface {
	// Put stores a message and its deliveries, all or nothing. When it returns nil they survive whatever the queue
	// promises to survive. It returns the leases of the deliveries in order (zeros without p.LeaseFor).
	// An error says that nothing was stored, unless it is queue.ErrUnknown.
	// A message ID that is still known gives queue.ErrDuplicate and changes nothing. The queue keeps p.Message.Data;
	// the caller does not change it afterwards.
	Put(ctx context.Context, p queue.Put) (leases []int64, err error)
	// Claim leases due deliveries of a lane, or expired ones of any, to the caller; for operators' orders those of a lane that are not due too (c.Early), or
	// certain ones (c.IDs). No delivery is ever leased twice at a time. A lane that does not exist is empty, not an error. Claiming nothing is not an error.
	Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error)
	// Settle ends or renews leases. It is durable when it returns nil, and all or nothing when it returns an error, so
	// that it can be called again with the same batch: what an earlier call has written, although it returned an error, is
	// neither written again nor lost. Deliveries whose lease is not theirs any more are left alone and their IDs returned.
	Settle(ctx context.Context, batch []queue.Settlement) (lost []string, err error)
	Backlog
}

// Backlog tells what a queue holds.
type Backlog interface {
	// Lanes lists all lanes that hold open deliveries, in any order.
	Lanes(ctx context.Context) ([]queue.LaneStatus, error)
	// Get returns the delivery with this ID, or all remembered deliveries of the message with this ID.
	// queue.ErrNotFound when there is none.
	Get(ctx context.Context, id string) ([]queue.Delivery, error)
	// Message returns a message with its body. queue.ErrNotFound once its last delivery is settled.
	// The result is shared and not changed by anybody.
	Message(ctx context.Context, id string) (*queue.Message, error)
}

// BacklogCounter is the add-on of a Queue that counts what its lanes hold by age. Without it Stats knows the age of the oldest only, and forecasts take all that waits in a
// lane with something due for due.
type BacklogCounter interface {
	// Backlog is Lanes with more of each lane. older are at most 8 ages, each above 0.
	Backlog(ctx context.Context, older ...time.Duration) ([]queue.LaneBacklog, error)
}

// TxQueue is the add-on of a Queue by which EnqueueTx stores mail in a transaction of the host's.
type TxQueue interface {
	// PutTx is Put in tx: the message is in the queue once the host commits. queue.ErrDuplicate leaves tx usable.
	PutTx(ctx context.Context, tx *sql.Tx, p queue.Put) error
}

// Watcher is the add-on of a Queue that mail can come into by other ways than a Put of this process.
type Watcher interface {
	// Watch tells of such mail, soon after it came, until ctx ends. It calls tell from one goroutine. It returns before ctx ends only
	// if it cannot go on.
	Watch(ctx context.Context, tell func(queue.News)) error
}

// LaneFinder is the add-on of a Queue that finds its lanes faster than by counting what is in them.
type LaneFinder interface {
	// Due lists all lanes that hold waiting deliveries, in any order.
	Due(ctx context.Context) ([]queue.LaneDue, error)
}

// WarmupStorer is the add-on of a Queue that can also keep the warm-up ledger, so that all processes on one database share
// their allowance.
type WarmupStorer interface {
	// WarmupStore is used when Config.WarmupStore is not set. owner names this process in it (warmup.Config.Owner).
	WarmupStore() (store warmup.Store, owner string)
}

// MigrationStorer is the add-on of a Queue that can also keep where migrations stand.
type MigrationStorer interface {
	// MigrationStore is used when Config.MigrationStore is not set. owner names this process in it (warmup.MigratorConfig.Owner).
	MigrationStore() (store warmup.Store, owner string)
}

// OperatorStorer is the add-on of a Queue that can also keep what operators have suspended, over restarts and for all processes on one database.
type OperatorStorer interface {
	// OperatorStore is where Suspend and Resume keep their orders. Start fails when it cannot be read.
	OperatorStore() warmup.Store
}

// Clock is the add-on of a Queue whose clock several processes share. The warm-up ledger that such a queue keeps goes by it.
type Clock interface {
	// SharedTime is a time of this process, as time.Now tells it, by the queue's clock. When the clock of this process is set, the result does not jump.
	SharedTime(t time.Time) time.Time
	// OwnTime is the inverse of SharedTime: a time that can be compared with time.Now. It never gives an earlier one than the inverse: what is waited for until
	// then has come.
	OwnTime(t time.Time) time.Time
}

// Transport opens SMTP sessions. [SMTP] makes one of a [*transport.Transport], for hosts that set its time-outs themselves.
type Transport interface {
	// Dial connects, greets, starts TLS and authenticates as t says. ctx ends it at once.
	// Errors are *transport.Error, or ctx's own. Those of t.Dial, which is set for a route with a proxy, must be wrapped.
	Dial(ctx context.Context, t transport.Target) (Session, error)
}

// Session is one open conversation. Its methods are never called concurrently.
type Session interface {
	// Send runs one transaction and returns one result for each recipient, in order, also when it returns an error:
	// an error says that the session is of no use any more. ctx ends it at once.
	Send(ctx context.Context, e *transport.Envelope) ([]transport.Result, error)
	// Close says QUIT if it still can, and closes the connection. It does not block for more than some seconds.
	Close() error
}

// Pipeliner is the add-on by which a Session begins the next transaction behind the final dot of one.
type Pipeliner interface {
	// SendThen is Send that asks next, at most once, for the envelope that will be sent next, when at least one recipient of e was
	// accepted and its content is about to be written. When next returns one, the next call of Send or SendThen is for that one,
	// or the session is closed. If the session ends before the content of that one was sent, its recipients have Local results
	// at bounce.StageMail: nothing of it was taken.
	SendThen(ctx context.Context, e *transport.Envelope, next func() *transport.Envelope) ([]transport.Result, error)
}

// TLSReporter is the add-on by which a Session tells of its TLS, for Explain.
type TLSReporter interface {
	// TLS tells of the session's TLS; false for clear text.
	TLS() (info transport.TLSInfo, on bool)
}

// Pacer decides how much a path under warm-up may carry. [*warmup.Ledger] is the implementation.
// A Pacer that also has ObserveAt (a [PacerObserver]), as Ledger does, is told the outcome of every attempt. One that also has
// TryReserveAt and PrepareAt (a [PacerPreparer]), as Ledger does, is asked by these, and ReserveAt is not called. One that has RoomWithinAt (a [PacerForecaster]), as Ledger has, makes Stream.OverflowAfter work, and one that has RoomAt (a [PacerRoom]) forecasts.
type Pacer interface {
	// ReserveAt asks for n first attempts over the path, all or nothing. It is called while the dispatcher stands still, so
	// it must return within some milliseconds, also when its store is away: refuse then, with an Until of some seconds.
	// After an answer that took longer than 50 ms cold paths rest. A Pacer with a store should be a PacerPreparer.
	ReserveAt(now time.Time, p warmup.Path, n int) warmup.Reservation
	// CommitAt says that the receiver saw the n messages of r.
	CommitAt(now time.Time, r warmup.Reservation)
	// CancelAt gives r back: the receiver saw none of it.
	CancelAt(now time.Time, r warmup.Reservation)
}

// PacerObserver is the add-on by which a Pacer learns from outcomes.
type PacerObserver interface {
	// ObserveAt tells the outcome of n deliveries over the path, first attempts and retries alike.
	ObserveAt(now time.Time, p warmup.Path, o warmup.Outcome, n int)
}

// PacerSplitter is the add-on by which a Pacer takes back a part of a reservation: recipients that the receiver had no room for in a transaction, and that go in the next one. Without it they count
// twice.
type PacerSplitter interface {
	// CommitPartAt is CommitAt for n messages of r, and CancelAt for the others.
	CommitPartAt(now time.Time, r warmup.Reservation, n int)
}

// PacerPreparer is the add-on by which a Pacer with a store answers at once, and uses its store while other mail goes on.
type PacerPreparer interface {
	// TryReserveAt is ReserveAt that never blocks. ready is false, and nothing taken, when the answer needs the store: then
	// PrepareAt is called, and after that it is asked again. A store that is away is an answer: a refusal with an Until of
	// some seconds. With Low in a reservation that is OK, PrepareAt is called too, and mail goes on meanwhile.
	TryReserveAt(now time.Time, p warmup.Path, n int) (r warmup.Reservation, ready bool)
	// PrepareAt makes the answer for n first attempts over the path ready. It may block until ctx ends, after a minute at most
	// or when the Sender stops. It is called once at a time for a path. Mail whose path takes longer than a second
	// looks at the other routes of its pool, and at those for overflow.
	PrepareAt(ctx context.Context, now time.Time, p warmup.Path, n int)
}

// PacerForecaster is the add-on by which a Pacer tells how much is worth keeping for a path. Without it Stream.OverflowAfter has no effect.
type PacerForecaster interface {
	// RoomWithinAt tells about how many first attempts the path may carry within a time. It must not block.
	RoomWithinAt(now time.Time, p warmup.Path, within time.Duration) int
}

// PacerRoom is the add-on by which a Pacer tells what is left of an allowance, for forecasts.
type PacerRoom interface {
	// RoomAt tells how many first attempts the path may carry at a time, now or later, and when there may be more. It takes nothing and must not block.
	RoomAt(now time.Time, p warmup.Path) warmup.Room
}

// Throttle decides how fast a path may go. [*throttle.Limiter] is the implementation.
type Throttle interface {
	// AcquireAt asks for one token: a connection to hold, or a message to send. It never blocks and takes nothing when
	// the decision is not OK. Decision.Until zero means: wait until a token is released. Decision.Limits is always set.
	AcquireAt(now time.Time, p throttle.Path, t throttle.Token) throttle.Decision
	// ReleaseAt gives a token back: the connection was closed (TokenConnection) or never dialled (TokenUnopened), the
	// message was not sent (TokenMessage).
	ReleaseAt(now time.Time, p throttle.Path, t throttle.Token)
	// ObserveAt tells what a receiver's reply means for the path. Replies that we made ourselves are told as
	// network failures or not at all.
	ObserveAt(now time.Time, p throttle.Path, s throttle.Signal)
}

// ThrottleKeeper is the add-on by which a Throttle remembers what it has learnt over restarts, and shares limits between processes. *throttle.Limiter has it.
type ThrottleKeeper interface {
	// LoadAt is called by Start, before anything is sent. An error is logged.
	LoadAt(ctx context.Context, now time.Time) error
	// SyncAt is called again and again, one call at a time: at the time that the last call returned (the zero time: never again), or when SyncWanted tells so.
	SyncAt(ctx context.Context, now time.Time) (next time.Time, err error)
	SyncWanted() <-chan struct{}
	// CloseAt is called by Stop, when nothing is sent any more.
	CloseAt(ctx context.Context, now time.Time) error
}

// ThrottleStorer is the add-on of a Queue that can also keep what the default Throttle has learnt of receivers.
type ThrottleStorer interface {
	// ThrottleStore is used when Config.ThrottleStore is not set. owner names this process, where several share their limits (throttle.Config.Owner); empty: this one has
	// them for itself.
	ThrottleStore() (store throttle.Store, owner string)
}

// DomainThrottle is the add-on by which a Throttle also limits single recipient domains of a provider.
type DomainThrottle interface {
	// LimitsDomainAt reports whether a recipient domain has limits of its own over a route now. If so, a TokenConnection and a TokenMessage of
	// throttle.DomainPath are taken for each transaction, beside those of the path.
	LimitsDomainAt(now time.Time, route, domain string) bool
}

// ThrottleForecaster is the add-on by which a Throttle tells where a path stands, for forecasts. Without it they go by its latest decisions.
type ThrottleForecaster interface {
	// LookAt takes nothing, does not count as a use of the path, and must not block.
	LookAt(now time.Time, p throttle.Path) throttle.State
}

// Providers groups destinations by the operator of their mail exchangers. [*throttle.Table] is the implementation.
type Providers interface {
	// Provider names the provider of a domain with these MX hosts. It is called for each resolved destination.
	Provider(domain string, mx []string) string
}

// Signer signs a message. [*github.com/reputemail/repute/auth.Signer] is the implementation.
type Signer interface {
	// Sign returns the header fields to put before the message, with CRLF line ends. It must not change message.
	// An error delays the message; it is not an attempt.
	Sign(ctx context.Context, message []byte) (header []byte, err error)
}

// Classifier says what a reply means. [*bounce.Classifier] is the implementation.
type Classifier interface {
	// Classify never fails: what it does not know is bounce.Other, permanent or not by the basic code.
	Classify(provider string, r bounce.Reply) bounce.Verdict
}

// Gate decides whether a recipient may be written to at all: suppression, engagement, the host's own rules.
// It is asked by Enqueue and again before each attempt.
// A Gate that also has Suppress (a [Suppressor]) is told of every address that a verdict calls dead.
type Gate interface {
	// Admit returns an empty reason to admit the recipient, or why not, in words for people. An error is temporary:
	// Enqueue returns it, an attempt waits.
	Admit(ctx context.Context, r Recipient) (refusal string, err error)
}

// GateFunc is a Gate of one function.
type GateFunc func(ctx context.Context, r Recipient) (string, error)

// Admit calls f.
func (f GateFunc) Admit(ctx context.Context, r Recipient) (string, error) { return f(ctx, r) }

// Ranker says which mail is the best, so that it goes first where not all can go: over routes that are being warmed up, and within each lane.
type Ranker interface {
	// Rank is called by Enqueue for each recipient, after the gates. Higher is better, from -MaxRank to MaxRank; what is beyond is taken for the nearer end. Good
	// ranks: 1000 for what a person waits for, then by how lately the recipient has read the host's mail.
	Rank(ctx context.Context, c Candidate) int
}

// RankerFunc is a Ranker of one function.
type RankerFunc func(ctx context.Context, c Candidate) int

// Rank calls f.
func (f RankerFunc) Rank(ctx context.Context, c Candidate) int { return f(ctx, c) }

// Candidate is a delivery to be ranked.
type Candidate struct {
	// MessageID and Stream are those of the message.
	MessageID string
	Stream    string
	// Recipient is the address.
	Recipient Recipient
}

// Suppressor is the add-on by which a Gate learns of dead addresses.
type Suppressor interface {
	// Suppress is called once the delivery is settled. It should be durable when it returns; an error is logged.
	Suppress(ctx context.Context, r Recipient, v bounce.Verdict) error
}

// Suppressions is the list of the addresses that are not written to. [*suppress.List] is the implementation.
type Suppressions interface {
	// CheckAt tells whether mail of a stream to an address is suppressed, and why. It is called by Enqueue and again before each
	// attempt. An error is temporary: Enqueue returns it, an attempt waits.
	CheckAt(ctx context.Context, now time.Time, stream, address string) (suppress.Entry, bool, error)
	// ObserveAt tells what became of mail to an address, once that is settled, or what came back later. It decides whether the address
	// is suppressed from now on. It should be durable when it returns; the same Incident.ID counts once.
	ObserveAt(ctx context.Context, now time.Time, i suppress.Incident) (suppress.Entry, bool, error)
}

// SuppressionStorer is the add-on of a Queue that can also keep the list of suppressed addresses.
type SuppressionStorer interface {
	// SuppressionStore is where New keeps the list when Config.Suppressions is not set.
	SuppressionStore() suppress.Store
}

// SuppressionTxStorer is the add-on of a SuppressionStorer by which EnqueueTx reads the list in the host's transaction. Without it, a host whose
// transactions take all connections of the pool would wait for itself.
type SuppressionTxStorer interface {
	// SuppressionStoreTx is SuppressionStore as a transaction sees it. Only Get is called.
	SuppressionStoreTx(tx *sql.Tx) suppress.Store
}

// SuppressionPruner is the add-on of Suppressions by which they forget what has no effect any more.
type SuppressionPruner interface {
	// PruneAt is called an hour after Start and then once a day. It may take its time; ctx ends when the Sender stops.
	PruneAt(ctx context.Context, now time.Time) (forgotten int, err error)
}

// ReturnPathTokens makes return paths. [*verp.Codec] is the implementation.
type ReturnPathTokens interface {
	// EncodeAt makes a token with a payload of the delivery's ID.
	EncodeAt(now time.Time, payload string) (token string, err error)
	// AddressAt makes an address with such a token as its local-part.
	AddressAt(now time.Time, payload, domain string) (address string, err error)
}

// Resolver finds where a domain's mail goes. [*route.Resolver] is the implementation.
type Resolver interface {
	// Resolve returns the mail exchangers of a domain; a zero Expires means 5 minutes. Errors are *route.Error, or ctx's own.
	Resolve(ctx context.Context, domain string) (route.Destination, error)
	// Addrs returns the addresses of a host: for relays. Errors as for Resolve.
	Addrs(ctx context.Context, host string) ([]netip.Addr, error)
}

// Observer is told of every event.
type Observer interface {
	// Observe is called for one event at a time, in order, after the state it tells of is durable. When it is more than
	// some thousand events behind, settling waits for it, and so in the end the sending; Enqueue does not. It may call
	// Enqueue, Explain and Stats, but not Stop.
	Observe(e Event)
}

// ObserverFunc is an Observer of one function.
type ObserverFunc func(Event)

// Observe calls f.
func (f ObserverFunc) Observe(e Event) { f(e) }
