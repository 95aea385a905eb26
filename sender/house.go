package sender

import (
	"context"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// keepHouse looks and tidies by the clock until stop is closed. It talks to the queue, which may be slow; so it has a
// goroutine of its own.
func (d *dispatcher) keepHouse(stop <-chan struct{}) {
	defer d.wg.Done()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for n := 0; ; n++ {
		ctx, cancel := context.WithTimeout(d.ctx, houseTime)
		d.look(ctx)
		if n%int(tidyEvery/lookEvery) == 0 {
			d.tidy(ctx)
			d.expire(ctx)
		}
		cancel()
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
	}
}

// look asks the queue which lanes hold mail.
func (d *dispatcher) look(ctx context.Context) {
	lanes, err := d.s.cfg.Queue.Lanes(ctx)
	if err != nil {
		if d.ctx.Err() == nil {
			d.s.log.Error("queue does not list its lanes", "err", err)
		}
		return
	}
	now := time.Now()
	d.mu.Lock()
	defer d.unlock()
	for _, s := range lanes {
		if s.Waiting > 0 {
			d.expectLocked(s.Lane, now.Add(s.Next))
		}
	}
}

// tidy gives back leases that would run out before their deliveries are sent, renews those of running attempts, and
// settles what expired.
func (d *dispatcher) tidy(ctx context.Context) {
	var batch []queue.Settlement
	var back []queue.Lane
	now := time.Now()
	d.mu.Lock()
	for key, l := range d.lanes {
		keep := l.buf[:0]
		for _, del := range l.buf {
			switch {
			case !del.Expires.After(now):
				d.outbox = append(d.outbox, d.s.settler.expired(del))
			case del.Due.Sub(now) < leaseFor/3:
				batch = append(batch, release(&del))
			default:
				keep = append(keep, del)
			}
		}
		if len(keep) < len(l.buf) {
			clear(l.buf[len(keep):])
			back = append(back, key)
		}
		if l.buf = keep; len(keep) == 0 {
			l.buf = nil
		}
	}
	for a := range d.running {
		for i := range a.group {
			if del := &a.group[i]; del.Due.Sub(now) < leaseFor/3 {
				del.Due = now.Add(leaseFor)
				batch = append(batch, queue.Settlement{ID: del.ID, Lease: del.Lease, State: queue.InFlight, After: leaseFor})
			}
		}
	}
	d.unlock()
	if len(batch) > 0 {
		if _, err := d.s.cfg.Queue.Settle(ctx, batch); err != nil {
			d.s.log.Error("queue does not renew or take back leases", "err", err)
		}
	}
	d.mu.Lock()
	for _, key := range back {
		// Its wait goes on; when that ends, the lane claims anew.
		d.lane(key).expects(now)
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
	return queue.Settlement{ID: del.ID, Lease: del.Lease, State: queue.Waiting, Route: del.Lane.Route}
}
