package sender

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/suppress"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/warmup"
)

// Report takes what came back as mail, so that a Sender is an intake.Sink: a bounce that came after the receiver had accepted the message, or a complaint. What it
// leads to:
//
//   - A report that a token of ours ties to a delivery which the queue remembers is about that delivery's recipient and stream. A failure or
//     complaint counts for the suppressions, for the statistics and the warm-up of the path that it went, and is an event.
//   - A failure of another address than the one we wrote to, since it was forwarded, suppresses nobody at once; it counts as a strike.
//   - A complaint without a token, but authentic, counts for the addresses that it names.
//   - A wish to be sent no more (a feedback report of the type opt-out) is the event EventUnsubscribed, and no complaint.
//   - Of the reports about one delivery only the first return, the first complaint and the first such wish count and are told, as far as this process remembers.
//   - All other reports are a stranger's word: each is one event with Unverified, and changes nothing.
//
// The delivery's own state stays: for the queue it was delivered. Automatic answers, and news that are no failures, lead to nothing. Report may
// be called before Start and from anywhere. An error is that of the queue or the suppressions, or ctx's: call it again then, with the same
// report.
func (s *Sender) Report(ctx context.Context, r bounce.Report) error {
	if !s.enter() {
		return ErrStopped
	}
	defer s.calls.Done()
	switch r.Kind {
	case bounce.KindBounce:
		if !r.Failures() {
			return nil
		}
	case bounce.KindFeedback:
		if !r.Complaint {
			return nil
		}
	default:
		return nil
	}
	del, err := s.reported(ctx, r.Delivery)
	if err != nil {
		return fmt.Errorf("sender: report: queue: %w", err)
	}
	now := time.Now()
	var told []lateResult
	if r.Kind == bounce.KindBounce {
		told = s.returned(&r, del, now)
	} else {
		told = s.complained(&r, del, now)
	}
	var failed error
	for i := range told { // first what may fail, so that a report which comes again is not counted twice
		if t := &told[i]; t.incident.Kind != "" {
			if _, _, err := s.cfg.Suppressions.ObserveAt(ctx, now, t.incident); err != nil && !errors.Is(err, suppress.ErrAddress) {
				failed = fmt.Errorf("sender: report: suppressions: %w", err)
			}
		}
	}
	if failed != nil {
		return failed
	}
	for i := range told {
		if e := &told[i].event; e.DeliveryID == "" || s.firstLate(e, now) {
			s.tellLate(ctx, &told[i])
		}
	}
	return nil
}

// firstLate reports whether nothing of the kind was told of the delivery before.
func (s *Sender) firstLate(e *Event, now time.Time) bool {
	first := false
	s.late.GetOrCreate(now, string(e.Type)+" "+e.DeliveryID, func() struct{} { first = true; return struct{}{} })
	return first
}

// lateResult is what a report says about one recipient.
type lateResult struct {
	event    Event
	incident suppress.Incident // of no kind: none
}

// reported finds the delivery that a report is tied to, or nil.
func (s *Sender) reported(ctx context.Context, id string) (*queue.Delivery, error) {
	if id == "" {
		return nil, nil
	}
	ds, err := s.cfg.Queue.Get(ctx, id)
	if errors.Is(err, queue.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(ds) != 1 || ds[0].ID != id { // the ID of a message: no token of ours says that
		return nil, nil
	}
	return &ds[0], nil
}

// lateEvent is an event about a delivery that had been sent, or about nobody that we know.
func (s *Sender) lateEvent(typ EventType, r *bounce.Report, del *queue.Delivery, now time.Time) Event {
	e := Event{Type: typ, Time: now, Report: r.ID, Reason: r.Feedback, Unverified: del == nil && !r.Authentic}
	if del != nil {
		e.MessageID, e.DeliveryID, e.Stream, e.Domain, e.Attempt = del.MessageID, del.ID, del.Lane.Stream, del.Lane.Domain, del.Attempts
		e.Recipient = s.redact.recipient(del.Lane.Stream, del.Recipient)
		if last := del.Last(); last != nil {
			e.Path, e.Overflow = Path{Route: last.Route, Provider: last.Provider}, last.Overflow
		}
	}
	return e
}

// returned is what a bounce says. Tied to a delivery it is about that one recipient, whatever else it names.
func (s *Sender) returned(r *bounce.Report, del *queue.Delivery, now time.Time) []lateResult {
	var failed *bounce.Record
	for i := range r.Records {
		rec := &r.Records[i]
		if rec.Action == bounce.ActionFailed && (failed == nil || del != nil && sameAddress(rec, del.Recipient)) {
			failed = rec
		}
	}
	if failed == nil {
		return nil
	}
	if del == nil { // a stranger may name thousands: one event tells of the first
		e := s.lateEvent(EventReturned, r, nil, now)
		e.Recipient = s.redact.recipient("", failed.Address())
		e.Reply, e.Verdict = s.redact.reply(failed.Reply, failed.Address()), failed.Verdict
		return []lateResult{{event: e}}
	}
	e := s.lateEvent(EventReturned, r, del, now)
	v := failed.Verdict
	if failed.Recipient+failed.Original != "" && !sameAddress(failed, del.Recipient) {
		v.Suppress = false // it was forwarded: the address that is dead is not the one that we wrote to
	}
	e.Reply, e.Verdict = s.redact.reply(failed.Reply, del.Recipient), v
	late := lateResult{event: e}
	if v.Scope == bounce.ScopeRecipient {
		late.incident = suppress.Incident{ID: r.ID, Stream: del.Lane.Stream, Address: del.Recipient, Kind: suppress.Bounced, Late: true, Verdict: v}
	}
	return []lateResult{late}
}

// sameAddress reports whether a record is about the address that we wrote to.
func sameAddress(rec *bounce.Record, recipient string) bool {
	for _, a := range [2]string{rec.Recipient, rec.Original} {
		if to, err := parseMailbox(bounce.CleanAddress(a)); err == nil && strings.EqualFold(to.String(), recipient) {
			return true
		}
	}
	return false
}

// maxNamed is of how many recipients that an authentic complaint names it is an event.
const maxNamed = 100

// complained is what a complaint says, or a wish to be sent no more.
func (s *Sender) complained(r *bounce.Report, del *queue.Delivery, now time.Time) []lateResult {
	typ, kind := EventComplained, suppress.Complained
	if strings.HasPrefix(r.Feedback, "opt-out") {
		typ, kind = EventUnsubscribed, suppress.Unsubscribed
	}
	if del != nil {
		return []lateResult{{
			event:    s.lateEvent(typ, r, del, now),
			incident: suppress.Incident{ID: r.ID, Stream: del.Lane.Stream, Address: del.Recipient, Kind: kind},
		}}
	}
	if !r.Authentic { // a stranger may name thousands
		return []lateResult{{event: s.lateEvent(typ, r, nil, now)}}
	}
	var out []lateResult
	for i := range r.Records[:min(len(r.Records), maxNamed)] {
		address := bounce.CleanAddress(r.Records[i].Address())
		to, err := parseMailbox(address)
		if err != nil { // left out, or made unreadable by the reporter (RFC 6590)
			continue
		}
		late := lateResult{event: s.lateEvent(typ, r, nil, now)}
		late.event.Recipient, late.event.Domain = s.redact.recipient("", to.String()), to.domain
		late.incident = suppress.Incident{ID: r.ID + " " + itoa(i), Address: to.String(), Kind: kind}
		out = append(out, late)
	}
	if len(out) == 0 {
		out = append(out, lateResult{event: s.lateEvent(typ, r, nil, now)})
	}
	return out
}

// tellLate tells what a report led to: statistics, warm-up, gates and Observer.
func (s *Sender) tellLate(ctx context.Context, t *lateResult) {
	e := &t.event
	if !e.Unverified {
		if r := s.routes[e.Path.Route]; r != nil && s.isRunning() && s.pacerObserver != nil && e.Type != EventUnsubscribed {
			outcome := warmup.Complained
			if e.Type == EventReturned {
				outcome = outcomeOf(e.Verdict)
			}
			s.compareLate(e, outcome)
			keys, n := s.budgets(s.stream(e.Stream), r, e.Path.Provider)
			for _, key := range keys[:n] {
				s.pacerObserver.ObserveAt(e.Time, key, outcome, 1)
			}
		}
		if e.Type == EventReturned && e.Verdict.Suppress {
			s.tellGates(ctx, e)
		}
		s.stats.event(*e)
	}
	s.events.emit(*e)
}
