package sender

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

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
		var later []queue.Lane // what is being claimed for them, or given back, is to come first
		for part := range slices.Chunk(left, lookStep) {
			d.mu.Lock()
			for _, key := range part {
				l := d.lanes[key]
				if l == nil {
					continue
				}
				if l.fetching || l.returning {
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

// leasing are the lanes that have something leased here, and perhaps nothing in the queue.
func (d *dispatcher) leasing() (keys []queue.Lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, l := range d.lanes {
		if len(l.buf) > 0 || l.fetching || l.returning {
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
