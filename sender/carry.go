package sender

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

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

// lane carries the order out on what waits in a lane. MinAge counts from when the queue looks, which is later than now: what came in between is held until the end, so that it is
// not found again, and goes back.
func (o *order) lane(ctx context.Context, key queue.Lane) (err error) {
	var young []queue.Delivery
	defer func() { err = errors.Join(err, o.putBack(young)) }()
	for {
		if err := o.ended(ctx); err != nil {
			return err
		}
		got, err := o.s.cfg.Queue.Claim(ctx, queue.Claim{Lane: key, Early: true, MinAge: time.Since(o.before), Limit: orderBatch, LeaseFor: orderLease})
		if err != nil {
			return err
		}
		meant := got.Deliveries[:0]
		for _, del := range got.Deliveries {
			if del.Created.After(o.before) {
				young = append(young, del)
			} else {
				meant = append(meant, del)
			}
		}
		if err := o.deal(ctx, meant); err != nil {
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
