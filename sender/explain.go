package sender

import (
	"context"
	"slices"
	"time"

	"github.com/reputemail/repute/internal/keyed"
	"github.com/reputemail/repute/sender/queue"
)

// Explanation tells where one delivery stands and why.
type Explanation struct {
	DeliveryID string      `json:"delivery_id"`
	MessageID  string      `json:"message_id"`
	Stream     string      `json:"stream"`
	Recipient  Recipient   `json:"recipient"`
	State      queue.State `json:"state"`
	// Created is when it was accepted, Expires when it is given up.
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// Attempts counts the attempts; History holds the latest of them, oldest first.
	Attempts int             `json:"attempts"`
	History  []queue.Attempt `json:"history,omitempty"`
	// Next is about when it is tried: what Forecast says of it, with the place that it has in its lane. Zero for a delivery that is being attempted or done, and where what it
	// waits for has no end that is known.
	Next time.Time `json:"next,omitzero"`
	// Ahead is about how many deliveries go before it, in its lane and in others that share its path. What the queue holds it guesses by age, where it was not put
	// by priority; at worst all that the lane holds.
	Ahead int `json:"ahead"`
	// Waits is the chain of reasons why it is not sent right now: its own retry, and what closes each route that it may
	// use. Those that depend on others come first, then by when they end. Empty for a delivery that is
	// being attempted or done.
	Waits []Wait `json:"waits,omitempty"`
}

// Explain tells why the deliveries with this delivery or message ID stand where they stand.
// queue.ErrNotFound when the queue does not remember them.
func (s *Sender) Explain(ctx context.Context, id string) ([]Explanation, error) {
	ds, err := s.cfg.Queue.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make([]Explanation, 0, len(ds))
	now := time.Now()
	for _, d := range ds {
		e := Explanation{
			DeliveryID: d.ID, MessageID: d.MessageID, Stream: d.Lane.Stream, Recipient: s.redact.recipient(d.Lane.Stream, d.Recipient),
			State: d.State, Created: d.Created, Expires: d.Expires, Attempts: d.Attempts, History: slices.Clone(d.History),
		}
		for i := range e.History {
			e.History[i].Reply = s.redact.reply(e.History[i].Reply, d.Recipient)
		}
		if !d.State.Final() {
			var f Forecast
			if e.Waits, f = s.whyWaiting(&d, now); len(e.Waits) > 0 {
				e.State = queue.Waiting // also when it is leased already, and in line
				e.Ahead = f.Ahead
				if e.Next = f.At; f.Basis == BasisUnknown && !f.At.After(now) {
					e.Next = time.Time{}
				}
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// whyWaiting is the chain for an open delivery: its own schedule first, then what its lane waits for.
func (s *Sender) whyWaiting(d *queue.Delivery, now time.Time) ([]Wait, Forecast) {
	if !s.isRunning() {
		return []Wait{{Reason: WaitStopped}}, stoppedForecast(d, now)
	}
	waits, f, attempted := s.dispatch.why(d, now)
	if attempted {
		return nil, Forecast{}
	}
	var chain []Wait
	if d.State == queue.Waiting && d.Due.After(now) && (len(d.History) > 0 || !slices.ContainsFunc(waits, Wait.ours)) {
		w := Wait{Reason: WaitRetry, Until: d.Due}
		if last := d.Last(); last != nil {
			w.Path, w.Detail = Path{Route: last.Route, Provider: last.Provider}, string(last.Verdict.Category)+": "+s.redact.reply(last.Reply, d.Recipient).String()
		}
		chain = append(chain, w)
	}
	if len(waits) == 0 && len(chain) == 0 { // its lane has not looked, or another process has it: what would be in the way
		waits = f.Waits
	}
	chain = append(chain, waits...)
	slices.SortStableFunc(chain, func(a, b Wait) int { return a.Until.Compare(b.Until) })
	if len(chain) == 0 {
		chain = append(chain, Wait{Reason: WaitTurn})
	}
	return chain, f
}

// trouble is what a lane was held for last.
type trouble struct {
	wait Wait
	at   time.Time
}

// maxTroubles is for how many lanes that is remembered, for as long as what was put back for it waits at least.
const maxTroubles = 10_000

func newTroubles() *keyed.Map[queue.Lane, trouble] {
	return keyed.New(keyed.Config[queue.Lane, trouble]{Max: maxTroubles, Idle: 2 * gateRetry})
}

// troubled remembers what a lane is held for, since one that holds no other mail is gone the moment after.
func (d *dispatcher) troubled(l *lane) {
	now := time.Now()
	d.troubles.Put(now, l.key, trouble{l.waits[0], now})
}

// ours reports whether a lane waits for a part of the host's, and not for a path.
func (w Wait) ours() bool {
	return w.Reason == WaitGate || w.Reason == WaitSigner || w.Reason == WaitQueue
}

// why is all that the delivery's lane waits for, when it will be tried, and whether it is being attempted right now.
func (d *dispatcher) why(del *queue.Delivery, now time.Time) (waits []Wait, f Forecast, attempted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for a := range d.running {
		for i := range a.group {
			// With another lease it is an attempt that has just been settled.
			if a.group[i].ID == del.ID && a.group[i].Lease == del.Lease {
				return nil, f, true
			}
		}
	}
	l := d.lanes[del.Lane]
	waits = d.heldWaits(del, l, now)
	if t, ok := d.troubles.Peek(now, del.Lane); ok && del.State == queue.Waiting && del.Due.After(now) && (del.Last() == nil || t.at.After(del.Last().At)) {
		t.wait.Until = del.Due // it was put back for that
		waits = append(waits, t.wait)
	}
	f = d.foresee(d.s.stream(del.Lane.Stream), del, now, l.place(del, now))
	if l == nil {
		return waits, f, false
	}
	for _, w := range l.waits {
		if w.Reason == WaitSuspended && slices.Contains(waits, w) || len(waits) > 0 && waits[0].ours() && w.Reason == waits[0].Reason { // which ends before it is due
			continue
		}
		if w.Until.IsZero() || w.Until.After(now) {
			waits = append(waits, w)
		}
	}
	return waits, f, false
}

// WarmupStage tells how far the warm-up of a stream's cold routes is: the earliest stage, counted from 1, of all paths that they have used so far, and
// of how many; the first stage if they have used none. It is 0 when no route of its pool is being warmed up, or all paths are through, and when the Pacer is the host's own or
// the Sender was not started. It is what an engagement.Gate wants to know.
func (s *Sender) WarmupStage(stream string) (stage, of int) {
	if !s.isRunning() || s.ledger == nil {
		return 0, 0
	}
	cold := map[string]bool{}
	for _, r := range s.stream(stream).pool.routes {
		if r.warming {
			cold[r.Name] = true
			stage, of = 1, len(r.Warmup.Stages)
		}
	}
	if len(cold) == 0 {
		return 0, 0
	}
	now, first := s.sharedTime(time.Now()), true
	for _, st := range s.ledger.StatesAt(now) {
		if !cold[st.Route] {
			continue
		}
		if first || st.Stage < stage {
			stage, of, first = st.Stage, st.Stages, false
		}
	}
	if stage > of {
		return 0, 0
	}
	return stage, of
}
