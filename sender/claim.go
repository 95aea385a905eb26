package sender

import (
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// claim leases more deliveries of the lane. The mutex is held.
func (d *dispatcher) claim(l *lane) {
	if l.fetching || l.returning {
		return
	}
	chunk, news := l.chunk, l.news
	l.fetching = d.spawn(func() {
		defer d.takeTurn(l)
		d.claims <- struct{}{}
		got, err := d.s.cfg.Queue.Claim(d.ctx, queue.Claim{Lane: l.key, Limit: chunk, LeaseFor: leaseFor})
		<-d.claims
		now := time.Now()
		d.mu.Lock()
		defer d.unlock()
		l.fetching = false
		if err != nil {
			if d.ctx.Err() == nil {
				d.s.log.Error("queue does not give deliveries", "err", err)
			}
			l.due = now.Add(queueRetry)
			l.waits = []Wait{{Reason: WaitQueue, Until: l.due, Detail: err.Error()}}
			d.setEarlier(&l.alarm, l.due)
			return
		}
		l.claimed(&got, d.counts)
		before := l.due
		l.due = time.Time{}
		if l.news == news {
			l.best = minRank
		}
		if l.news != news { // said while the queue was being asked
			l.due = before
		}
		if got.More {
			if n := len(got.Deliveries); n > 0 { // the queue gives the best first
				l.best = max(l.best, got.Deliveries[n-1].Priority)
			}
			next := now.Add(got.Next)
			if len(got.Deliveries) == 0 && got.Next <= 0 { // others have them
				next = now.Add(tokenHold)
			}
			if l.due.IsZero() || next.Before(l.due) {
				l.due = next
			}
		}
		if len(got.Deliveries) == chunk {
			l.chunk = min(maxClaim, 2*chunk)
		} else {
			l.chunk = minClaim
		}
		for _, del := range got.Deliveries {
			del.Due = now.Add(leaseFor) // by our clock
			if d.s.settler.unwritten(&del) {
				continue
			}
			if d.stopping {
				d.late = append(d.late, release(&del))
				continue
			}
			if del.Expired {
				d.outbox = append(d.outbox, d.s.settler.expired(del))
				continue
			}
			l.insert(del)
		}
		d.rerank(l)
		if l.turn == nil {
			d.advance(l, 0)
		}
	})
}

// takeTurn lets a lane have the turn that was kept for it while it claimed, and the line go on.
func (d *dispatcher) takeTurn(l *lane) {
	d.mu.Lock()
	defer d.unlock()
	p := l.turn
	if p == nil {
		return
	}
	l.turn = nil
	p.claiming--
	d.served = p
	p.full = false
	if began := d.advance(l, 1); !began && p.full && p.busy.has(l) { // others were quicker
		p.busy.putBack(l)
	}
	d.served = nil
	d.serve(p, "")
}
