package sender

import (
	"context"
	"slices"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// keepHouse looks and tidies by the clock until live ends. It talks to the queue, which may be slow; so it has a
// goroutine of its own.
func (d *dispatcher) keepHouse(live context.Context) {
	defer d.wg.Done()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	looks := 1
	if _, tells := d.s.cfg.Queue.(Watcher); tells {
		looks = int(findEvery / lookEvery)
	}
	for n := 0; ; n++ {
		ctx, cancel := context.WithTimeout(d.ctx, houseTime)
		if n%looks == 0 {
			d.look(ctx)
		}
		if n%int(tidyEvery/lookEvery) == 0 {
			d.tidy(ctx)
			d.expire(ctx)
		}
		cancel()
		select {
		case <-live.Done():
			return
		case <-ticker.C:
		}
	}
}

// look asks the queue which lanes hold mail.
func (d *dispatcher) look(ctx context.Context) {
	lanes, err := d.find(ctx)
	if err != nil {
		if d.ctx.Err() == nil {
			d.s.log.Error("queue does not list its lanes", "err", err)
		}
		return
	}
	now := time.Now()
	for part := range slices.Chunk(lanes, lookStep) { // the others want the mutex too
		d.mu.Lock()
		for _, l := range part {
			d.expectLocked(l.Lane, now.Add(l.Next))
		}
		d.unlock()
	}
}

// lookStep is how many lanes are looked at in one go.
const lookStep = 256

func (d *dispatcher) find(ctx context.Context) ([]queue.LaneDue, error) {
	if f, ok := d.s.cfg.Queue.(LaneFinder); ok {
		return f.Due(ctx)
	}
	lanes, err := d.s.cfg.Queue.Lanes(ctx)
	due := make([]queue.LaneDue, 0, len(lanes))
	for _, l := range lanes {
		if l.Waiting > 0 {
			due = append(due, queue.LaneDue{Lane: l.Lane, Next: l.Next})
		}
	}
	return due, err
}

// watch hears of mail that came into the queue without this Sender, until ctx ends.
func (d *dispatcher) watch(ctx context.Context, w Watcher) {
	for ctx.Err() == nil {
		err := w.Watch(ctx, func(n queue.News) { d.hear(n) })
		if ctx.Err() == nil {
			d.s.log.Error("queue does not tell its news", "err", err)
		}
		wait := time.NewTimer(queueRetry)
		select {
		case <-ctx.Done():
		case <-wait.C:
		}
		wait.Stop()
	}
}

// hear takes note of news.
func (d *dispatcher) hear(n queue.News) {
	now := time.Now()
	for i := range n.Accepted {
		d.s.tellAccepted(&n.Accepted[i], now)
	}
	d.mu.Lock()
	defer d.unlock()
	for i := range n.Accepted {
		l := d.lane(n.Accepted[i].Lane)
		if n.Accepted[i].Priority > l.best {
			l.best = n.Accepted[i].Priority
			d.rerank(l)
		}
		l.hold(1, d.counts)
		d.expectLocked(n.Accepted[i].Lane, now)
	}
	for _, l := range n.Lanes {
		d.expectLocked(l, now)
	}
}

// tidy gives back leases that would run out before their deliveries are sent, renews those of running attempts and of what is kept, and
// settles what expired.
func (d *dispatcher) tidy(ctx context.Context) {
	var batch []queue.Settlement
	var back []queue.Lane
	now := time.Now()
	d.mu.Lock()
	for key, l := range d.lanes {
		keep, given := l.buf[:0], false
		for i, del := range l.buf {
			switch {
			case !del.Expires.After(now):
				d.outbox = append(d.outbox, d.s.settler.expired(del))
			case del.Due.Sub(now) < leaseFor/3 && i < l.kept && del.Due.Sub(now) > tidyEvery: // else it was tried in vain for minutes
				batch = append(batch, queue.Settlement{ID: del.ID, Lease: del.Lease, State: queue.InFlight, After: leaseFor})
				keep = append(keep, del)
			case del.Due.Sub(now) < leaseFor/3 || given: // what is behind goes back too, or it would overtake
				given = true
				batch = append(batch, release(&del))
				l.best = max(l.best, del.Priority)
				l.hold(1, d.counts)
			default:
				keep = append(keep, del)
			}
		}
		d.retain(l, l.keptOn, min(l.kept, len(keep)))
		if len(keep) < len(l.buf) {
			clear(l.buf[len(keep):])
			back = append(back, key)
			l.returning = true
		}
		if l.buf = keep; len(keep) == 0 {
			l.buf = nil
		}
	}
	for a := range d.running {
		for i := range a.group {
			if del := &a.group[i]; a.leasedUntil(del).Sub(now) < leaseFor/3 {
				batch = append(batch, queue.Settlement{ID: del.ID, Lease: del.Lease, State: queue.InFlight, After: leaseFor})
			}
		}
	}
	d.unlock()
	renewed := map[int64]bool{} // else it is tried again the next time
	if len(batch) > 0 {
		_, err := d.s.cfg.Queue.Settle(ctx, batch)
		if err != nil {
			d.s.log.Error("queue does not renew or take back leases", "err", err)
		}
		for _, b := range batch {
			if b.State == queue.InFlight {
				renewed[b.Lease] = err == nil
			}
		}
	}
	d.mu.Lock()
	for _, l := range d.lanes {
		for i := range l.buf[:min(l.kept, len(l.buf))] {
			if del := &l.buf[i]; renewed[del.Lease] && del.Due.Sub(now) < leaseFor/3 {
				del.Due = now.Add(leaseFor)
			}
		}
	}
	for a := range d.running {
		all := true
		for i := range a.group {
			all = all && renewed[a.group[i].Lease]
		}
		if all {
			a.renewed = now.Add(leaseFor)
		}
	}
	for _, p := range d.paths { // a line for a budget, or one that nothing is kept for any more
		d.forget(p)
	}
	for _, key := range back {
		// Its wait goes on; when that ends, the lane claims anew.
		d.lane(key).returning = false
		d.expectLocked(key, now)
	}
	d.unlock()
}

// expire settles deliveries whose time ran out, wherever they wait.
func (d *dispatcher) expire(ctx context.Context) {
	for {
		got, err := d.s.cfg.Queue.Claim(ctx, queue.Claim{Expired: true, Limit: 256, LeaseFor: leaseFor})
		if err != nil {
			if d.ctx.Err() == nil {
				d.s.log.Error("queue does not give expired deliveries", "err", err)
			}
			return
		}
		for _, del := range got.Deliveries {
			if !d.s.settler.unwritten(&del) {
				d.s.settler.put(d.s.settler.expired(del))
			}
		}
		if len(got.Deliveries) < 256 {
			return
		}
	}
}

// release is the settlement that puts a leased delivery back as it was.
func release(del *queue.Delivery) queue.Settlement {
	return queue.Settlement{ID: del.ID, Lease: del.Lease, State: queue.Waiting, After: del.Early, Route: del.Lane.Route}
}
