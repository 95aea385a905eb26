package throttle

import "time"

// sharedConnections is this process's share of a number of connections. It is used as lease says. Whoever owns it counts the connections.
type sharedConnections struct {
	lease
	configured int64
	// peak is the most that were open since the last exchange, lacks how often one more was refused; those with Then are what the
	// exchange under way has told of them.
	peak, lacks, lacksThen int
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
		c.lacks++
		return false
	}
	c.peak = max(c.peak, open+1)
	return true
}

// shift is for a clock that was set.
func (c *sharedConnections) shift(now time.Time) {
	c.looked, c.began, c.next = now, now, now
	if !c.held.IsZero() {
		c.held = now
	}
}

// exchange is that of lease. open is how many connections are open now.
func (c *sharedConnections) exchange(now time.Time, old []byte, open int) ([]byte, error) {
	c.lacksThen = c.lacks
	c.peak = max(c.peak, open)
	a := ask{limit: c.configured, want: int64(c.peak), least: int64(open)}
	if c.lacks > 0 {
		a.want = maxShare
	}
	record, _, err := c.lease.exchange(now, old, a)
	return record, err
}

// settle is that of lease. open is how many connections are open now.
func (c *sharedConnections) settle(now time.Time, err error, open int) bool {
	if !c.lease.settle(now, err) {
		return false
	}
	c.lacks -= c.lacksThen
	c.peak = open
	return true
}
