package sender

import (
	"context"
	"fmt"
	"sync"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/queue"
)

// Outcome is what became of one recipient of a message given to Send.
type Outcome struct {
	// DeliveryID names the delivery; empty for a recipient that the gate refused.
	DeliveryID string
	// Recipient is the address, normalised.
	Recipient string
	// State is the final state; queue.Suppressed for a recipient that the gate refused, queue.Waiting or
	// queue.InFlight for one that had none when ctx ended.
	State queue.State
	// Reply and Verdict are the receiver's last word, if there was one, with addresses hashed as in events.
	Reply   bounce.Reply
	Verdict bounce.Verdict
	// Reason is the gate's, where it refused the recipient, or an operator's, where one has bounced or cancelled the delivery.
	Reason string
}

// Send enqueues a message and waits until each recipient has its final outcome: delivered, bounced, expired, suppressed, cancelled.
// That can take as long as the stream's ExpireAfter; ctx ends the waiting, not the sending: Send then returns ctx's error
// together with the outcomes so far. The Sender must be running.
func (s *Sender) Send(ctx context.Context, m Message) ([]Outcome, error) {
	if !s.isRunning() {
		if s.isStopping() {
			return nil, ErrStopped
		}
		return nil, ErrNotStarted
	}
	if m.ID == "" {
		m.ID = newID()
	}
	w := s.waiters.add(m.ID)
	defer s.waiters.remove(m.ID, w)
	r, err := s.Enqueue(ctx, m)
	if err != nil {
		return nil, err
	}
	open := map[string]bool{}
	for _, d := range r.Deliveries {
		open[d.ID] = true
	}
	known := map[string]Outcome{}
	if r.Duplicate {
		// Some may have been settled before the waiter was there.
		ds, err := s.cfg.Queue.Get(ctx, m.ID)
		if err != nil {
			return nil, fmt.Errorf("sender: queue: %w", err)
		}
		for i := range ds {
			if ds[i].State.Final() {
				known[ds[i].ID] = s.outcomeOf(&ds[i])
				delete(open, ds[i].ID)
			}
		}
	}
	err = w.wait(ctx, known, open)
	out := make([]Outcome, 0, len(r.Deliveries)+len(r.Refused))
	for _, d := range r.Deliveries {
		o, ok := known[d.ID]
		if !ok {
			o.State = queue.Waiting
		}
		o.DeliveryID, o.Recipient = d.ID, d.Recipient
		out = append(out, o)
	}
	for _, f := range r.Refused {
		out = append(out, Outcome{Recipient: f.Recipient, State: queue.Suppressed, Reason: f.Reason})
	}
	return out, err
}

func (s *Sender) outcomeOf(d *queue.Delivery) Outcome {
	o := Outcome{State: d.State}
	if last := d.Last(); last != nil {
		o.Reply, o.Verdict = s.redact.reply(last.Reply, d.Recipient), last.Verdict
	}
	return o
}

// waiters are the calls of Send that wait, by message ID.
type waiters struct {
	mu     sync.Mutex
	m      map[string][]*waiter
	closed chan struct{}
}

// waiter collects the final events of one message.
type waiter struct {
	mu     sync.Mutex
	events []Event
	wake   chan struct{}
	closed chan struct{}
}

func newWaiters() *waiters { return &waiters{m: map[string][]*waiter{}, closed: make(chan struct{})} }

func (w *waiters) add(id string) *waiter {
	one := &waiter{wake: make(chan struct{}, 1), closed: w.closed}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.m[id] = append(w.m[id], one)
	return one
}

func (w *waiters) remove(id string, one *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.m[id][:0]
	for _, other := range w.m[id] {
		if other != one {
			rest = append(rest, other)
		}
	}
	if w.m[id] = rest; len(rest) == 0 {
		delete(w.m, id)
	}
}

// tell passes a final event to those who wait for its message.
func (w *waiters) tell(e Event) {
	if !e.Type.Final() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.m[e.MessageID] {
		one.mu.Lock()
		one.events = append(one.events, e)
		one.mu.Unlock()
		select {
		case one.wake <- struct{}{}:
		default:
		}
	}
}

// close makes all that wait give up: the Sender has stopped.
func (w *waiters) close() { close(w.closed) }

// finals are the states of final events.
var finals = map[EventType]queue.State{
	EventDelivered: queue.Delivered, EventBounced: queue.Bounced, EventExpired: queue.Expired,
	EventSuppressed: queue.Suppressed, EventCancelled: queue.Cancelled,
}

// wait moves outcomes into known until none is open.
func (w *waiter) wait(ctx context.Context, known map[string]Outcome, open map[string]bool) error {
	for {
		w.mu.Lock()
		for _, e := range w.events {
			known[e.DeliveryID] = Outcome{State: finals[e.Type], Reply: e.Reply, Verdict: e.Verdict, Reason: e.Reason}
			delete(open, e.DeliveryID)
		}
		w.events = nil
		w.mu.Unlock()
		if len(open) == 0 {
			return nil
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-w.closed:
			select {
			case <-w.wake: // told before it closed
				continue
			default:
				return ErrStopped
			}
		}
	}
}
