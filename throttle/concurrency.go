package throttle

import "time"

// concurrency is the most connections that a path may have, as far as the receiver has shown: down fast, up slowly.
//
// A refusal that is about connections is exact: with one fewer than are open it had not come. Any other failure of a connection while others
// work may have other reasons, and counts by concurrency feedback with hysteresis (Postfix, SCHEDULER_README): the first failure takes one
// connection away at once, each further one only after a row of as many failures as connections are allowed, and at most once a minute. A connection is given back when that many
// messages succeeded and some time has passed; if the receiver refuses it, the next try comes after twice that time.
type concurrency struct {
	most int // 0: no limit; nothing was learnt, unless raised
	top  int // where the limit is none any more
	at   time.Time
	wait time.Duration // before the next one is given back
	// good and bad count successes and failures towards the next step.
	good, bad int
	raised    bool // the latest step was up
}

// weakStep is how often failures that may have other reasons take a connection away at most.
const weakStep = time.Minute

// effective is the most connections out of those configured; 0 is no limit.
func (c *concurrency) effective(configured int) int { return tighter(configured, c.most) }

// refused notes that the receiver refused a connection for their number when open were open, the refused one too. It reports whether the limit is lower now.
func (c *concurrency) refused(now time.Time, open, configured int, b *Backoff) bool {
	most := max(b.MinConnections, open-1)
	if now := c.effective(configured); now > 0 && most >= now {
		return false
	}
	c.lower(now, most, max(configured, open), b)
	return true
}

// failed notes a failure of a connection while open were open and others of them worked. It reports whether the limit is lower now.
func (c *concurrency) failed(now time.Time, open, configured int, b *Backoff) bool {
	c.good = 0
	if c.bad--; c.bad > 0 || !c.at.IsZero() && now.Sub(c.at) < weakStep {
		return false
	}
	allowed := c.effective(configured)
	if allowed == 0 || open < allowed {
		allowed = open
	}
	most := max(b.MinConnections, allowed-1)
	c.bad = most
	if now := c.effective(configured); now > 0 && most >= now {
		return false
	}
	c.lower(now, most, max(configured, open), b)
	return true
}

func (c *concurrency) lower(now time.Time, most, top int, b *Backoff) {
	switch {
	case c.raised:
		c.wait = min(2*c.wait, b.MaxRaiseAfter)
	case c.wait == 0:
		c.wait = b.RaiseAfter
	}
	if c.most == 0 {
		c.top = top
	}
	c.most, c.at, c.good, c.raised = most, now, 0, false
}

// succeeded notes a success. It reports whether the limit is higher now.
func (c *concurrency) succeeded(now time.Time, b *Backoff) bool {
	if c.most == 0 && !c.raised {
		return false
	}
	allowed := c.most
	if allowed == 0 {
		allowed = c.top
	}
	if c.good++; c.good < allowed || now.Sub(c.at) < c.wait {
		return false
	}
	if c.most == 0 { // the step that took the limit away has stood
		*c = concurrency{}
		return false
	}
	if c.raised { // the last step up has stood
		c.wait = b.RaiseAfter
	}
	c.most++
	c.at, c.good, c.bad, c.raised = now, 0, 0, true
	if c.most >= c.top { // the receiver may refuse this step too: wait is kept until then
		c.most = 0
	}
	return true
}
