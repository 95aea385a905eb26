package sender

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// lanes carries the order out on whole lanes.
func (o *order) lanes(ctx context.Context) error {
	found, err := o.s.dispatch.find(ctx)
	if err != nil {
		return err
	}
	keys := make([]queue.Lane, 0, len(found))
	for _, l := range found {
		keys = append(keys, l.Lane)
	}
	keys = append(keys, o.s.dispatch.leasing()...)
	keys = slices.DeleteFunc(unique(keys), func(key queue.Lane) bool { return !o.filter.hasLane(key) || o.leaves != nil && o.leaves(key) })
	if keys, err = o.ofProviders(ctx, keys); err != nil {
		return err
	}
	defer o.letGo(keys...)
	if err := o.stop(ctx, keys); err != nil {
		return err
	}
	err = each(ctx, keys, orderLanes, func(ctx context.Context, key queue.Lane) error {
		defer o.letGo(key)
		return o.lane(ctx, key)
	})
	if err != nil {
		return err
	}
	return o.countInFlight(ctx)
}

// lane carries the order out on what waits in a lane.
func (o *order) lane(ctx context.Context, key queue.Lane) error {
	for {
		if err := o.ended(ctx); err != nil {
			return err
		}
		got, err := o.s.cfg.Queue.Claim(ctx, queue.Claim{Lane: key, Early: true, MinAge: time.Since(o.before), Limit: orderBatch, LeaseFor: orderLease})
		if err != nil {
			return err
		}
		if err := o.deal(ctx, got.Deliveries); err != nil {
			return err
		}
		if !got.More || len(got.Deliveries) == 0 {
			return nil
		}
	}
}

// messages carries the order out on messages.
func (o *order) messages(ctx context.Context) error {
	var keys []queue.Lane
	for _, id := range o.filter.MessageIDs {
		ds, err := o.get(ctx, id)
		if err != nil {
			return err
		}
		for i := range ds {
			keys = append(keys, ds[i].Lane)
		}
		if len(keys) > 4*maxFilter {
			keys = unique(keys)
		}
	}
	keys, err := o.ofProviders(ctx, unique(keys))
	if err != nil {
		return err
	}
	defer o.letGo(keys...)
	if err := o.stop(ctx, keys); err != nil {
		return err
	}
	var ids []string
	for _, id := range o.filter.MessageIDs {
		ds, err := o.get(ctx, id)
		if err != nil {
			return err
		}
		for i := range ds {
			switch d := &ds[i]; {
			case !o.ofProvider(d.Lane):
			case d.State == queue.InFlight:
				o.result.InFlight++
			default:
				ids = append(ids, d.ID)
			}
		}
		for len(ids) >= orderBatch {
			if err := o.these(ctx, ids[:orderBatch]); err != nil {
				return err
			}
			ids = ids[orderBatch:]
		}
	}
	return o.these(ctx, ids)
}

// these carries the order out on deliveries that were waiting a moment ago.
func (o *order) these(ctx context.Context, ids []string) error {
	if err := o.ended(ctx); err != nil || len(ids) == 0 {
		return err
	}
	got, err := o.s.cfg.Queue.Claim(ctx, queue.Claim{IDs: ids, Limit: len(ids), LeaseFor: orderLease})
	if err != nil {
		return err
	}
	o.result.InFlight += len(ids) - len(got.Deliveries) // somebody was quicker
	return o.deal(ctx, got.Deliveries)
}

// get are the open deliveries of a message that are meant, but for their providers.
func (o *order) get(ctx context.Context, id string) ([]queue.Delivery, error) {
	if err := o.ended(ctx); err != nil {
		return nil, err
	}
	ds, err := o.s.cfg.Queue.Get(ctx, id)
	if errors.Is(err, queue.ErrNotFound) {
		return nil, nil
	}
	return slices.DeleteFunc(ds, func(d queue.Delivery) bool {
		return d.State.Final() || d.MessageID != id || d.Created.After(o.before) || !o.filter.hasLane(d.Lane) || o.leaves != nil && o.leaves(d.Lane)
	}), err
}

// ended is why the order is not carried on, or nil.
func (o *order) ended(ctx context.Context) error {
	if o.s.isStopping() {
		return ErrStopped
	}
	return ctx.Err()
}

// stop has the lanes stand still until they are let go, carries the order out on what is leased of them here, and waits until what was given back before is in
// the queue.
func (o *order) stop(ctx context.Context, keys []queue.Lane) error {
	o.standing = make(map[queue.Lane]bool, len(keys))
	for _, key := range keys {
		o.standing[key] = true
	}
	o.s.dispatch.order(keys)
	taken, err := o.take(ctx, keys)
	if err == nil {
		err = o.s.settler.flush(ctx)
	}
	if err != nil {
		return errors.Join(err, o.putBack(taken))
	}
	return o.dealAll(ctx, taken)
}

// letGo has lanes go on that stand still for the order.
func (o *order) letGo(keys ...queue.Lane) {
	for part := range slices.Chunk(keys, lookStep) {
		o.mu.Lock()
		part = slices.DeleteFunc(slices.Clone(part), func(key queue.Lane) bool { return !o.standing[key] })
		for _, key := range part {
			delete(o.standing, key)
		}
		o.mu.Unlock()
		o.s.dispatch.goOn(part)
	}
}

// take takes what the dispatcher has leased, not begun, and is meant.
func (o *order) take(ctx context.Context, keys []queue.Lane) (taken []queue.Delivery, err error) {
	d := o.s.dispatch
	meant := func(del *queue.Delivery) bool {
		if len(o.filter.MessageIDs) > 0 {
			if _, found := slices.BinarySearch(o.filter.MessageIDs, del.MessageID); !found {
				return false
			}
		}
		return !del.Created.After(o.before)
	}
	for left := keys; len(left) > 0; {
		var later []queue.Lane // what is being claimed for them is to come first
		for part := range slices.Chunk(left, lookStep) {
			d.mu.Lock()
			for _, key := range part {
				l := d.lanes[key]
				if l == nil {
					continue
				}
				if l.fetching {
					later = append(later, key)
					continue
				}
				rest := l.buf[:0]
				for i := range l.buf {
					if meant(&l.buf[i]) {
						taken = append(taken, l.buf[i])
					} else {
						rest = append(rest, l.buf[i])
					}
				}
				if len(rest) < len(l.buf) {
					clear(l.buf[len(rest):])
					l.buf = rest
					d.retain(l, nil, 0)
				}
			}
			d.mu.Unlock()
		}
		if left = later; len(left) == 0 {
			break
		}
		wait := time.NewTimer(orderPause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return taken, ctx.Err()
		case <-wait.C:
		}
	}
	return taken, nil
}

// putBack gives back what was taken and is not dealt with.
func (o *order) putBack(taken []queue.Delivery) error {
	var errs []error
	for part := range slices.Chunk(taken, orderBatch) {
		batch := make([]settled, len(part))
		for i := range part {
			batch[i] = settled{Settlement: release(&part[i]), lane: part[i].Lane}
		}
		_, err := o.write(batch)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// dealAll deals with any number of deliveries.
func (o *order) dealAll(ctx context.Context, ds []queue.Delivery) error {
	for len(ds) > 0 {
		if err := o.ended(ctx); err != nil {
			return errors.Join(err, o.putBack(ds))
		}
		n := min(orderBatch, len(ds))
		if err := o.deal(ctx, ds[:n]); err != nil {
			return errors.Join(err, o.putBack(ds[n:]))
		}
		ds = ds[n:]
	}
	return nil
}

// deal carries the order out on leased deliveries. What is leased is dealt with, also when ctx has ended meanwhile.
func (o *order) deal(ctx context.Context, ds []queue.Delivery) error {
	if len(ds) == 0 {
		return nil
	}
	batch := make([]settled, 0, len(ds))
	for i := range ds {
		switch del := &ds[i]; {
		case o.s.settler.unwritten(del): // what became of it is still to be written
		case del.Expired:
			batch = append(batch, o.s.settler.expired(*del))
		default:
			batch = append(batch, o.settle(del))
		}
	}
	done, err := o.write(batch)
	o.mu.Lock()
	o.result.Done += done
	o.mu.Unlock()
	if err == nil && o.s.isRunning() { // before Start nobody takes the events
		o.s.events.await()
	}
	return err
}

// write settles a batch and tells of it. It returns how many deliveries the order was carried out on.
func (o *order) write(batch []settled) (done int, err error) {
	s := o.s
	list := make([]queue.Settlement, len(batch))
	for i := range batch {
		list[i] = batch[i].Settlement
	}
	var lost []string
	for try := 1; ; try++ { // what an earlier try wrote is not written again
		limit, cancel := context.WithTimeout(context.Background(), settleTime)
		lost, err = s.cfg.Queue.Settle(limit, list)
		cancel()
		if err == nil {
			break
		}
		if try == orderTries {
			return 0, err
		}
		time.Sleep(time.Duration(try) * 100 * time.Millisecond)
	}
	running, now := s.isRunning(), time.Now()
	for i := range batch {
		b := &batch[i]
		if slices.Contains(lost, b.ID) {
			continue
		}
		if b.event.Type != EventExpired {
			done++
		}
		if b.State == queue.Waiting && running {
			s.dispatch.expect(b.lane, now.Add(b.After))
		}
		if b.event.Type != "" {
			s.arriving.wait(b.event.MessageID)
			s.stats.event(b.event)
			s.events.emit(b.event)
			s.waiters.tell(b.event)
		}
	}
	return done, nil
}

// ofProviders are the lanes that go to the filter's providers. Where that cannot be found out they are counted, and left out.
func (o *order) ofProviders(ctx context.Context, keys []queue.Lane) ([]queue.Lane, error) {
	if len(o.filter.Providers) == 0 {
		return keys, nil
	}
	err := each(ctx, keys, orderResolve, func(ctx context.Context, key queue.Lane) error {
		o.mu.Lock()
		_, known := o.providers[key.Domain]
		o.mu.Unlock()
		if known {
			return nil
		}
		provider, err := o.s.laneProvider(ctx, key)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if _, known := o.providers[key.Domain]; err != nil && !known {
			o.result.Unresolved++
			provider = ""
		}
		o.providers[key.Domain] = provider
		return nil
	})
	return slices.DeleteFunc(keys, func(key queue.Lane) bool { return !o.ofProvider(key) }), err
}

// ofProvider reports whether a lane goes to one of the filter's providers, as far as ofProviders has found out.
func (o *order) ofProvider(key queue.Lane) bool {
	return len(o.filter.Providers) == 0 || slices.Contains(o.filter.Providers, o.providers[key.Domain])
}

// countInFlight counts what was left alone.
func (o *order) countInFlight(ctx context.Context) error {
	lanes, err := o.s.cfg.Queue.Lanes(ctx)
	if err != nil {
		return err
	}
	for _, l := range lanes {
		if l.InFlight == 0 || !o.filter.hasLane(l.Lane) || o.leaves != nil && o.leaves(l.Lane) {
			continue
		}
		if len(o.filter.Providers) > 0 {
			if provider, err := o.s.laneProvider(ctx, l.Lane); err != nil || !slices.Contains(o.filter.Providers, provider) {
				continue
			}
		}
		o.result.InFlight += l.InFlight
	}
	return nil
}

// leasing are the lanes that have something leased here, and perhaps nothing in the queue.
func (d *dispatcher) leasing() (keys []queue.Lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, l := range d.lanes {
		if len(l.buf) > 0 || l.fetching {
			keys = append(keys, key)
		}
	}
	return keys
}

// order has lanes stand still for an order.
func (d *dispatcher) order(keys []queue.Lane) {
	for part := range slices.Chunk(keys, lookStep) {
		d.mu.Lock()
		if d.ordered == nil {
			d.ordered = map[queue.Lane]int{}
		}
		for _, key := range part {
			d.ordered[key]++
		}
		d.mu.Unlock()
	}
}

// goOn has lanes go on that stood still for an order.
func (d *dispatcher) goOn(keys []queue.Lane) {
	d.mu.Lock()
	defer d.unlock()
	for _, key := range keys {
		if d.ordered[key]--; d.ordered[key] == 0 {
			delete(d.ordered, key)
		}
		if l := d.lanes[key]; l != nil {
			d.advance(l, 0)
		}
	}
}

// unique are the lanes of a list, each once.
func unique(keys []queue.Lane) []queue.Lane {
	seen := make(map[queue.Lane]bool, len(keys))
	return slices.DeleteFunc(keys, func(key queue.Lane) bool {
		before := seen[key]
		seen[key] = true
		return before
	})
}

// each calls f for each lane, for at most n at a time, until one fails.
func each(ctx context.Context, keys []queue.Lane, n int, f func(ctx context.Context, key queue.Lane) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan queue.Lane)
	var wg sync.WaitGroup
	for range min(n, len(keys)) {
		wg.Go(func() {
			for key := range work {
				if ctx.Err() != nil {
					continue
				}
				if err := f(ctx, key); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, key := range keys {
		work <- key
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}
