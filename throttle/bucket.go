package throttle

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// bucket is one rate of one path on x/time/rate. The zero bucket is unlimited. It must not be copied after start.
//
// x/time/rate's constructor makes a full bucket, and its reservations give back only what was reserved for later. This one
// starts with the tokens it is told, and can be given back one that was taken. The times given to it must not go backwards.
type bucket struct {
	limiter rate.Limiter
	// perSecond is the limiter's limit; 0 means unlimited, and the limiter is not used.
	perSecond float64
}

// start sets the rate, and fills in tokens, at most the burst.
func (b *bucket) start(now time.Time, r Rate, tokens int) {
	if r == (Rate{}) {
		return
	}
	b.perSecond = r.perSecond()
	// The zero Limiter is empty. Without a burst it stays so, however long ago its year 1 is.
	b.limiter.SetBurstAt(now, 0)
	b.limiter.SetLimitAt(now, rate.Limit(b.perSecond))
	b.limiter.SetBurstAt(now, r.burst())
	b.limiter.AllowN(now, -tokens)
}

// take takes a token, or says when there will be one.
func (b *bucket) take(now time.Time) (until time.Time, ok bool) {
	if b.perSecond == 0 || b.limiter.AllowN(now, 1) {
		return time.Time{}, true
	}
	return now.Add(b.next(now)), false
}

// next is how long it takes until there is a token.
func (b *bucket) next(now time.Time) time.Duration {
	missing := 1 - b.tokens(now)
	if missing <= 0 {
		return 0
	}
	// The microsecond makes up for rounding: at the time that is named here there must be a whole token.
	return time.Duration(math.Ceil(missing/b.perSecond*float64(time.Second))) + time.Microsecond
}

// reserve takes the token that take has just refused, for the time that it returns.
func (b *bucket) reserve(now time.Time) time.Time {
	return now.Add(b.limiter.ReserveN(now, 1).DelayFrom(now) + time.Microsecond)
}

// give gives back a token, as if it had never been taken. Above the burst it is lost, as it would be in a full bucket.
//
// x/time/rate subtracts what it is asked for, so that asking for minus one adds one; the next call caps the sum.
// TestBucketGive and the property tests hold it to that.
func (b *bucket) give(now time.Time) {
	if b.perSecond != 0 {
		b.limiter.AllowN(now, -1)
	}
}

// tokens is how many are there; infinite when the rate is unlimited.
func (b *bucket) tokens(now time.Time) float64 {
	if b.perSecond == 0 {
		return math.Inf(1)
	}
	return b.limiter.TokensAt(now)
}
