package sender

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/suppress"
	"github.com/reputemail/repute/sender/queue"
)

// listIn is the list of suppressed addresses as a transaction sees it; the list itself if it is the host's own, or kept elsewhere.
func (s *Sender) listIn(tx *sql.Tx) Suppressions {
	if q, ok := s.cfg.Queue.(SuppressionTxStorer); ok && s.ownList != nil {
		return s.ownList.On(q.SuppressionStoreTx(tx))
	}
	return s.cfg.Suppressions
}

// pruneFirst and pruneEvery are when the list is pruned after Start.
const (
	pruneFirst = time.Hour
	pruneEvery = 24 * time.Hour
)

// pruneSuppressions prunes the list by the clock until ctx ends.
func (s *Sender) pruneSuppressions(ctx context.Context, p SuppressionPruner) {
	wait := time.NewTimer(pruneFirst)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		switch n, err := p.PruneAt(ctx, time.Now()); {
		case err == nil:
			s.log.Debug("suppressions pruned", "forgotten", n)
		case ctx.Err() == nil:
			s.log.Error("suppressions cannot be pruned", "err", err)
		}
		wait.Reset(pruneEvery)
	}
}

// NoSuppressions is a list that suppresses nobody, for hosts whose Gate does all of it.
type NoSuppressions struct{}

// CheckAt finds nothing.
func (NoSuppressions) CheckAt(context.Context, time.Time, string, string) (suppress.Entry, bool, error) {
	return suppress.Entry{}, false, nil
}

// ObserveAt does nothing.
func (NoSuppressions) ObserveAt(context.Context, time.Time, suppress.Incident) (suppress.Entry, bool, error) {
	return suppress.Entry{}, false, nil
}

// newSuppressions is the list for a host that brings none: beside the queue, where that can keep it.
func newSuppressions(q Queue) (*suppress.List, error) {
	var store suppress.Store
	if s, ok := q.(SuppressionStorer); ok {
		store = s.SuppressionStore()
	}
	l, err := suppress.New(suppress.Config{Store: store})
	if err != nil {
		return nil, fmt.Errorf("sender: suppressions: %w", err)
	}
	return l, nil
}

// admission is what the list of suppressed addresses and the gates say of a recipient.
type admission struct {
	refusal string // in words; empty: it may be written to
	struck  bool   // there are strikes against it, which a delivery takes away
}

// checkedFor is how long a look at the list by Enqueue serves for the attempt as well.
const checkedFor = time.Second

// admit asks the list of suppressed addresses, and then the gates.
func (s *Sender) admit(ctx context.Context, st *stream, address string) (a admission, err error) {
	return s.admitBy(ctx, s.cfg.Suppressions, st, address)
}

// admitBy is admit by a view of the list.
func (s *Sender) admitBy(ctx context.Context, list Suppressions, st *stream, address string) (a admission, err error) {
	if a, err = s.checkList(ctx, list, st, address); err != nil || a.refusal != "" {
		return a, err
	}
	return s.askGates(ctx, st, address, a)
}

// admitAgain is admit before an attempt. Mail that goes out at once is not looked up twice within a second.
func (s *Sender) admitAgain(ctx context.Context, st *stream, del *queue.Delivery) (a admission, err error) {
	if known, ok := s.checked.Get(time.Now(), del.ID); ok {
		return s.askGates(ctx, st, del.Recipient, known)
	}
	return s.admit(ctx, st, del.Recipient)
}

// checkList asks the list of suppressed addresses.
func (s *Sender) checkList(ctx context.Context, list Suppressions, st *stream, address string) (a admission, err error) {
	entry, found, err := list.CheckAt(ctx, time.Now(), st.Name, address)
	switch {
	case errors.Is(err, suppress.ErrAddress): // one that the list can know nothing of, such as an address literal
	case err != nil:
		return a, fmt.Errorf("suppressions: %w", err)
	case found:
		a.refusal = entry.String()
	}
	a.struck = entry.Strikes > 0
	return a, nil
}

// askGates asks the gates about a recipient whom the list has let through.
func (s *Sender) askGates(ctx context.Context, st *stream, address string, a admission) (_ admission, err error) {
	for _, g := range [2]Gate{s.cfg.Gate, st.Gate} {
		if g == nil {
			continue
		}
		if a.refusal, err = g.Admit(ctx, s.redact.recipient(st.Name, address)); err != nil || a.refusal != "" {
			return a, err
		}
	}
	return a, nil
}

// incidentOf is what the list of suppressed addresses is to hear of an event; false when there is nothing in it. What is not about the
// recipient is not told.
func incidentOf(e *Event) (suppress.Incident, bool) {
	i := suppress.Incident{ID: e.DeliveryID + " " + itoa(e.Attempt), Stream: e.Stream, Address: e.Recipient.Address, Verdict: e.Verdict}
	if e.Verdict.Scope != bounce.ScopeRecipient && e.Type != EventDelivered {
		return i, false
	}
	switch e.Type {
	case EventBounced:
		i.Kind = suppress.Bounced
	case EventDeferred, EventExpired:
		i.Kind = suppress.Deferred
		return i, e.Verdict.Category == bounce.MailboxFull
	case EventDelivered:
		i.Kind = suppress.Delivered
	default:
		return i, false
	}
	return i, true
}

// suppress tells the list, and the gates of a dead address, what became of a delivery; also while the Sender stops.
func (s *Sender) suppress(ctx context.Context, e *Event, dead bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), suppressTime)
	defer cancel()
	if i, ok := incidentOf(e); ok {
		s.observe(ctx, e, i)
	}
	if dead {
		s.tellGates(ctx, e)
	}
}

// observe tells the list of an incident, again and again until ctx ends: a dead address must not be forgotten because the database was busy.
func (s *Sender) observe(ctx context.Context, e *Event, i suppress.Incident) {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, queueRetry) {
		_, _, err := s.cfg.Suppressions.ObserveAt(ctx, e.Time, i)
		if err == nil || errors.Is(err, suppress.ErrAddress) {
			return
		}
		s.log.Error("suppressions do not take what became of a delivery", "recipient", e.Recipient, "again after", pause, "err", err)
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

// tellGates tells the gates of a dead address.
func (s *Sender) tellGates(ctx context.Context, e *Event) {
	for _, g := range [2]Gate{s.cfg.Gate, s.stream(e.Stream).Gate} {
		sup, ok := g.(Suppressor)
		if !ok {
			continue
		}
		if err := sup.Suppress(ctx, e.Recipient, e.Verdict); err != nil {
			s.log.Error("gate does not suppress a dead address", "recipient", e.Recipient, "err", err)
		}
	}
}
