package sender

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/queue"
)

// settler writes what became of deliveries to the queue, many at a time, and tells the world once that is durable.
type settler struct {
	s  *Sender
	in chan settled
	wg sync.WaitGroup

	mu   sync.Mutex
	open map[string]int64 // the lease of each delivery whose settlement is not durable yet
}

// settled is one settlement with what follows from it.
type settled struct {
	queue.Settlement
	lane     queue.Lane // where a waiting delivery stands afterwards
	event    Event
	suppress bool // the address is dead
	acquit   bool // there were strikes against it, and it took the mail
}

const (
	maxBatch   = 256              // settlements at a time
	settleTime = 10 * time.Second // for the queue to take them
)

func newSettler(s *Sender) *settler {
	return &settler{s: s, in: make(chan settled, 4*maxBatch), open: map[string]int64{}}
}

// put hands a settlement over. It must not be called with the dispatcher's mutex held: the settler takes that too.
func (t *settler) put(b settled) {
	t.note(&b)
	t.in <- b
}

// note notes that a settlement is to be written.
func (t *settler) note(b *settled) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[b.ID] = b.Lease
}

// unwritten reports whether the delivery's settlement is still to be written. When the queue is out of order for longer
// than a lease lasts, it gives such deliveries out again: they must not be attempted, and the settlement takes over the
// new lease.
func (t *settler) unwritten(del *queue.Delivery) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, open := t.open[del.ID]; !open {
		return false
	}
	t.open[del.ID] = del.Lease
	return true
}

// run settles until in is closed. ctx ends it when the queue does not take settlements any more.
func (t *settler) run(ctx context.Context) {
	defer t.wg.Done()
	batch := make([]settled, 0, maxBatch)
	for first := range t.in {
		clear(batch) // what it refers to may go
		batch = append(batch[:0], first)
	more:
		for len(batch) < maxBatch {
			select {
			case next, ok := <-t.in:
				if !ok {
					break more
				}
				batch = append(batch, next)
			default:
				break more
			}
		}
		lost, err := t.write(ctx, batch)
		overtaken := t.close(batch, lost)
		if err != nil {
			t.s.log.Error("settlements are lost: their deliveries will be attempted again", "count", len(batch), "err", err)
			continue
		}
		t.tell(ctx, batch, lost)
		t.giveBack(ctx, overtaken)
		t.s.events.await()
	}
}

// close forgets settlements that were written. It returns what is to be done about those whose deliveries were claimed anew meanwhile: that claim was not used
// (see unwritten), and nobody else would end its lease.
func (t *settler) close(batch []settled, lost []string) (overtaken []settled) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range batch {
		b := batch[i]
		if lease := t.open[b.ID]; lease != b.Lease {
			if b.Lease = lease; !slices.Contains(lost, b.ID) { // written, and due again before we heard of it
				b.Settlement = queue.Settlement{ID: b.ID, Lease: lease, State: queue.Waiting, Route: b.lane.Route}
			}
			overtaken = append(overtaken, b)
		}
		delete(t.open, b.ID)
	}
	return overtaken
}

// giveBack ends leases that nobody uses.
func (t *settler) giveBack(ctx context.Context, overtaken []settled) {
	if len(overtaken) == 0 {
		return
	}
	list := make([]queue.Settlement, len(overtaken))
	for i := range overtaken {
		list[i] = overtaken[i].Settlement
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	if _, err := t.s.cfg.Queue.Settle(limit, list); err != nil {
		t.s.log.Error("queue does not take back leases; they run out by themselves", "count", len(list), "err", err)
		return
	}
	for i := range overtaken {
		if b := &overtaken[i]; b.State == queue.Waiting {
			t.s.dispatch.expect(b.lane, time.Now().Add(b.After))
		}
	}
}

// write settles a batch, again and again until it is durable, or once more when ctx has ended. It notes the leases with which it did.
func (t *settler) write(ctx context.Context, batch []settled) (lost []string, err error) {
	list := make([]queue.Settlement, len(batch))
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, queueRetry) {
		last := ctx.Err() != nil
		t.mu.Lock()
		for i := range batch {
			batch[i].Lease = t.open[batch[i].ID]
			list[i] = batch[i].Settlement
		}
		t.mu.Unlock()
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
		lost, err = t.s.cfg.Queue.Settle(limit, list)
		cancel()
		if err == nil || last {
			return lost, err
		}
		t.s.log.Error("queue does not take settlements", "count", len(list), "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// tell does what follows from settlements that are durable.
func (t *settler) tell(ctx context.Context, batch []settled, lost []string) {
	for _, id := range lost {
		t.s.log.Warn("delivery was taken over by another process before it was settled", "delivery", id)
	}
	now := time.Now()
	for i := range batch {
		b := &batch[i]
		if slices.Contains(lost, b.ID) {
			continue
		}
		if b.State == queue.Waiting {
			t.s.dispatch.expect(b.lane, now.Add(b.After))
		}
		if b.acquit || b.event.Verdict.Scope == bounce.ScopeRecipient {
			t.s.suppress(ctx, &b.event, b.suppress)
		}
		if b.event.Type != "" {
			t.s.arriving.wait(b.event.MessageID)
			t.s.stats.event(b.event)
			t.s.events.emit(b.event)
			t.s.waiters.tell(b.event)
		}
	}
}

// event is an event about a delivery, as of now.
func (t *settler) event(typ EventType, del *queue.Delivery) Event {
	now := time.Now()
	e := Event{
		Type: typ, Time: now, MessageID: del.MessageID, DeliveryID: del.ID, Stream: del.Lane.Stream, Domain: del.Lane.Domain,
		Recipient: t.s.redact.recipient(del.Lane.Stream, del.Recipient), Attempt: del.Attempts,
	}
	if typ.Final() {
		e.QueueTime = now.Sub(del.Created)
	}
	return e
}

// attempted adds what an attempt brought.
func (t *settler) attempted(e *Event, a *attempt, del *queue.Delivery, r *queue.Attempt) {
	e.Path = Path{Route: a.path.key.Route, Provider: a.dest.provider}
	e.Overflow, e.OverflowFor = a.overflow, a.overflowFor
	e.Attempt++
	e.Reply, e.Verdict = t.s.redact.reply(r.Reply, del.Recipient), r.Verdict
}

func (t *settler) delivered(a *attempt, del *queue.Delivery, r *queue.Attempt) {
	e := t.event(EventDelivered, del)
	t.attempted(&e, a, del, r)
	t.put(settled{
		Settlement: queue.Settlement{ID: del.ID, Lease: del.Lease, State: queue.Delivered, Began: true, Record: r},
		event:      e, acquit: slices.Contains(a.struck, del.ID),
	})
}

func (t *settler) bounced(a *attempt, del *queue.Delivery, r *queue.Attempt) {
	e := t.event(EventBounced, del)
	t.attempted(&e, a, del, r)
	t.put(settled{
		Settlement: queue.Settlement{ID: del.ID, Lease: del.Lease, State: queue.Bounced, Began: true, Record: r},
		event:      e, suppress: r.Verdict.Suppress,
	})
}

func (t *settler) deferred(a *attempt, del *queue.Delivery, r *queue.Attempt, after time.Duration, route string) {
	e := t.event(EventDeferred, del)
	t.attempted(&e, a, del, r)
	e.NextAttempt = e.Time.Add(after)
	t.back(del, settled{Settlement: queue.Settlement{After: after, Route: route, Began: true, Record: r}, event: e})
}

// brokenOff puts a delivery back whose attempt we ended ourselves.
func (t *settler) brokenOff(a *attempt, del *queue.Delivery) {
	record := &queue.Attempt{At: time.Now(), Route: a.path.key.Route, Provider: a.dest.provider, Overflow: a.overflow, Reply: bounce.Reply{
		Status: bounce.Status{Class: 4, Subject: 4, Detail: 2}, Stage: bounce.StageDot, Local: true,
		Lines: []string{"broken off by Stop; whether it was taken is unknown"},
	}}
	record.Verdict = t.s.cfg.Classifier.Classify(a.dest.provider, record.Reply)
	t.back(del, settled{Settlement: queue.Settlement{After: otherRouteDelay, Route: a.lane.key.Route, Began: true, Record: record}})
}

// wait puts a delivery back that was not attempted.
func (t *settler) wait(del queue.Delivery, after time.Duration) {
	t.back(&del, settled{Settlement: queue.Settlement{After: after, Route: del.Lane.Route}})
}

func (t *settler) back(del *queue.Delivery, b settled) {
	b.ID, b.Lease, b.State = del.ID, del.Lease, queue.Waiting
	b.lane = del.Lane
	b.lane.Route = b.Settlement.Route
	t.put(b)
}

func (t *settler) suppressed(del queue.Delivery, refusal string) {
	e := t.event(EventSuppressed, &del)
	e.Reason = refusal
	t.put(settled{Settlement: queue.Settlement{ID: del.ID, Lease: del.Lease, State: queue.Suppressed}, event: e})
}

// unroutable bounces a delivery whose destination takes no mail, by the resolver's reply.
func (t *settler) unroutable(del queue.Delivery, r bounce.Reply) settled {
	e := t.event(EventBounced, &del)
	e.Path.Provider = del.Lane.Domain
	e.Reply, e.Verdict = r, t.s.cfg.Classifier.Classify("", r)
	return settled{
		Settlement: queue.Settlement{ID: del.ID, Lease: del.Lease, State: queue.Bounced, Record: &queue.Attempt{At: e.Time, Reply: r, Verdict: e.Verdict}},
		event:      e, suppress: e.Verdict.Suppress,
	}
}

// refusedByAll bounces a delivery that every route of its pool refuses, by what the last one said.
func (t *settler) refusedByAll(del queue.Delivery) settled {
	e := t.event(EventBounced, &del)
	last := del.Last()
	e.Path, e.Overflow = Path{Route: last.Route, Provider: last.Provider}, last.Overflow
	e.Reply, e.Verdict = t.s.redact.reply(last.Reply, del.Recipient), last.Verdict
	return settled{Settlement: queue.Settlement{ID: del.ID, Lease: del.Lease, State: queue.Bounced}, event: e}
}

// expiredAfter gives up a delivery whose time ran out during an attempt.
func (t *settler) expiredAfter(a *attempt, del *queue.Delivery, r *queue.Attempt) {
	e := t.event(EventExpired, del)
	t.attempted(&e, a, del, r)
	t.put(settled{Settlement: queue.Settlement{ID: del.ID, Lease: del.Lease, State: queue.Expired, Began: true, Record: r}, event: e})
}

// expired gives up a delivery whose time ran out. The event carries what the last attempt brought.
func (t *settler) expired(del queue.Delivery) settled {
	e := t.event(EventExpired, &del)
	if last := del.Last(); last != nil {
		e.Path, e.Overflow = Path{Route: last.Route, Provider: last.Provider}, last.Overflow
		e.Reply, e.Verdict = t.s.redact.reply(last.Reply, del.Recipient), last.Verdict
	}
	return settled{Settlement: queue.Settlement{ID: del.ID, Lease: del.Lease, State: queue.Expired}, event: e}
}
