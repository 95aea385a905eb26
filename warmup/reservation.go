package warmup

import "time"

// Path is what a receiver sees and judges: one way out to one mailbox provider. Every count and every stage belongs to a path.
type Path struct {
	// Route is the host's name for the route.
	Route string `json:"route"`
	// Provider is the name of the mailbox provider, as the host groups destinations: by MX operator, not by recipient domain.
	Provider string `json:"provider"`
}

// String is "route/provider", for logs.
func (p Path) String() string { return p.Route + "/" + p.Provider }

// Reason says why a reservation was refused.
type Reason string

const (
	// ReasonDayCap: the stage's cap for 24 hours is used up.
	ReasonDayCap Reason = "day-cap"
	// ReasonHourCap: the stage's cap for 60 minutes is used up.
	ReasonHourCap Reason = "hour-cap"
	// ReasonMinuteCap: the stage's cap for 60 seconds is used up.
	ReasonMinuteCap Reason = "minute-cap"
	// ReasonPace: the stage's hour is spread out, and the next message is due later.
	ReasonPace Reason = "pace"
	// ReasonPaused: an operator has paused the path.
	ReasonPaused Reason = "paused"
	// ReasonStore: the store is out of reach, its record is unreadable, or another process has taken over this owner's name, and
	// the allowance leased before does not suffice or is too old. The cause is in the log.
	ReasonStore Reason = "store"
	// ReasonPaths: the ledger holds Config.MaxPaths paths and all of them are in use.
	ReasonPaths Reason = "paths"
	// ReasonClosed: the ledger was closed.
	ReasonClosed Reason = "closed"
)

// Reservation is the answer to ReserveAt and TryReserveAt: a place for N messages on a path, or why there is none. It is plain data, so
// that other implementations of the same methods can make one; only a Ledger's own can be settled with that Ledger.
type Reservation struct {
	// OK says that the N messages may be sent now. Each reservation that is OK has to be settled, by CommitAt or CancelAt.
	OK bool
	// Until is the earliest time at which the same reservation may succeed, if all outstanding reservations are committed; when one of
	// them is cancelled it may succeed earlier. Zero when OK. When N is above the cap it is when the stage may change at the earliest; when
	// another process holds what is left, a minute later.
	Until time.Time
	// Reason is why not; empty when OK. When several apply it is the one that lasts longest.
	Reason Reason
	// Cap is the cap that refused, or the day cap when OK, in messages; 0 where no cap applies.
	Cap int
	// Used is what counts against Cap, outstanding reservations included, and with them this one when OK.
	Used int
	// Complete says that the warm-up of the path is complete; with Plan.Keep there is a Cap all the same. Only with OK.
	Complete bool
	// Path is the path asked for.
	Path Path
	// N is the number of messages asked for.
	N int
	// Low says that the allowance leased from the store is nearly used up or nearly too old, and that there is more: PrepareAt, called
	// now, spares a later TryReserveAt the wait. Only with OK, and only by TryReserveAt.
	Low bool

	ticket ticket
}

// ticket is how a ledger knows a reservation of its own: a slot of a path, valid for one generation of the slot.
type ticket struct {
	path *path
	slot uint32
	gen  uint32
}
