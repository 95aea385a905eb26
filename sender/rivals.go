package sender

import (
	"math"
)

// rivals is how many deliveries of all lanes in a line go before this one: those before it in its lane; of each other lane of its stream as many as it has turns itself; of
// the other streams by their weights.
func (c *foresight) rivals(q *line) float64 {
	if !q.ranked {
		n := float64(c.own)
		for _, fair := range q.by {
			n += c.fairRivals(fair)
		}
		return n
	}
	mine := c.del.Priority
	if c.l != nil {
		mine = max(mine, c.l.rank())
	}
	n := float64(c.own)
	for rank, fair := range q.by {
		switch {
		case rank > mine:
			for _, t := range fair.streams {
				n += backlog(t, c.l, math.MaxInt, "")
			}
		case rank == mine:
			n += c.fairRivals(fair)
		}
	}
	return n
}

// fairRivals is rivals for the lanes of one fairQueue.
func (c *foresight) fairRivals(q *fairQueue) float64 {
	mine := c.stream().itself()
	turns := float64(c.own) + 1
	if t := q.streams[mine]; t != nil {
		fair := turns + backlog(t, c.l, c.own+1, "")
		if c.open > 0 { // a session that becomes free is for a lane that can use it
			fair = min(fair, (turns+backlog(t, c.l, c.own+1, c.probe.site()))/c.open)
		}
		turns = fair
	}
	n := turns - float64(c.own) - 1
	for st, t := range q.streams {
		if st != mine && len(t.lanes) > 0 {
			n += min(backlog(t, c.l, math.MaxInt, ""), turns*float64(st.Weight)/float64(max(1, mine.Weight)))
		}
	}
	return n
}

// stream is the delivery's, as the lines know it.
func (c *foresight) stream() *stream {
	if c.l != nil {
		return c.l.stream
	}
	return c.d.s.stream(c.del.Lane.Stream)
}

// backlog is about how many deliveries the lanes of a stream in line hold, or those to one site, each counted up to a number, without one lane.
func backlog(t *turn, without *lane, atMost int, site string) float64 {
	sum, seen, rest := 0, 0, len(t.lanes)
	for _, l := range t.lanes[:min(rest, maxRivals)] {
		seen++
		if l != without && (site == "" || l.site() == site) {
			sum += min(atMost, max(1, len(l.buf)+l.queued))
		}
	}
	if seen == 0 {
		return 0
	}
	return float64(sum) * float64(rest) / float64(seen)
}
