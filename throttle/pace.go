package throttle

import (
	"math"
	"time"
)

// pace is the message rate that a path has learnt: halved at a time, raised by small steps while mail is accepted (additive increase, multiplicative decrease).
//
// It starts from what was really sent, not from what is configured: what a receiver calls too much is what it got. From there it takes half an
// hour of accepted mail to come back to the rate that was too much, and from there on it rises by a thirtieth each minute.
type pace struct {
	rate float64 // messages a second; 0: nothing was learnt
	base float64 // what was too much
	at   time.Time
}

// The steps of a pace.
const (
	paceCut      = 0.5
	paceStep     = time.Minute // at most one change in it
	paceRecovery = 60          // steps up that make up for base
	paceProbe    = 30          // beyond base: a step is this part of the rate
	paceEnd      = 8           // times base, where no rate is configured, the pace is forgotten
	paceSample   = 10          // messages accepted in the last minutes say at what rate
)

// cut halves the pace, once a minute at most. sent is the rate at which mail was accepted lately; 0 when that is not known well enough to learn from it. It
// reports whether the rate is lower now.
func (c *pace) cut(now time.Time, sent, configured float64, b *Backoff) bool {
	if !c.at.IsZero() && now.Sub(c.at) < paceStep {
		return false
	}
	from := sent
	if c.rate > 0 {
		from = c.rate
	}
	if from == 0 {
		return false
	}
	floor := b.MinMessageRate.perSecond()
	if configured > 0 {
		from, floor = min(from, configured), min(floor, configured)
	}
	rate := max(floor, from*paceCut)
	lower := c.rate == 0 || rate < c.rate
	c.rate, c.base, c.at = rate, max(from, rate), now
	return lower
}

// succeeded raises the pace by a step each minute.
func (c *pace) succeeded(now time.Time, configured float64) {
	if c.rate == 0 || now.Sub(c.at) < paceStep {
		return
	}
	if c.rate < c.base {
		c.rate += c.base / paceRecovery
	} else {
		c.rate += c.rate / paceProbe
	}
	c.at = now
	if configured > 0 && c.rate >= configured || configured == 0 && c.rate >= paceEnd*c.base {
		*c = pace{}
	}
}

// asRate is a pace as a Rate, rounded up to whole messages an hour.
func asRate(perSecond float64) Rate {
	if perSecond == 0 {
		return Rate{}
	}
	return Rate{N: max(1, int(math.Ceil(perSecond*3600-1e-9))), Per: time.Hour}
}
