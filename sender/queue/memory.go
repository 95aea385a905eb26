package queue

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"
)

// MemoryConfig configures a Memory queue.
type MemoryConfig struct {
	// MaxBytes bounds the bodies held. Put answers ErrFull above it. Defaults to 1 GiB.
	MaxBytes int64
	// KeepSettled is how many settled deliveries are remembered for Get and against duplicates, the latest ones.
	// Defaults to 10,000.
	KeepSettled int
}

// Memory is a queue in memory. It is safe for concurrent use and loses everything at exit.
type Memory struct {
	cfg MemoryConfig

	mu       sync.Mutex
	messages map[string]*memMessage
	records  map[string]*record
	lanes    map[Lane]*memLane
	leased   recordHeap // by due: leases that run out
	expiry   recordHeap // by expiry: every open record
	settled  []string   // IDs of settled deliveries, oldest first, from settledAt on
	lease    int64
	bytes    int64
	seq      int64
}

type memMessage struct {
	msg  *Message
	ids  []string // of its deliveries that are remembered
	open int
}

// record is a delivery with its places in the heaps: each open record stands in exactly one of its lane's two heaps or
// in leased, and in expiry.
type record struct {
	Delivery
	seq    int64
	held   int64         // the latest lease
	lapsed bool          // it ran out, and nobody else has had the delivery since
	slot   [numHeaps]int // index in the heap of that kind, or -1
	owner  *memLane
}

type memLane struct {
	waiting  recordHeap // not due yet when last looked at: by due
	ready    recordHeap // due: by priority, then age
	inFlight int
	ages     recordHeap // every open record: by creation
}

// NewMemory returns an empty queue, or names the field of cfg that is negative.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	if cfg.MaxBytes < 0 {
		return nil, fmt.Errorf("queue: MaxBytes: %d is negative", cfg.MaxBytes)
	}
	if cfg.KeepSettled < 0 {
		return nil, fmt.Errorf("queue: KeepSettled: %d is negative", cfg.KeepSettled)
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 1 << 30
	}
	if cfg.KeepSettled == 0 {
		cfg.KeepSettled = 10_000
	}
	return &Memory{
		cfg:      cfg,
		messages: map[string]*memMessage{},
		records:  map[string]*record{},
		lanes:    map[Lane]*memLane{},
		leased:   recordHeap{kind: heapLane, less: byDue},
		expiry:   recordHeap{kind: heapExpiry, less: byExpiry},
	}, nil
}

// Put implements sender.Queue.
func (q *Memory) Put(ctx context.Context, p Put) ([]int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, dup := q.messages[p.Message.ID]; dup {
		return nil, ErrDuplicate
	}
	size := int64(len(p.Message.Data))
	if q.bytes+size > q.cfg.MaxBytes {
		return nil, fmt.Errorf("%w: %d of %d bytes used", ErrFull, q.bytes, q.cfg.MaxBytes)
	}
	now := time.Now()
	msg := *p.Message
	msg.Created = now
	mm := &memMessage{msg: &msg, open: len(p.Deliveries), ids: make([]string, 0, len(p.Deliveries))}
	q.messages[msg.ID] = mm
	q.bytes += size
	leases := make([]int64, len(p.Deliveries))
	for i, d := range p.Deliveries {
		q.seq++
		r := &record{Delivery: d, seq: q.seq}
		for k := range r.slot {
			r.slot[k] = -1
		}
		r.State, r.Created, r.Due, r.Expires = Waiting, now, now, now.Add(p.ExpireAfter)
		r.Attempts, r.History, r.Lease = 0, nil, 0
		q.records[r.ID] = r
		mm.ids = append(mm.ids, r.ID)
		heap.Push(&q.expiry, r)
		q.join(r, d.Lane)
		if p.LeaseFor > 0 {
			q.take(r, now.Add(p.LeaseFor))
			leases[i] = r.Lease
		} else {
			heap.Push(&r.owner.waiting, r)
		}
	}
	return leases, nil
}

// Claim implements sender.Queue.
func (q *Memory) Claim(ctx context.Context, c Claim) (Claimed, error) {
	if err := ctx.Err(); err != nil {
		return Claimed{}, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.reclaim(now)
	until := now.Add(c.LeaseFor)
	var out Claimed
	if c.Expired {
		for len(out.Deliveries) < c.Limit && q.expiry.Len() > 0 && !q.expiry.items[0].Expires.After(now) {
			r := q.expiry.items[0]
			heap.Pop(&q.expiry) // leaves the heap for good: an expired delivery is settled, or found by its lease's end
			if r.State != Waiting {
				continue
			}
			q.unwait(r)
			q.take(r, until)
			out.Deliveries = append(out.Deliveries, r.claimed(now))
		}
		return out, nil
	}
	l := q.lanes[c.Lane]
	if l == nil {
		return out, nil
	}
	for l.waiting.Len() > 0 && !l.waiting.items[0].Due.After(now) {
		heap.Push(&l.ready, heap.Pop(&l.waiting))
	}
	for len(out.Deliveries) < c.Limit && l.ready.Len() > 0 {
		r := heap.Pop(&l.ready).(*record)
		q.take(r, until)
		out.Deliveries = append(out.Deliveries, r.claimed(now))
	}
	switch {
	case l.ready.Len() > 0:
		out.More = true
	case l.waiting.Len() > 0:
		out.More, out.Next = true, max(0, l.waiting.items[0].Due.Sub(now))
	}
	return out, nil
}

// Settle implements sender.Queue.
func (q *Memory) Settle(ctx context.Context, batch []Settlement) (lost []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for _, s := range batch {
		r := q.records[s.ID]
		if r != nil && r.lapsed && r.held == s.Lease { // late, but not too late
			q.unwait(r)
			q.hold(r, r.held, now)
		}
		if r == nil || r.State != InFlight || r.Lease != s.Lease {
			if r == nil || r.State != s.State || r.held != s.Lease { // else it was made already
				lost = append(lost, s.ID)
			}
			continue
		}
		if s.Began {
			r.Attempts++
		}
		if s.Record != nil {
			if len(r.History) == HistoryLimit {
				r.History = append(r.History[:0:0], r.History[1:]...)
			}
			r.History = append(r.History, *s.Record)
		}
		if s.State == InFlight {
			r.Due = now.Add(s.After)
			heap.Fix(&q.leased, r.slot[heapLane])
			continue
		}
		heap.Remove(&q.leased, r.slot[heapLane])
		r.owner.inFlight--
		r.Lease = 0
		r.State = s.State
		if s.State == Waiting {
			r.Due = now.Add(s.After)
			if r.Lane.Route != s.Route {
				q.leave(r)
				lane := r.Lane
				lane.Route = s.Route
				q.join(r, lane)
			}
			heap.Push(&r.owner.waiting, r)
			if r.slot[heapExpiry] < 0 {
				heap.Push(&q.expiry, r)
			}
			continue
		}
		q.finish(r)
	}
	return lost, nil
}

// Lanes implements sender.Queue.
func (q *Memory) Lanes(ctx context.Context) ([]LaneStatus, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.reclaim(now)
	out := make([]LaneStatus, 0, len(q.lanes))
	for lane, l := range q.lanes {
		out = append(out, l.status(lane, now))
	}
	return out, nil
}

// Get implements sender.Queue.
func (q *Memory) Get(ctx context.Context, id string) ([]Delivery, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reclaim(time.Now())
	if r := q.records[id]; r != nil {
		return []Delivery{r.copy()}, nil
	}
	mm := q.messages[id]
	if mm == nil {
		return nil, ErrNotFound
	}
	out := make([]Delivery, 0, len(mm.ids))
	for _, id := range mm.ids {
		out = append(out, q.records[id].copy())
	}
	return out, nil
}

// Message implements sender.Queue.
func (q *Memory) Message(ctx context.Context, id string) (*Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	mm := q.messages[id]
	if mm == nil || mm.open == 0 {
		return nil, ErrNotFound
	}
	return mm.msg, nil
}

func (r *record) copy() Delivery {
	d := r.Delivery
	d.History = append([]Attempt(nil), r.History...)
	return d
}

func (r *record) claimed(now time.Time) Delivery {
	d := r.copy()
	d.Expired = !r.Expires.After(now)
	return d
}

// take leases r, which stands in no heap of its lane.
func (q *Memory) take(r *record, until time.Time) {
	q.lease++
	q.hold(r, q.lease, until)
}

// hold puts r under a lease.
func (q *Memory) hold(r *record, lease int64, until time.Time) {
	r.Lease, r.State, r.Due = lease, InFlight, until
	r.held, r.lapsed = lease, false
	r.owner.inFlight++
	heap.Push(&q.leased, r)
}

// unwait takes a waiting record out of its lane's heap.
func (q *Memory) unwait(r *record) {
	l := r.owner
	i := r.slot[heapLane]
	if i < l.ready.Len() && l.ready.items[i] == r {
		heap.Remove(&l.ready, i)
		return
	}
	heap.Remove(&l.waiting, i)
}

// reclaim makes deliveries waiting whose lease ran out.
func (q *Memory) reclaim(now time.Time) {
	for q.leased.Len() > 0 && !q.leased.items[0].Due.After(now) {
		r := heap.Pop(&q.leased).(*record)
		r.owner.inFlight--
		r.State, r.Lease, r.lapsed = Waiting, 0, true
		heap.Push(&r.owner.waiting, r)
		if r.slot[heapExpiry] < 0 {
			heap.Push(&q.expiry, r)
		}
	}
}

func (q *Memory) join(r *record, lane Lane) {
	l := q.lanes[lane]
	if l == nil {
		l = &memLane{
			waiting: recordHeap{kind: heapLane, less: byDue},
			ready:   recordHeap{kind: heapLane, less: byRank},
			ages:    recordHeap{kind: heapAge, less: byAge},
		}
		q.lanes[lane] = l
	}
	r.Lane, r.owner = lane, l
	heap.Push(&l.ages, r)
}

func (q *Memory) leave(r *record) {
	heap.Remove(&r.owner.ages, r.slot[heapAge])
	if r.owner.ages.Len() == 0 {
		delete(q.lanes, r.Lane)
	}
	r.owner = nil
}

// finish keeps a settled record for Get and forgets the oldest of them.
func (q *Memory) finish(r *record) {
	q.leave(r)
	if i := r.slot[heapExpiry]; i >= 0 {
		heap.Remove(&q.expiry, i)
	}
	mm := q.messages[r.MessageID]
	if mm.open--; mm.open == 0 {
		q.bytes -= int64(len(mm.msg.Data))
		mm.msg = nil
	}
	q.settled = append(q.settled, r.ID)
	for len(q.settled) > q.cfg.KeepSettled {
		q.forget(q.settled[0])
		q.settled = q.settled[1:]
	}
}

func (q *Memory) forget(id string) {
	r := q.records[id]
	delete(q.records, id)
	mm := q.messages[r.MessageID]
	for i, other := range mm.ids {
		if other == id {
			mm.ids = append(mm.ids[:i], mm.ids[i+1:]...)
			break
		}
	}
	if len(mm.ids) == 0 {
		delete(q.messages, r.MessageID)
	}
}
