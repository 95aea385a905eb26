package throttle

import "time"

// sharedConnections is this process's share of a number of connections. It is used as lease says. Whoever owns it counts the connections.
type sharedConnections struct {
	lease
	configured int64
	// peak is the most that were open since the last exchange.
	peak int
	// lacking says that one more was refused, and that there was none to be had since: who waits for a connection does not ask again until
	// there is one.
	lacking bool
}

func newSharedConnections(now time.Time, limit int, owner string, ttl time.Duration) *sharedConnections {
	c := &sharedConnections{lease: newLease(now, shareConnections, owner, ttl)}
	c.setLimit(limit)
	return c
}

// setLimit changes the configured limit, as of the next exchange. It is positive: no limit cannot be shared.
func (c *sharedConnections) setLimit(limit int) { c.configured = min(maxShare, max(1, int64(limit))) }

// most is how many connections may be open. Those above are closed as they come to an end, the idle ones at once.
func (c *sharedConnections) most() int { return int(c.share) }

// take reports whether one more connection may be opened when there are open ones, and takes note of it.
func (c *sharedConnections) take(open int) bool {
	if open >= c.most() {
		c.lacking = true
		return false
	}
	c.lacking = false
	c.peak = max(c.peak, open+1)
	return true
}

// shift is for a clock that was set.
func (c *sharedConnections) shift(now time.Time) {
	c.looked, c.began, c.next, c.renewed = now, now, now, now
	if !c.held.IsZero() {
		c.held = now
	}
}

// exchange is that of lease. open is how many connections are open now.
func (c *sharedConnections) exchange(now time.Time, old []byte, open int) ([]byte, error) {
	c.peak = max(c.peak, open)
	a := ask{limit: c.configured, want: int64(c.peak), least: int64(open)}
	if c.lacking {
		a.want = maxShare
	}
	record, _, err := c.lease.exchange(now, old, a)
	return record, err
}

// settle is that of lease. open is how many connections are open now: if fewer than most, those who wait should be told.
func (c *sharedConnections) settle(now time.Time, err error, open int) bool {
	if !c.lease.settle(now, err) {
		return false
	}
	c.peak = open
	c.lacking = c.lacking && open >= c.most()
	return true
}
