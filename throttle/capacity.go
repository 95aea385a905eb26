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

// tickets are a path's places in the lines of its caps: of the route, the provider and the process.
type tickets struct {
	at    [3]time.Time // when there is a token for it; zero: it has no place
	until time.Time    // when it comes again for the latest of them
}

const (
	// ticketGrace is how long a ticket is good after its time, and after that of the latest that the path waits for.
	ticketGrace = 2 * time.Minute
	// farAhead is from where on a path waits for one cap alone, and keeps nothing of the others from those that can use it.
	farAhead = time.Minute
	// maxTicket is how far ahead tickets are given out.
	maxTicket = 24 * time.Hour
)

// take takes a message, or says when there will be one, and gives out a ticket for that time: so paths take turns, and none that comes at the right moment takes from one
// that waits. A ticket is good until the path has those of its other caps, so that several slow caps meet. Those that are used late and together wait for each other.
func (c *capacity) take(now time.Time, all *tickets, i int) (until time.Time, ok bool) {
	if c == nil || c.rate == (Rate{}) {
		return time.Time{}, true
	}
	if c.messageShare != nil {
		return c.messageShare.rate.take(now)
	}
	now = c.clock(now)
	ticket := &all.at[i]
	if t := *ticket; !t.IsZero() {
		if now.Before(t) && t.Sub(now) <= maxTicket {
			return t, false
		}
		*ticket = time.Time{}
		if !now.Before(t) && now.Sub(laterOf(t, all.until)) <= ticketGrace {
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
	if until.Sub(now) <= maxTicket {
		until = c.messages.reserve(now)
		*ticket = until
	}
	return until, false
}

// far reports whether it takes long until there is a message.
func (c *capacity) far(now time.Time, all *tickets, i int) bool {
	if c == nil || c.rate == (Rate{}) || c.messageShare != nil {
		return false
	}
	now = c.clock(now)
	if t := all.at[i]; !t.IsZero() {
		return t.Sub(now) > farAhead
	}
	return c.messages.next(now) > farAhead
}

// hold turns a message that was taken, and cannot be used yet, into a ticket.
func (c *capacity) hold(now time.Time, all *tickets, i int) {
	switch {
	case c == nil || c.rate == Rate{}:
	case c.messageShare != nil:
		c.messageShare.rate.give(now)
	default:
		now = c.clock(now)
		c.begun.give(now)
		all.at[i] = now
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
