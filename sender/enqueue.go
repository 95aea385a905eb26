package sender

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
	// Duplicate says that this ID was accepted before; Deliveries are those of then, as far as the queue remembers them. EnqueueTx tells of
	// none: looking for them would take another connection while the transaction holds one.
	Duplicate bool
	// Forecast is about when the last of them goes out, as Sender.Forecast tells it, by what is in memory: of a domain that is new to this process the mail hosts are not looked up.
	// It looks at the domains of the first recipients, 16 at most. Zero for a Duplicate, and where all were refused.
	Forecast Forecast
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
// the queue has it. An error is a *FieldError (nothing wrong with the queue: the message is malformed), a *TooLateError (it would not go out by NotAfter), ctx's own, or that
// of a gate or the queue; nothing was queued then, unless it is queue.ErrUnknown: Enqueue the message again with the same ID. It may be called before Start.
func (s *Sender) Enqueue(ctx context.Context, m Message) (Receipt, error) {
	if !s.enter() {
		return Receipt{}, ErrStopped
	}
	defer s.calls.Done()
	r, put, err := s.prepare(ctx, &m, s.cfg.Suppressions)
	if err != nil {
		if first, ok := s.again(ctx, &m, err); ok {
			return first, nil
		}
		return Receipt{}, err
	}
	if len(put.Deliveries) == 0 {
		return r, nil
	}
	direct := s.isRunning() && s.dispatch.takesDirect(put.Deliveries)
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
	s.tellRefused(r, put.Message.Stream)
	for i := range put.Deliveries {
		s.tellAccepted(&put.Deliveries[i], now)
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
		for i := range put.Deliveries {
			s.dispatch.expectRanked(put.Deliveries[i].Lane, put.Deliveries[i].Priority, now)
		}
	}
	return r, nil
}

// ErrNoTx: the queue cannot store mail in a transaction of the host's. One in a SQL database can.
var ErrNoTx = errors.New("sender: the queue has no transactions")

// EnqueueTx accepts a message in a transaction of the host's, which is one of the queue's database: the message is sent if the host
// commits, and only then. A transaction of another database fails, or puts the mail there if that has a queue too. With SQLite it
// holds up all other writes until it ends: do not call Enqueue or Send within it. A message whose ID was accepted before leaves the transaction as it is, and gives a receipt that says Duplicate.
// So a host that may have to repeat a transaction gives the message the same ID each time, made of its order's number, say; the queue
// remembers IDs for as long as it keeps settled mail. The message is noticed within a second after the commit, by this Sender or another one on the same queue, and its EventAccepted comes then. What gates
// refuse is told at once. A message that would come too late for its NotAfter is refused also if it was accepted before under its ID. A Gate that uses the same database needs a connection of its own while the transaction has one: see that the pool has enough. Errors are those of Enqueue, and ErrNoTx.
func (s *Sender) EnqueueTx(ctx context.Context, tx *sql.Tx, m Message) (Receipt, error) {
	q, ok := s.cfg.Queue.(TxQueue)
	if !ok {
		return Receipt{}, ErrNoTx
	}
	if tx == nil {
		return Receipt{}, badField("tx", "", "there is no transaction")
	}
	if !s.enter() {
		return Receipt{}, ErrStopped
	}
	defer s.calls.Done()
	r, put, err := s.prepare(ctx, &m, s.listIn(tx))
	if err != nil || len(put.Deliveries) == 0 {
		return r, err
	}
	err = q.PutTx(ctx, tx, put)
	if errors.Is(err, queue.ErrDuplicate) {
		return Receipt{MessageID: r.MessageID, Duplicate: true}, nil
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("sender: queue: %w", err)
	}
	s.tellRefused(r, put.Message.Stream)
	return r, nil
}

// prepare checks a message and asks the gates: what is to be put, and the receipt for it. There are no deliveries if all recipients
// were refused.
func (s *Sender) prepare(ctx context.Context, m *Message, list Suppressions) (Receipt, queue.Put, error) {
	st, err := s.streamOf(m)
	if err != nil {
		return Receipt{}, queue.Put{}, err
	}
	l, err := m.check(&s.cfg, time.Now(), s.hostname)
	if err != nil {
		return Receipt{}, queue.Put{}, err
	}
	r := Receipt{MessageID: m.ID}
	if r.MessageID == "" {
		r.MessageID = newID()
	}
	if st.ReturnPath != nil {
		if err := st.ReturnPath.fits(m, r.MessageID); err != nil {
			return Receipt{}, queue.Put{}, err
		}
	}
	put := queue.Put{}
	if _, err := m.life(st, time.Now()); err != nil {
		return Receipt{}, put, err
	}
	for _, to := range l.to {
		address := to.String()
		a, err := s.admitBy(ctx, list, st, address)
		if err != nil {
			return Receipt{}, put, fmt.Errorf("sender: gate: %w", err)
		}
		if a.refusal != "" {
			r.Refused = append(r.Refused, Refusal{Recipient: address, Reason: a.refusal})
			continue
		}
		d := queue.Delivery{
			ID: queue.DeliveryID(r.MessageID, len(r.Deliveries)+1), MessageID: r.MessageID, Recipient: address,
			Lane: queue.Lane{Stream: st.Name, Domain: to.domain, Route: laneRoute("", "", m.WarmOnly)},
		}
		d.Priority = s.rank(ctx, m, st, &d)
		s.checked.Put(time.Now(), d.ID, a)
		put.Deliveries = append(put.Deliveries, d)
		r.Deliveries = append(r.Deliveries, QueuedDelivery{ID: d.ID, Recipient: address})
	}
	if len(put.Deliveries) == 0 {
		s.tellRefused(r, st.Name)
		return r, put, nil
	}
	put.Message = &queue.Message{
		ID: r.MessageID, Stream: st.Name, EightBit: l.eightBit, UTF8: l.utf8, Recipients: len(put.Deliveries), Data: l.data,
	}
	if m.From != "" {
		put.Message.From = l.from.String()
	}
	if put.ExpireAfter, err = m.life(st, time.Now()); err != nil { // the gates may have taken their time
		return Receipt{}, put, err
	}
	if r.Forecast, err = s.foresee(m, put.Deliveries); err != nil {
		return Receipt{}, put, err
	}
	return r, put, nil
}

// tellAccepted tells that a delivery is in the queue.
func (s *Sender) tellAccepted(d *queue.Delivery, at time.Time) {
	e := Event{
		Type: EventAccepted, Time: at, MessageID: d.MessageID, DeliveryID: d.ID, Stream: d.Lane.Stream,
		Recipient: s.redact.recipient(d.Lane.Stream, d.Recipient), Domain: d.Lane.Domain,
	}
	s.stats.event(e)
	s.events.emit(e)
}

// tellRefused tells whom the gates refused.
func (s *Sender) tellRefused(r Receipt, stream string) {
	for _, f := range r.Refused {
		e := Event{
			Type: EventRefused, Time: time.Now(), MessageID: r.MessageID, Stream: stream,
			Recipient: s.redact.recipient(stream, f.Recipient), Reason: f.Reason,
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
