package sender

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// hold notes that the queue holds n deliveries more of a lane that are due. counts is how often the queue was counted so far.
func (l *lane) hold(n, counts int) {
	if l.counted != counts {
		l.counted, l.changed, l.taken = counts, 0, 0
	}
	l.changed += n
	l.queued = max(0, l.queued+n)
}

// claimed notes what a claim took and told.
func (l *lane) claimed(got *queue.Claimed, counts int) {
	n := len(got.Deliveries)
	if l.seen { // by the first count, or not
		n, l.seen = n/2, false
	}
	l.hold(-n, counts)
	l.taken += n
	switch {
	case !got.More, got.Next > 0: // the rest is not due, or there is none
		l.hold(-l.queued, counts)
	default:
		l.hold(max(0, 1-l.queued), counts)
	}
}

// place is about how many deliveries of a lane go before one of them: exactly among those that are leased to us; of the others by when they were accepted, as if they had come evenly.
func (l *lane) place(del *queue.Delivery, now time.Time) int {
	if l == nil {
		return 0
	}
	for i := range l.buf {
		if l.buf[i].ID == del.ID {
			return i
		}
	}
	if del.State == queue.Waiting && del.Due.After(now) { // what is before it now is gone by then
		return 0
	}
	rest := max(0, l.queued-1)
	if len(l.buf) == 0 || rest == 0 || del.Priority > l.buf[len(l.buf)-1].Priority {
		return len(l.buf) + rest
	}
	from := l.buf[len(l.buf)-1].Created
	if all := now.Sub(from); all > 0 && del.Created.After(from) {
		rest = int(float64(rest) * min(1, del.Created.Sub(from).Seconds()/all.Seconds()))
	}
	return len(l.buf) + rest
}

// census is the latest count of what the queue holds, which all who need one share.
type census struct {
	slot  chan struct{} // held by who counts; made by newCensus
	lanes []queue.LaneBacklog
	at    time.Time     // when it was asked for
	took  time.Duration // by the queue
}

func newCensus() census { return census{slot: make(chan struct{}, 1)} }

// How often the queue is counted.
const (
	countEvery = time.Minute     // without anybody asking, for what other processes do
	countShare = 50              // times what a count took, the next one comes later: it costs a fiftieth of the queue's time at most
	countOld   = 5 * time.Minute // and no count is older than that
)

// The ages that Stats tells of.
const (
	oldBacklog     = 4 * time.Hour
	veryOldBacklog = 12 * time.Hour
)

// count is what the queue holds, as of the time that it returns: the latest count, or a new one when that is too old.
func (s *Sender) count(ctx context.Context) ([]queue.LaneBacklog, time.Time, error) {
	c := &s.census
	if err := ctx.Err(); err != nil {
		return nil, time.Time{}, err
	}
	select {
	case c.slot <- struct{}{}:
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
	defer func() { <-c.slot }()
	began := time.Now()
	if !s.isStopping() && !c.at.IsZero() && began.Sub(c.at) < min(countOld, countShare*c.took) {
		return c.lanes, c.at, nil
	}
	s.dispatch.mu.Lock()
	s.dispatch.counts++
	counts := s.dispatch.counts
	s.dispatch.mu.Unlock()
	lanes, err := s.backlog(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	c.lanes, c.at, c.took = lanes, began, time.Since(began)
	s.dispatch.counted(lanes, counts)
	return lanes, began, nil
}

// backlog counts what the queue holds.
func (s *Sender) backlog(ctx context.Context) ([]queue.LaneBacklog, error) {
	if q, ok := s.cfg.Queue.(BacklogCounter); ok {
		return q.Backlog(ctx, oldBacklog, veryOldBacklog)
	}
	status, err := s.cfg.Queue.Lanes(ctx)
	if err != nil {
		return nil, err
	}
	lanes, now := make([]queue.LaneBacklog, len(status)), time.Now()
	for i, l := range status {
		b := queue.LaneBacklog{LaneStatus: l, Older: make([]int, 2)}
		if l.Next <= 0 {
			b.Due = l.Waiting
		}
		for k, age := range [...]time.Duration{oldBacklog, veryOldBacklog} {
			if now.Sub(l.Oldest) > age {
				b.Older[k] = 1
			}
		}
		lanes[i] = b
	}
	return lanes, nil
}

// recount takes a count of what the queue could give out of the lane, which was begun when counts was raised. What was claimed since may be in it or
// not, so that it leaves a range: what we have reckoned ourselves is kept within that, and where the first count of all tells something else it is taken for the middle.
func (l *lane) recount(due, counts int) {
	l.hold(0, counts)
	low := max(0, due+l.changed)
	high := max(low, due+l.changed+l.taken)
	switch {
	case l.queued >= low && l.queued <= high: // we have seen it all come and go
	case counts == 1:
		l.queued, l.seen = (low+high)/2, l.fetching
	default:
		l.queued = min(max(l.queued, low), high)
	}
}

// counted takes a count for how much the queue could give out of each lane.
func (d *dispatcher) counted(lanes []queue.LaneBacklog, counts int) {
	running, now := d.s.isRunning(), time.Now()
	for part := range slices.Chunk(lanes, lookStep) { // the others want the mutex too
		d.mu.Lock()
		for i := range part {
			l := d.lanes[part[i].Lane]
			found := l == nil && running && part[i].Due > 0
			if l == nil && !found || d.counts != counts {
				continue
			}
			if found {
				l = d.lane(part[i].Lane)
			}
			l.recount(part[i].Due, counts)
			if found {
				d.expectLocked(l.key, now)
			}
		}
		d.unlock()
	}
}

// keepCounting counts the queue when the Sender starts and every now and then, until ctx ends: so that forecasts know of what was there before, and of what other
// processes do.
func (s *Sender) keepCounting(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		limit, end := context.WithTimeout(ctx, houseTime)
		_, _, err := s.count(limit)
		end()
		if err != nil && ctx.Err() == nil {
			s.log.Error("queue does not tell what it holds", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// BacklogStats is what waits of one stream for one provider.
type BacklogStats struct {
	Stream string `json:"stream"`
	// Provider is that of the destinations. Those whose mail hosts have not been looked up yet stand for themselves; what is beyond the thousand largest providers stands under
	// OtherProviders.
	Provider string `json:"provider"`
	// Waiting and InFlight are as those of StreamStats.
	Waiting  int `json:"waiting"`
	InFlight int `json:"in_flight"`
	// Oldest is when the oldest of them was accepted.
	Oldest time.Time `json:"oldest,omitzero"`
	// Over4h and Over12h count those that were accepted more than 4 and 12 hours ago. Of a Queue without BacklogCounter they count one for each lane
	// whose oldest is.
	Over4h  int `json:"over_4h"`
	Over12h int `json:"over_12h"`
}

// OtherProviders is the provider of a BacklogStats for all that have none of their own.
const OtherProviders = "(others)"

// maxBacklogs is how many providers Stats.Backlog tells apart.
const maxBacklogs = 1000

// backlogStats is what waits by stream and provider, in the order of both. inLine is how many of each lane are leased to us and not yet attempted.
func (s *Sender) backlogStats(lanes []queue.LaneBacklog, inLine map[queue.Lane]int, providers map[queue.Lane]string) []BacklogStats {
	type key struct{ stream, provider string }
	sums, sizes := map[key]*BacklogStats{}, map[string]int{}
	for i := range lanes {
		l := &lanes[i]
		provider, known := providers[l.Lane]
		if !known {
			provider = l.Lane.Domain
			if dest, ok := s.dispatch.known.Get(time.Now(), l.Lane.Domain); ok {
				provider = dest.provider
			}
		}
		n := min(inLine[l.Lane], l.InFlight)
		sizes[provider] += l.Waiting + l.InFlight
		at := key{l.Lane.Stream, provider}
		sum := sums[at]
		if sum == nil {
			sum = &BacklogStats{Stream: at.stream, Provider: at.provider}
			sums[at] = sum
		}
		sum.add(BacklogStats{Waiting: l.Waiting + n, InFlight: l.InFlight - n, Oldest: l.Oldest, Over4h: l.Older[0], Over12h: l.Older[1]})
	}
	if len(sizes) > maxBacklogs {
		names := make([]string, 0, len(sizes))
		for name := range sizes {
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(sizes[b], sizes[a]), cmp.Compare(a, b)) })
		small := map[string]bool{}
		for _, name := range names[maxBacklogs:] {
			small[name] = true
		}
		for at, sum := range sums {
			if !small[at.provider] {
				continue
			}
			delete(sums, at)
			at.provider = OtherProviders
			if sums[at] == nil {
				sums[at] = &BacklogStats{Stream: at.stream, Provider: at.provider}
			}
			sums[at].add(*sum)
		}
	}
	out := make([]BacklogStats, 0, len(sums))
	for _, sum := range sums {
		out = append(out, *sum)
	}
	slices.SortFunc(out, func(a, b BacklogStats) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Provider, b.Provider))
	})
	return out
}

func (b *BacklogStats) add(o BacklogStats) {
	b.Waiting += o.Waiting
	b.InFlight += o.InFlight
	b.Over4h += o.Over4h
	b.Over12h += o.Over12h
	if b.Oldest.IsZero() || !o.Oldest.IsZero() && o.Oldest.Before(b.Oldest) {
		b.Oldest = o.Oldest
	}
}
