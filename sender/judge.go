package sender

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// judge classifies the results of a transaction, tells the organs that learn from them, and settles the deliveries.
func (d *dispatcher) judge(a *attempt, results []transport.Result, err error) {
	now := time.Now()
	cancelled := d.ctx.Err() != nil && err != nil
	saw := false
	signals := make([]sign, 0, 4)
	named := 0 // recipients that the receiver took
	for i := range results {
		if stage := results[i].Reply.Stage; results[i].Accepted || stage == bounce.StageData || stage == bounce.StageDot {
			named++
		}
	}
	for i := range a.group {
		del := &a.group[i]
		var res transport.Result
		if i < len(results) {
			res = results[i]
		} else { // a Transport of the host's that breaks its contract
			res.Reply = d.failure(errors.New("no result"), bounce.StageMail, "").Reply
		}
		reply := res.Reply
		saw = saw || res.Accepted || reply.Stage.SawMessage() && !localRefusal(reply)
		record := &queue.Attempt{
			At: now, Route: a.path.key.Route, Provider: a.dest.provider, Overflow: a.overflow, OverflowFor: a.overflowFor.String(), Reply: reply,
		}
		if a.session != nil {
			record.TLS = a.session.tls
		}
		if res.Accepted {
			signals = addSignal(signals, sign{Signal: throttle.Signal{Kind: throttle.SignalSuccess}})
			d.learn(a, now, warmup.Delivered)
			d.compare(a, del, now, warmup.Delivered)
			d.s.settler.delivered(a, del, record)
			continue
		}
		if cancelled {
			// We broke off, so the receiver said nothing: tried again soon, by whoever runs next.
			d.s.settler.brokenOff(a, del)
			continue
		}
		v := d.s.cfg.Classifier.Classify(a.dest.provider, reply)
		record.Verdict = v
		if s, ok := d.signalOf(a, v, reply); ok {
			// RFC 5321 section 4.5.3.1.10: the others go into the next transaction, also when the receiver says so for good.
			surplus := v.Limit == bounce.LimitRecipients && named > 0 && reply.Stage == bounce.StageRcpt
			if surplus {
				s.Kind, s.Recipients, s.domain = throttle.SignalTooManyRecipients, named, false
			}
			s.Text = strings.Join(d.s.redact.reply(reply, del.Recipient).Lines, "\n")
			signals = addSignal(signals, s)
			if surplus {
				a.back = append(a.back, *del)
				continue
			}
		}
		d.learn(a, now, outcomeOf(v))
		d.compare(a, del, now, comparedAs(v))
		d.settleFailure(a, del, record, v, now)
	}
	if saw || cancelled {
		for _, res := range a.allowance.res[:a.allowance.n] {
			if split, ok := d.s.pacer.(PacerSplitter); ok && len(a.back) > 0 {
				split.CommitPartAt(now, res, res.N-countNew(a.back, a.path.key.Route))
				continue
			}
			d.s.pacer.CommitAt(now, res)
		}
		a.allowance.n = 0
	} else {
		d.refund(a)
	}
	a.sent = saw
	for _, s := range signals {
		d.signal(a, now, s.Signal, s.domain)
	}
}

// sign is what a reply means for the throttle: of the path, or of the signing domain.
type sign struct {
	throttle.Signal
	domain bool
}

// localRefusal reports whether we did not even begin the transaction: the receiver lacks what the message needs.
func localRefusal(r bounce.Reply) bool { return r.Local && r.Status.Class == 5 }

// settleFailure decides between another try, another route and giving up.
func (d *dispatcher) settleFailure(a *attempt, del *queue.Delivery, record *queue.Attempt, v bounce.Verdict, now time.Time) {
	next := a.lane.route
	if record.Reply.Stage.SawMessage() {
		next = a.path.key.Route // greylisting remembers the address
	}
	if v.Scope == bounce.ScopeRoute {
		next = ""
	}
	next = laneRoute(next, a.lane.pool, a.lane.warmOnly)
	if v.Permanent {
		if v.Scope != bounce.ScopeRoute || !d.hasOtherRoute(a, del) {
			d.s.settler.bounced(a, del, record)
			return
		}
		d.s.settler.deferred(a, del, record, otherRouteDelay, next)
		return
	}
	if !del.Expires.After(now) {
		d.s.settler.expiredAfter(a, del, record)
		return
	}
	after := d.s.cfg.Retry.after(del.Attempts+1, v, rand.Float64())
	if left := del.Expires.Sub(now); after >= left {
		// One last try just before the end is worth more than none, unless it came too soon after this one.
		after = left
		if early := left - lastTry; early >= max(lastTry, v.RetryAfter) {
			after = early
		}
	}
	d.s.settler.deferred(a, del, record, after, next)
}

// The clocks of retries that are no schedule.
const (
	otherRouteDelay = time.Second // a route refused for good: the next one may try at once
	lastTry         = time.Minute // before the expiry
)

// hasOtherRoute reports whether the delivery may use a route that did not refuse the delivery for good.
func (d *dispatcher) hasOtherRoute(a *attempt, del *queue.Delivery) bool {
	others := a.lane.stream.pool.all()
	if a.arm.arm == warmup.ArmNew {
		others = append(others, a.arm.of.to.all()...)
	}
	return slices.ContainsFunc(others, func(r *routeInfo) bool { return r.Name != a.path.key.Route && !refusedBy(del, r.Name) })
}

// learn tells the pacer an outcome.
func (d *dispatcher) learn(a *attempt, now time.Time, o warmup.Outcome) {
	if d.s.pacerObserver == nil {
		return
	}
	keys, n := d.s.budgets(a.lane.stream, a.path.route, a.dest.provider)
	for _, key := range keys[:n] {
		d.s.pacerObserver.ObserveAt(now, key, o, 1)
	}
}

// outcomeOf is what a verdict means for warm-up: only reputation-type deferrals count as such.
func outcomeOf(v bounce.Verdict) warmup.Outcome {
	switch v.Category {
	case bounce.BadMailbox, bounce.InactiveMailbox, bounce.BadDomain:
		if v.Permanent {
			return warmup.Bounced
		}
	case bounce.RateLimited, bounce.ReputationBlock, bounce.Blocklisted:
		if v.Permanent {
			return warmup.Blocked
		}
		return warmup.Deferred
	case bounce.NoReverseDNS, bounce.AuthFailure, bounce.Policy:
		if v.Permanent && (v.Scope == bounce.ScopeRoute || v.Scope == bounce.ScopeDomain) { // not for the recipient's sake
			return warmup.Blocked
		}
	}
	return warmup.Other
}

// comparedAs is what a verdict means for a migration: what is not the recipient's fault may speak against the route. What is the message's meets both arms
// alike.
func comparedAs(v bounce.Verdict) warmup.Outcome {
	o := outcomeOf(v)
	if o == warmup.Other && v.Scope != bounce.ScopeRecipient && v.Category != bounce.Greylisted {
		return warmup.Failed
	}
	return o
}

// signalOf is what a verdict means for the throttle. Of our own replies only the failure of a connection is told.
func (d *dispatcher) signalOf(a *attempt, v bounce.Verdict, r bounce.Reply) (sign, bool) {
	s := sign{Signal: throttle.Signal{Kind: throttle.SignalOther}}
	if r.Local {
		s.Kind = throttle.SignalNetworkFailure
		return s, v.Category == bounce.Network && r.Stage == bounce.StageConnect
	}
	if v.Scope == bounce.ScopeRecipient || v.Scope == bounce.ScopeMessage {
		return s, true // says nothing about the path
	}
	s.RetryAfter, s.domain = v.RetryAfter, v.Scope == bounce.ScopeDomain
	switch v.Category {
	case bounce.RateLimited, bounce.ReputationBlock, bounce.Blocklisted:
		s.Code = r.Code
	}
	greeting := r.Stage == bounce.StageConnect || r.Stage == bounce.StageEHLO
	switch v.Category {
	case bounce.RateLimited:
		s.Kind = throttle.SignalRateLimited
		switch {
		case v.Limit == bounce.LimitConnections:
			s.Kind = throttle.SignalTooManyConnections
		case v.Limit == bounce.LimitMessages:
			s.Kind = throttle.SignalTooManyMessages
			if a.session != nil {
				s.Messages = a.session.sent - 1
			}
		case greeting && !s.domain:
			s.Kind = throttle.SignalTooManyConnections
		}
	case bounce.ReputationBlock, bounce.Blocklisted:
		if v.Scope == bounce.ScopeRoute || s.domain && a.lane.stream.SigningDomain != "" {
			s.Kind = throttle.SignalBlocked
		}
	case bounce.ServerBusy:
		if greeting {
			s.Kind = throttle.SignalNetworkFailure
		}
	case bounce.Greylisted:
		s.Kind = throttle.SignalGreylisted
	}
	return s, true
}

// addSignal adds a signal unless one of its kind is there: one transaction is one observation.
func addSignal(signals []sign, s sign) []sign {
	for i := range signals {
		if signals[i].Kind == s.Kind && signals[i].domain == s.domain {
			signals[i].RetryAfter = max(signals[i].RetryAfter, s.RetryAfter)
			return signals
		}
	}
	return append(signals, s)
}
