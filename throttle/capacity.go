package throttle

import "time"

// Cap is a hard cap over many paths: of a route, of a provider, or of the process. 0, or the zero Rate, is none.
type Cap struct {
	// Connections is the most connections open at once.
	Connections int
	// MessageRate is how many messages may begin.
	MessageRate Rate
}

func (c Cap) validate() error {
	if c.Connections < 0 {
		return invalid("Connections", "%d is negative", c.Connections)
	}
	if err := c.MessageRate.validate(); err != nil {
		return invalid("MessageRate", "%v", err)
	}
	return nil
}

// capacity is a Cap with what is used of it. A nil one has no cap.
type capacity struct {
	open, most int
	rate       Rate
	messages   bucket    // tokens, those of tickets that were given out taken
	begun      bucket    // the same for messages when they begin: however late tickets are used, the cap holds
	seen       time.Time // the latest time of a call; zero before the first
	// This process's shares of it, where several have it together.
	messageShare, connectionShare *shared
}

func newCapacity(c Cap) *capacity { return &capacity{most: c.Connections, rate: c.MessageRate} }

func (c *capacity) full() bool { return c != nil && c.most > 0 && c.open >= c.most }

func (c *capacity) add(by int) {
	if c != nil {
		c.open += by
	}
}

// take takes a message, or says when there will be one, and gives out a ticket for that time: so paths take turns, and none that comes at the right moment takes from one
// that waits. A ticket is good for two minutes from its time, so that tickets of several slow caps meet. Those that are used late and together wait for each other.
func (c *capacity) take(now time.Time, ticket *time.Time) (until time.Time, ok bool) {
	if c == nil || c.rate == (Rate{}) {
		return time.Time{}, true
	}
	if c.messageShare != nil {
		return c.messageShare.rate.take(now)
	}
	now = c.clock(now)
	if t := *ticket; !t.IsZero() {
		if now.Before(t) && t.Sub(now) <= maxTicket {
			return t, false
		}
		*ticket = time.Time{}
		if !now.Before(t) && now.Sub(t) <= ticketGrace {
			if until, ok = c.begun.take(now); !ok {
				*ticket = t
			}
			return until, ok
		}
	}
	if until, ok = c.messages.take(now); ok {
		if until, ok = c.begun.take(now); !ok {
			*ticket = now
		}
		return until, ok
	}
	if until.Sub(now) <= maxTicket { // it may be further ahead now that a ticket has run out
		until = c.messages.reserve(now)
		*ticket = until
	}
	return until, false
}

const (
	// ticketGrace is how long after its time a ticket is good, and maxTicket how far ahead one is given out.
	ticketGrace = 2 * time.Minute
	maxTicket   = time.Minute
)

// far reports whether the next token is further ahead than a ticket can be given out for, and when that is.
func (c *capacity) far(now time.Time, ticket time.Time) (until time.Time, far bool) {
	if c == nil || c.rate == (Rate{}) || c.messageShare != nil || !ticket.IsZero() {
		return time.Time{}, false
	}
	now = c.clock(now)
	until = now.Add(c.messages.next(now))
	return until, until.Sub(now) > maxTicket
}

// hold turns a message that was taken, and cannot be used yet, into a ticket.
func (c *capacity) hold(now time.Time, ticket *time.Time) {
	switch {
	case c == nil || c.rate == Rate{}:
	case c.messageShare != nil:
		c.messageShare.rate.give(now)
	default:
		now = c.clock(now)
		c.begun.give(now)
		*ticket = now
	}
}

func (c *capacity) give(now time.Time) {
	switch {
	case c == nil:
	case c.messageShare != nil:
		c.messageShare.rate.give(now)
	case !c.seen.IsZero():
		now = c.clock(now)
		c.messages.give(now)
		c.begun.give(now)
	}
}

// clock is path.clock for what many paths share: where the clock was set back the rate starts anew, empty.
func (c *capacity) clock(now time.Time) time.Time {
	switch back := c.seen.Sub(now); {
	case c.seen.IsZero():
		c.start(now, 1)
	case back > clockSlack:
		c.messages, c.begun = bucket{}, bucket{}
		c.start(now, 0)
	case back > 0:
		return c.seen
	}
	c.seen = now
	return now
}

func (c *capacity) start(now time.Time, tokens int) {
	c.messages.start(now, c.rate, tokens)
	c.begun.start(now, c.rate, tokens)
	if c.rate != (Rate{}) { // one more at once, so that slow caps meet
		c.begun.limiter.SetBurstAt(now, c.rate.burst()+1)
	}
}
