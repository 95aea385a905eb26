package sender

import (
	"math"
	"slices"
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
				n += c.backlog(t, math.MaxInt, "")
			}
		case rank == mine:
			n += c.fairRivals(fair)
		}
	}
	return n
}

// fairRivals is rivals for the lanes of one fairQueue.
func (c *foresight) fairRivals(q *fairQueue) float64 {
	mine := c.stream()
	turns := float64(c.own) + 1
	if t := q.streams[mine]; t != nil {
		fair := turns + c.backlog(t, c.own+1, "")
		if c.open > 0 { // a session that becomes free is for a lane that can use it
			fair = min(fair, (turns+c.backlog(t, c.own+1, c.probe.site()))/c.open)
		}
		turns = fair
	}
	n := turns - float64(c.own) - 1
	for st, t := range q.streams {
		if st != mine && len(t.lanes) > 0 {
			n += min(c.backlog(t, math.MaxInt, ""), turns*float64(st.Weight)/float64(max(1, mine.Weight)))
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

// backlog is about how many deliveries the lanes of a stream in line hold, or those to one site, each counted up to a number, without its own lane and those of lines that were
// looked at already.
func (c *foresight) backlog(t *turn, atMost int, site string) float64 {
	sum, seen, rest := 0, 0, len(t.lanes)
	for _, l := range t.lanes[:min(rest, maxRivals)] {
		seen++
		if l != c.l && !slices.ContainsFunc(c.lines, func(q *line) bool { return q.has(l) }) && (site == "" || l.site() == site) {
			sum += min(atMost, max(1, len(l.buf)+l.queued))
		}
	}
	if seen == 0 {
		return 0
	}
	return float64(sum) * float64(rest) / float64(seen)
}
