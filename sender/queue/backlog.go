package queue

import (
	"context"
	"time"
)

// Backlog implements sender.BacklogCounter.
func (q *Memory) Backlog(ctx context.Context, older ...time.Duration) ([]LaneBacklog, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.reclaim(now)
	out := make([]LaneBacklog, 0, len(q.lanes))
	for lane, l := range q.lanes {
		b := LaneBacklog{LaneStatus: l.status(lane, now), Older: make([]int, len(older))}
		b.Due = l.ready.Len() + l.waiting.count(0, func(r *record) bool { return !r.Due.After(now) })
		for i, age := range older {
			b.Older[i] = l.ages.count(0, func(r *record) bool { return now.Sub(r.Created) > age })
		}
		out = append(out, b)
	}
	return out, nil
}

// status tells about a lane.
func (l *memLane) status(lane Lane, now time.Time) LaneStatus {
	s := LaneStatus{Lane: lane, Waiting: l.waiting.Len() + l.ready.Len(), InFlight: l.inFlight, Oldest: l.ages.items[0].Created}
	if l.ready.Len() == 0 && l.waiting.Len() > 0 {
		s.Next = max(0, l.waiting.items[0].Due.Sub(now))
	}
	return s
}

// count counts the records from a place of the heap downwards that something is true of. It is true of none behind one of which it is not. So it looks at hardly more than it counts.
func (h *recordHeap) count(at int, is func(*record) bool) int {
	if at >= len(h.items) || !is(h.items[at]) {
		return 0
	}
	return 1 + h.count(2*at+1, is) + h.count(2*at+2, is)
}
