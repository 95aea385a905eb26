package sender

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNotSuspended: what is to be resumed is not suspended.
var ErrNotSuspended = errors.New("sender: not suspended")

// Suspend makes mail stand still by an operator's order, until Resume or until h.Until. Nothing new is begun on the target; attempts in flight end as
// they may. To suspend a target again replaces the order.
//
// A stream, a destination or a provider that is suspended waits: it holds no leases, nobody looks into its lanes, and it expires as it would otherwise. A route or
// path that is suspended is closed like one that a receiver has closed by a block: mail takes the next route of its pool, or one for overflow, and waits where there
// is none; its idle sessions are closed. Mail that is to be tried again over that route (greylisting) waits for it, for a quarter of an hour at most: if it is suspended for longer than that, or nobody knows for how long, it takes another one of
// the pool, and waits where there is none; a Move with the Filter of its stream, provider or destination takes it elsewhere.
//
// With h.Drain no new delivery begins on the route or path, and what must be tried again over it goes on over it. Once nothing is left that waits for the route or
// is being sent over it, EventDrained tells so, and the route stays closed to new mail until Resume. Which attempts other processes began before they heard of the order cannot be
// seen from here: where the queue is shared, it is told a minute after the order at the earliest, and an attempt that takes longer may leave one more retry.
//
// Explain gives the reason WaitSuspended. The order is kept in the queue's store if it has one (an OperatorStorer): it survives restarts, and all Senders
// on one database obey it, within 15 seconds. Otherwise it lives as long as the Sender. If the store fails, Suspend returns its error, and the order holds in
// this process all the same: it is given to the store again every 15 seconds, and Holds shows it as Unsaved. Errors are *OperationError (nothing was done), ErrStopped,
// and those of the store and ctx. It may be called before Start; an Observer
// calls it from a goroutine of its own.
func (s *Sender) Suspend(ctx context.Context, h Hold) error {
	now := time.Now()
	if err := s.checkHold(&h, now); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.enter() {
		return ErrStopped
	}
	defer s.calls.Done()
	h.Since, h.Drained, h.Unsaved = now, time.Time{}, s.holds.store != nil
	one := s.holds.put(h)
	s.dispatch.review()
	err := s.holds.save(ctx, one)
	if err == nil {
		h.Unsaved = false
	}
	s.tellHold(VerbSuspend, h, h.Act)
	if err != nil {
		return fmt.Errorf("sender: %s is suspended by this process only: %w", h.Target, err)
	}
	return nil
}

// Resume ends what Suspend has begun: waiting mail goes on at once, that of other processes within 15 seconds. Deliveries that could take the suspended route only, while others of
// their lane took another, may be looked at up to a quarter of an hour later. ErrNotSuspended says that there is nothing to end. If
// the store fails, its error is returned and the target stays suspended. Other errors are those of Suspend.
func (s *Sender) Resume(ctx context.Context, t Target, by Act) error {
	if err := s.checkTarget(&t); err != nil {
		return err
	}
	if err := by.check(); err != nil {
		return err
	}
	if !s.enter() {
		return ErrStopped
	}
	defer s.calls.Done()
	ended, err := s.holds.remove(ctx, t.String(), func(*Hold) bool { return true })
	if err != nil {
		return fmt.Errorf("sender: %s stays suspended: %w", t, err)
	}
	s.dispatch.review()
	if ended == nil {
		return fmt.Errorf("%w: %s", ErrNotSuspended, t)
	}
	ended.Target = t // also where the record could not be read
	s.tellHold(VerbResume, *ended, by)
	return nil
}

// Holds are all orders in force, those of other processes among them, by target. If the store fails, they are those that this process knows, with the store's error.
func (s *Sender) Holds(ctx context.Context) ([]Hold, error) {
	changed, err := s.holds.refresh(ctx)
	if changed && s.enter() {
		s.dispatch.review()
		s.calls.Done()
	}
	return s.holds.list(time.Now()), err
}

// tellHold tells of an order about a hold.
func (s *Sender) tellHold(v Verb, h Hold, by Act) {
	s.log.Info("operator's order", "verb", v, "target", h.Target.String(), "drain", h.Drain, "actor", by.Actor, "reason", by.Reason)
	s.events.emit(Event{
		Type: EventOperation, Time: time.Now(), Actor: by.Actor, Reason: by.Reason, Operation: &Operation{Verb: v, Hold: &h},
		Stream: h.Stream, Domain: h.Destination, Path: Path{Route: h.Route, Provider: h.Provider},
	})
}
