package sender

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// Receipt tells what Enqueue did.
type Receipt struct {
	// MessageID is the message's ID: the host's, or the new one.
	MessageID string
	// Deliveries are what was queued, in the order of Message.To without repetitions and refused recipients.
	Deliveries []QueuedDelivery
	// Refused are the recipients that the gate refused. Nothing was queued for them.
	Refused []Refusal
	// Duplicate says that this ID was accepted before; Deliveries are those of then, as far as the queue remembers them.
	Duplicate bool
}

// QueuedDelivery is one queued recipient.
type QueuedDelivery struct {
	// ID names the delivery in events and for Explain.
	ID string
	// Recipient is its address, normalised.
	Recipient string
}

// Refusal is one recipient that the gate refused.
type Refusal struct {
	// Recipient is the address, normalised.
	Recipient string
	// Reason is the gate's, in words.
	Reason string
}

// Enqueue accepts a message: it is checked, the gates are asked, and it is put into the queue. When Enqueue returns nil
// the queue has it. An error is a *FieldError (nothing wrong with the queue: the message is malformed), ctx's own, or that
// of a gate or the queue; nothing was queued then. It may be called before Start.
func (s *Sender) Enqueue(ctx context.Context, m Message) (Receipt, error) {
	st, err := s.streamOf(&m)
	if err != nil {
		return Receipt{}, err
	}
	if !s.enter() {
		return Receipt{}, ErrStopped
	}
	defer s.calls.Done()
	l, err := m.check(&s.cfg, time.Now(), s.hostname)
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{MessageID: m.ID}
	if r.MessageID == "" {
		r.MessageID = newID()
	}
	put := queue.Put{ExpireAfter: st.ExpireAfter}
	lanes := make([]queue.Lane, 0, len(l.to))
	for _, to := range l.to {
		address := to.String()
		refusal, err := s.admit(ctx, st, address)
		if err != nil {
			return Receipt{}, fmt.Errorf("sender: gate: %w", err)
		}
		if refusal != "" {
			r.Refused = append(r.Refused, Refusal{Recipient: address, Reason: refusal})
			continue
		}
		d := queue.Delivery{
			ID: r.MessageID + "/" + strconv.Itoa(len(r.Deliveries)+1), MessageID: r.MessageID, Recipient: address,
			Lane: queue.Lane{Stream: st.Name, Domain: to.domain}, Priority: m.Priority,
		}
		put.Deliveries = append(put.Deliveries, d)
		lanes = append(lanes, d.Lane)
		r.Deliveries = append(r.Deliveries, QueuedDelivery{ID: d.ID, Recipient: address})
	}
	if len(put.Deliveries) == 0 {
		s.tellRefused(st, r)
		return r, nil
	}
	put.Message = &queue.Message{
		ID: r.MessageID, Stream: st.Name, EightBit: l.eightBit, UTF8: l.utf8, Recipients: len(put.Deliveries), Data: l.data,
	}
	if m.From != "" {
		put.Message.From = l.from.String()
	}
	direct := s.isRunning() && s.dispatch.takesDirect(lanes)
	if direct {
		put.LeaseFor = leaseFor
	}
	accepted := s.arriving.begin(r.MessageID)
	defer accepted()
	now := time.Now()
	leases, err := s.cfg.Queue.Put(ctx, put)
	if errors.Is(err, queue.ErrDuplicate) {
		return s.duplicate(ctx, r.MessageID)
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("sender: queue: %w", err)
	}
	s.tellRefused(st, r)
	for i := range put.Deliveries {
		e := Event{
			Type: EventAccepted, Time: now, MessageID: r.MessageID, DeliveryID: put.Deliveries[i].ID, Stream: st.Name,
			Recipient: s.redact.recipient(st.Name, put.Deliveries[i].Recipient), Domain: put.Deliveries[i].Lane.Domain,
		}
		s.stats.event(e)
		s.events.emit(e)
	}
	accepted() // before anything that may wait for the settler
	switch {
	case direct:
		for i := range put.Deliveries {
			d := &put.Deliveries[i]
			d.State, d.Lease, d.Created, d.Due, d.Expires = queue.InFlight, leases[i], now, now.Add(leaseFor), now.Add(put.ExpireAfter)
		}
		s.dispatch.offer(put.Deliveries)
	case s.isRunning():
		for _, lane := range lanes {
			s.dispatch.expect(lane, now)
		}
	}
	return r, nil
}

func (s *Sender) tellRefused(st *stream, r Receipt) {
	for _, f := range r.Refused {
		e := Event{
			Type: EventRefused, Time: time.Now(), MessageID: r.MessageID, Stream: st.Name,
			Recipient: s.redact.recipient(st.Name, f.Recipient), Reason: f.Reason,
		}
		s.stats.event(e)
		s.events.emit(e)
	}
}

// duplicate is the receipt of a message that was accepted before.
func (s *Sender) duplicate(ctx context.Context, id string) (Receipt, error) {
	r := Receipt{MessageID: id, Duplicate: true}
	ds, err := s.cfg.Queue.Get(ctx, id)
	if err != nil && !errors.Is(err, queue.ErrNotFound) {
		return Receipt{}, fmt.Errorf("sender: queue: %w", err)
	}
	for _, d := range ds {
		r.Deliveries = append(r.Deliveries, QueuedDelivery{ID: d.ID, Recipient: d.Recipient})
	}
	return r, nil
}

// streamOf finds the stream of a message.
func (s *Sender) streamOf(m *Message) (*stream, error) {
	if m.Stream == "" {
		return s.streams[0], nil
	}
	for _, st := range s.streams {
		if st.Name == m.Stream {
			return st, nil
		}
	}
	return nil, badField("Stream", "", "there is no stream %q", m.Stream)
}

// enter counts a call of Enqueue in, for s.calls.Done. It reports whether the Sender is not stopping.
func (s *Sender) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stopping {
		return false
	}
	s.calls.Add(1)
	return true
}

func (s *Sender) isStopping() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.state == stopping }
func (s *Sender) isRunning() bool  { s.mu.Lock(); defer s.mu.Unlock(); return s.state == started }
