package sender

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/queue"
)

// MoveTo is where Move takes mail.
type MoveTo struct {
	// Pool is the name of the pool. Required. That of the mail's own stream undoes an earlier Move.
	Pool string
	// Now has mail that waits for its next try be tried at once. Defaults to false: it is tried when it would have been.
	Now bool
}

// Move has waiting mail use the routes of another pool in the place of its stream's, for this and all further tries, until it is delivered or given up. What must be
// tried again over a route (greylisting) is bound to it still if the pool has that route, and to none otherwise. It takes part in no migrations. Its stream's
// signer, gates, weight and deadline stay, and so does its history: what a route of the pool has refused for good, it refuses still. Mail that is in the pool
// already is left as it is. When the pool is taken out of the configuration, the mail takes the routes of its stream again.
//
// Like Bounce and Cancel it takes the deliveries out of the queue by leases, some hundred at a time, and settles them, so that each is dealt with once, however many processes share the queue.
// What this process has leased and not begun is among them. Left alone, and counted apart in the Result, is what is being attempted, and what another process
// has leased: at most some hundred deliveries of a lane, for some minutes. Meanwhile nothing of the lanes in question is begun here. ctx ends it between two steps; the Result says
// how much was done, and the rest waits as before. Should the process die, no delivery is lost and none is dealt with twice; those that it had just taken, a few hundred, are due at once then.
//
// EventOperation tells of it at its end. Errors are *OperationError (nothing was done), ErrStopped, and those of ctx and the queue. It may be called before Start; an Observer calls it from a
// goroutine of its own, or both would wait for each other.
func (s *Sender) Move(ctx context.Context, f Filter, to MoveTo, by Act) (Result, error) {
	pool := s.pools[to.Pool]
	if pool == nil {
		return Result{}, badOrder("MoveTo.Pool", "there is no pool %q", to.Pool)
	}
	target := func(key queue.Lane) string {
		route, _, warmOnly := splitLaneRoute(key.Route)
		if r := s.routes[route]; r == nil || !pool.has(r) {
			route = ""
		}
		mark := to.Pool
		if s.stream(key.Stream).Pool == mark {
			mark = ""
		}
		return laneRoute(route, mark, warmOnly)
	}
	o := &order{verb: VerbMove, pool: to.Pool, filter: f, by: by}
	o.leaves = func(key queue.Lane) bool { return target(key) == key.Route }
	o.settle = func(del *queue.Delivery) settled {
		b := settled{Settlement: release(del), lane: del.Lane}
		b.Settlement.Route = target(del.Lane)
		b.lane.Route = b.Settlement.Route
		if to.Now {
			b.After = 0
		}
		return b
	}
	return s.carryOut(ctx, o)
}

// Bounce gives waiting mail up as bounced: Explain, EventBounced and Send tell the operator's reason, as a reply of our own with the status 5.7.0. It is nobody's fault: no address is
// suppressed for it, and neither warm-up nor throttle nor a migration learn from it. In all else it is like Move.
func (s *Sender) Bounce(ctx context.Context, f Filter, by Act) (Result, error) {
	o := &order{verb: VerbBounce, filter: f, by: by}
	reply := bounce.Reply{
		Status: bounce.Status{Class: 5, Subject: 7}, Local: true, Lines: []string{"given up by an operator: " + by.Reason},
	}
	verdict := bounce.Verdict{
		Category: bounce.Other, Scope: bounce.ScopeMessage, Permanent: true, Rule: "operator", Remedy: "An operator gave the mail up; the reason is in the reply.",
	}
	o.settle = func(del *queue.Delivery) settled {
		e := o.event(EventBounced, del)
		e.Reply, e.Verdict = reply, verdict
		return settled{
			Settlement: queue.Settlement{ID: del.ID, Lease: del.Lease, State: queue.Bounced, Record: &queue.Attempt{At: e.Time, Reply: reply, Verdict: verdict}},
			event:      e,
		}
	}
	return s.carryOut(ctx, o)
}

// Cancel withdraws waiting mail: its final state is cancelled, and EventCancelled and Send tell the reason. In all else it is like Bounce.
func (s *Sender) Cancel(ctx context.Context, f Filter, by Act) (Result, error) {
	o := &order{verb: VerbCancel, filter: f, by: by}
	o.settle = func(del *queue.Delivery) settled {
		return settled{Settlement: queue.Settlement{ID: del.ID, Lease: del.Lease, State: queue.Cancelled}, event: o.event(EventCancelled, del)}
	}
	return s.carryOut(ctx, o)
}

// The bounds of carrying out an order.
const (
	orderBatch   = 256             // deliveries at a time
	orderLanes   = 16              // lanes at a time
	orderLease   = 2 * time.Minute // longer than the settling takes, with its repetitions
	orderTries   = 3               // of a settlement
	orderPause   = 5 * time.Millisecond
	orderResolve = 32 // look-ups at a time
)

// order is one that is being carried out on waiting mail.
type order struct {
	s      *Sender
	verb   Verb
	pool   string
	filter Filter
	by     Act
	before time.Time                         // what was accepted later is not meant
	leaves func(queue.Lane) bool             // lanes whose mail is to stay as it is; nil: none
	settle func(del *queue.Delivery) settled // what becomes of a delivery

	mu        sync.Mutex
	result    Result
	providers map[string]string   // of destinations; empty: it could not be found out
	standing  map[queue.Lane]bool // lanes that stand still for it
}

// event is the event of a delivery that the order is carried out on.
func (o *order) event(t EventType, del *queue.Delivery) Event {
	e := o.s.settler.event(t, del)
	e.Actor, e.Reason = o.by.Actor, o.by.Reason
	return e
}

// carryOut carries an order out, and tells of it.
func (s *Sender) carryOut(ctx context.Context, o *order) (Result, error) {
	if err := o.filter.check(); err != nil {
		return Result{}, err
	}
	if err := o.by.check(); err != nil {
		return Result{}, err
	}
	if !s.enter() {
		return Result{}, ErrStopped
	}
	defer s.calls.Done()
	if err := s.checkNames(ctx, &o.filter); err != nil {
		return Result{}, err
	}
	o.s, o.before, o.providers = s, time.Now(), map[string]string{}
	if c := o.filter.CreatedBefore; !c.IsZero() && c.Before(o.before) {
		o.before = c
	}
	err := s.settler.flush(ctx) // what a hold has just given back is found in the queue
	switch {
	case err != nil:
	case len(o.filter.MessageIDs) > 0:
		err = o.messages(ctx)
	default:
		err = o.lanes(ctx)
	}
	op := &Operation{Verb: o.verb, Filter: &o.filter, Pool: o.pool, Result: o.result}
	if err != nil {
		op.Broken = err.Error()
		if !errors.Is(err, ctx.Err()) && !errors.Is(err, ErrStopped) {
			err = fmt.Errorf("sender: %s: %w", o.verb, err)
		}
	}
	s.log.Info("operator's order", "verb", o.verb, "done", o.result.Done, "in flight", o.result.InFlight, "actor", o.by.Actor, "reason", o.by.Reason, "err", err)
	s.events.emit(Event{Type: EventOperation, Time: time.Now(), Actor: o.by.Actor, Reason: o.by.Reason, Operation: op})
	return o.result, err
}
