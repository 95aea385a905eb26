package pgqueue_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// renewer is a queue whose leases are short, and renewed all the time while they are held.
type renewer struct {
	*sqlqueue.Queue
	lease time.Duration

	mu   sync.Mutex
	held map[string]int64 // the lease of each delivery
}

func newRenewer(q *sqlqueue.Queue, lease time.Duration) *renewer {
	r := &renewer{Queue: q, lease: lease, held: map[string]int64{}}
	go func() {
		for range time.Tick(lease / 8) { // for as long as the process lasts
			r.renew()
		}
	}()
	return r
}

func (r *renewer) renew() {
	var batch []queue.Settlement
	r.mu.Lock()
	for id, lease := range r.held {
		batch = append(batch, queue.Settlement{ID: id, Lease: lease, State: queue.InFlight, After: r.lease})
	}
	r.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	if _, err := r.Queue.Settle(context.Background(), batch); err != nil && err != queue.ErrClosed {
		fmt.Fprintln(os.Stderr, "renew:", err)
	}
}

func (r *renewer) hold(id string, lease int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[id] = lease
}

// Put implements sender.Queue.
func (r *renewer) Put(ctx context.Context, p queue.Put) ([]int64, error) {
	if p.LeaseFor > 0 {
		p.LeaseFor = r.lease
	}
	leases, err := r.Queue.Put(ctx, p)
	for i, lease := range leases {
		if lease != 0 {
			r.hold(p.Deliveries[i].ID, lease)
		}
	}
	return leases, err
}

// Claim implements sender.Queue.
func (r *renewer) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	c.LeaseFor = r.lease
	got, err := r.Queue.Claim(ctx, c)
	for _, d := range got.Deliveries {
		r.hold(d.ID, d.Lease)
	}
	return got, err
}

// Settle implements sender.Queue.
func (r *renewer) Settle(ctx context.Context, batch []queue.Settlement) ([]string, error) {
	lost, err := r.Queue.Settle(ctx, batch)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range batch {
		if err == nil && s.State != queue.InFlight && r.held[s.ID] == s.Lease {
			delete(r.held, s.ID)
		}
	}
	return lost, err
}
