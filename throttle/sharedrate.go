package throttle

import (
	"math"
	"time"
)

// sharedRate is this process's share of a rate, with the token bucket that keeps to it. It is used as lease says.
//
// The bucket holds 0.1 seconds of the share, and on top this process's part of 0.2 seconds of the limit, but at least one token. What is on top
// goes to those who are short, through the pot of the record, which holds 0.1 seconds of the limit and at least one token. So over any time T all processes together take at most limit × T, plus 0.4 seconds of the limit,
// plus one token for each process and one for the pot. Everything begins empty; the pot of a new record holds one token.
type sharedRate struct {
	lease
	configured int64
	tokens     float64   // as of last
	last       time.Time // when tokens was right
	// used and lacks count the tokens taken, and the refusals, since the lease's began; usedThen and lacksThen are what the exchange
	// under way has told of them.
	used, lacks, usedThen, lacksThen int
	// usual is what is used in a second, on average over the last few; usualThen will be after the exchange under way.
	usual, usualThen float64
	// waits is when somebody who was refused comes again; in the past if nobody was.
	waits time.Time
	// wanted is what was asked for, as long as the share is too small.
	wanted int64
}

// How much a bucket keeps to itself, in seconds of its share, and how much all buckets hold on top, in seconds of the limit.
const (
	rateKeep  = 0.1
	rateSpare = 0.2
)

// askAgain is for how many seconds an exchange may be under way before whoever waits for its result asks again.
const askAgain = 0.05

// usualOver is the time constant of what is usually used.
const usualOver = 2.0 // seconds

func newSharedRate(now time.Time, rate Rate, owner string, ttl time.Duration) *sharedRate {
	r := &sharedRate{lease: newLease(now, shareRate, owner, ttl), last: now}
	r.setRate(rate)
	return r
}

// setRate changes the configured limit, as of the next exchange. The zero Rate cannot be shared.
func (r *sharedRate) setRate(rate Rate) {
	r.configured = min(maxShare, max(1, int64(rate.perSecond()*one)))
}

// perSecond is the share.
func (r *sharedRate) perSecond() float64 { return float64(r.share) / one }

// advance brings the tokens up to date. A now before an earlier one counts as that one.
func (r *sharedRate) advance(now time.Time) {
	passed := now.Sub(r.last)
	if passed <= 0 {
		return
	}
	r.last = now
	share := r.perSecond()
	if depth := r.depth(); r.tokens < depth {
		r.tokens = min(depth, r.tokens+share*passed.Seconds())
	}
}

// depth is how many tokens the bucket holds, but for those that come from the pot or are given back.
func (r *sharedRate) depth() float64 {
	spare := rateSpare * float64(r.limit) / one / float64(max(1, r.owners))
	return max(1, rateKeep*r.perSecond()+spare)
}

// take takes a token, or says when to ask again: when there will be one, or when the share may have become larger.
func (r *sharedRate) take(now time.Time) (until time.Time, ok bool) {
	r.advance(now)
	if r.tokens >= 1 {
		r.tokens--
		r.used++
		r.waits = time.Time{}
		return time.Time{}, true
	}
	r.lacks++
	missing := 1 - r.tokens
	wait := max(0, r.next.Sub(now)).Seconds() + askAgain
	if share := r.perSecond(); share > 0 {
		wait = min(wait, missing/share)
	}
	// However much the share grows, it will not be more than the limit.
	if limit := float64(max(r.limit, r.share)) / one; limit > 0 {
		wait = max(wait, min(missing/limit, 1e9))
	}
	until = now.Add(time.Duration(math.Ceil(wait*float64(time.Second))) + time.Microsecond)
	r.waits = until.Add(time.Duration(askAgain * float64(time.Second)))
	return until, false
}

// give gives back a token that was taken and not used.
func (r *sharedRate) give(now time.Time) {
	r.advance(now)
	r.tokens++
	r.used--
}

// available is how many tokens there are.
func (r *sharedRate) available(now time.Time) float64 {
	r.advance(now)
	return r.tokens
}

// shift is for a clock that was set: it empties the bucket and counts from now.
func (r *sharedRate) shift(now time.Time) {
	r.tokens, r.last, r.waits = 0, now, time.Time{}
	r.looked, r.began, r.next, r.renewed = now, now, now, now
	if !r.held.IsZero() {
		r.held = now
	}
}

// exchange is that of lease.
func (r *sharedRate) exchange(now time.Time, old []byte) ([]byte, error) {
	r.advance(now)
	r.usedThen, r.lacksThen = r.used, r.lacks
	passed := max(now.Sub(r.began), time.Millisecond).Seconds()
	recent := float64(max(0, r.used)) / passed
	r.usualThen = r.usual + (1-math.Exp(-passed/usualOver))*(recent-r.usual)
	a := ask{limit: r.configured}
	refused := r.lacks > 0 || now.Before(r.waits)
	switch full := r.perSecond() * passed; {
	case r.limit == 0: // Nothing is known yet.
		if a.short = refused; a.short {
			r.wanted, a.want = maxShare, maxShare
		}
	case refused && float64(r.used)+1 >= full*15/16:
		// Who was refused, and has used its share, is short: somebody who is refused now and then has enough.
		a.short = true
		a.want = r.climb(float64(r.used) >= full*15/16 || r.used > 0 && full < 2)
	default:
		r.wanted = 0
		a.want = int64(min(r.usualThen, 2*recent+1) * 17 / 16 * one)
		if small := r.limit / 2 / int64(max(1, r.owners)); r.share <= small && a.want >= r.share/2 {
			a.want = max(a.want, r.share) // What is too much goes through the pot, which costs less than changing all shares to and fro.
		}
		a.offer = int64(max(0, r.tokens-max(1, rateKeep*r.perSecond())) * one)
	}
	record, given, err := r.lease.exchange(now, old, a)
	r.tokens -= float64(given) / one
	return record, err
}

// climb is what somebody wants who is short. It may be by chance, so that is twice as much at first. If it uses that up too, surely, it is all
// there is. Where a token takes longer than an exchange there is nothing to be learnt from the first step.
func (r *sharedRate) climb(surely bool) int64 {
	switch {
	case r.wanted == 0:
		if r.wanted = max(2*r.share, r.limit/4/int64(max(1, r.owners))); r.wanted < one {
			r.wanted = maxShare
		}
	case surely && r.share >= r.wanted*15/16:
		r.wanted = maxShare
	}
	return r.wanted
}

// settle is that of lease.
func (r *sharedRate) settle(now time.Time, err error) bool {
	r.advance(now) // at the share of before
	pot := r.trial.pot
	if !r.lease.settle(now, err) {
		return false
	}
	r.used -= r.usedThen
	r.lacks -= r.lacksThen
	r.usual = r.usualThen
	r.tokens = min(r.tokens, r.depth()) + float64(pot)/one
	return true
}
