package sender

import (
	"context"
	"time"

	"github.com/reputemail/repute/warmup"
)

// sharedLedger is the warm-up ledger by the clock of the queue: processes that share a ledger through its store must agree on the time, and
// their own clocks may not.
type sharedLedger struct {
	ledger *warmup.Ledger
	clock  Clock
}

// shared is a time of this process as one of the queue.
func (s sharedLedger) shared(now time.Time) time.Time { return s.clock.SharedTime(now) }

// own is a refusal by the queue's clock as one by this process's.
func (s sharedLedger) own(r warmup.Reservation) warmup.Reservation {
	if !r.Until.IsZero() {
		r.Until = s.clock.OwnTime(r.Until)
	}
	return r
}

// ReserveAt implements Pacer.
func (s sharedLedger) ReserveAt(now time.Time, p warmup.Path, n int) warmup.Reservation {
	return s.own(s.ledger.ReserveAt(s.shared(now), p, n))
}

// TryReserveAt implements PacerPreparer.
func (s sharedLedger) TryReserveAt(now time.Time, p warmup.Path, n int) (warmup.Reservation, bool) {
	r, ready := s.ledger.TryReserveAt(s.shared(now), p, n)
	return s.own(r), ready
}

// PrepareAt implements PacerPreparer.
func (s sharedLedger) PrepareAt(ctx context.Context, now time.Time, p warmup.Path, n int) {
	s.ledger.PrepareAt(ctx, s.shared(now), p, n)
}

// RoomWithinAt implements PacerForecaster.
func (s sharedLedger) RoomWithinAt(now time.Time, p warmup.Path, within time.Duration) int {
	return s.ledger.RoomWithinAt(s.shared(now), p, within)
}

// RoomAt implements PacerRoom.
func (s sharedLedger) RoomAt(now time.Time, p warmup.Path) warmup.Room {
	r := s.ledger.RoomAt(s.shared(now), p)
	if !r.Until.IsZero() {
		r.Until = s.clock.OwnTime(r.Until)
	}
	return r
}

// CommitPartAt implements PacerSplitter.
func (s sharedLedger) CommitPartAt(now time.Time, r warmup.Reservation, n int) {
	s.ledger.CommitPartAt(s.shared(now), r, n)
}

// CommitAt implements Pacer.
func (s sharedLedger) CommitAt(now time.Time, r warmup.Reservation) {
	s.ledger.CommitAt(s.shared(now), r)
}

// CancelAt implements Pacer.
func (s sharedLedger) CancelAt(now time.Time, r warmup.Reservation) {
	s.ledger.CancelAt(s.shared(now), r)
}

// ObserveAt implements PacerObserver.
func (s sharedLedger) ObserveAt(now time.Time, p warmup.Path, o warmup.Outcome, n int) {
	s.ledger.ObserveAt(s.shared(now), p, o, n)
}
