package sender

import (
	"strings"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// lane is a lane of the queue that the dispatcher knows to hold mail. The dispatcher's mutex guards it.
type lane struct {
	key      queue.Lane
	stream   *stream
	route    string // of key.Route: the only one that may be used; empty: any
	pool     string // of key.Route: the pool that an operator has moved the mail to; empty: the stream's
	warmOnly bool   // of key.Route: no path that is being warmed up may be used

	buf      []queue.Delivery // leased to us, in the order in which to send
	from     int              // the first of buf that is to be tried: those before it are kept
	kept     int              // how many at the front of buf wait for the allowance of cold routes, while others overflow
	keptOn   *path            // whose allowance they wait for
	yields   bool             // it has been told to make room for better mail
	keptTill time.Time        // until when none of them has waited for too long
	best     int              // the highest priority of what came into the queue since the latest claim
	chunk    int              // how many to claim next
	due      time.Time        // when the queue has more for this lane; zero: nothing that we know of
	news     int              // how often something was expected: a claim under way may not have seen the latest
	inFlight int              // groups being attempted
	queued   int              // about how many deliveries the queue could give out now (backlog.go)
	changed  int              // by how much that has changed since the counted-th count of the queue was begun
	taken    int              // how much of that was claimed
	counted  int
	seen     bool // what is being claimed may be in the first count already

	fetching  bool
	returning bool // leases are being given back: what comes now must not overtake them
	resolving bool
	dest      *destination
	dnsTries  int
	dnsWait   Wait          // the latest failure to resolve
	dnsUntil  time.Time     // when to resolve again after a failure
	pause     time.Duration // the latest hold for the gate, signer or queue
	heldUntil time.Time     // nothing is begun before
	// blockedTill is until when it stands still since all of its routes were found suspended.
	blockedTill time.Time

	// How many turns it has had among the lanes of a stream that wait for a path, and when the latest was.
	turnOf        *turn
	turns, popped int
	stood         place // where it stood before that

	lines int    // in how many lines it stands
	turn  *path  // whose turn it has, while it claims what to send
	waits []Wait // why it does not go on, for Explain: all that is in the way
	alarm alarm
}

// The marks behind the route in the name of a lane. No name of a route or pool has a '~'.
const (
	poolMark = "~pool=" // and the name of the pool that the mail was moved to
	warmMark = "~warm"  // the mail may not go over cold routes
)

// laneRoute is what queue.Lane.Route is for a route, or any, a pool that is not the stream's, or none, and mail that may not or may go over cold routes.
func laneRoute(route, pool string, warmOnly bool) string {
	if pool != "" {
		route += poolMark + pool
	}
	if warmOnly {
		route += warmMark
	}
	return route
}

// splitLaneRoute is the inverse of laneRoute.
func splitLaneRoute(s string) (route, pool string, warmOnly bool) {
	s, warmOnly = strings.CutSuffix(s, warmMark)
	route, pool, _ = strings.Cut(s, poolMark)
	return route, pool, warmOnly
}

func (l *lane) site() string {
	if l.dest == nil {
		return ""
	}
	return l.dest.site
}

// passing reports whether all that is in the lane's way are others who are being served.
func (l *lane) passing() bool {
	for i := range l.waits {
		if r := l.waits[i].Reason; r != WaitConnections && r != WaitTurn {
			return false
		}
	}
	return true
}

// idle reports whether nothing is left to do for the lane.
func (l *lane) idle() bool {
	return len(l.buf) == 0 && l.due.IsZero() && !l.fetching && !l.returning && !l.resolving && l.inFlight == 0 && l.lines == 0 && l.turn == nil
}

// expects notes that the queue has something for the lane at t.
func (l *lane) expects(t time.Time) {
	l.news++
	if l.due.IsZero() || t.Before(l.due) {
		l.due = t
	}
}

// rank is the priority of the best delivery of the lane, as far as is known.
func (l *lane) rank() int {
	if len(l.buf) == 0 {
		return l.best
	}
	return max(l.best, l.buf[0].Priority)
}

// better reports whether the queue holds better mail than buf, so that buf must not be served first.
func (l *lane) better(now time.Time) bool {
	return len(l.buf) > 0 && l.best > l.buf[0].Priority && !l.due.IsZero() && !l.due.After(now)
}

// insert puts a delivery into buf behind those of a higher priority, and those of the same that are older.
func (l *lane) insert(d queue.Delivery) {
	i := len(l.buf)
	for i > 0 && (l.buf[i-1].Priority < d.Priority || l.buf[i-1].Priority == d.Priority && l.buf[i-1].Created.After(d.Created)) {
		i--
	}
	if i < l.kept && len(d.History) > 0 { // it does not wait for allowance
		l.keptTill = time.Time{}
	}
	l.buf = append(l.buf, queue.Delivery{})
	copy(l.buf[i+1:], l.buf[i:])
	l.buf[i] = d
}

// first is the delivery that is to be tried.
func (l *lane) first() *queue.Delivery { return &l.buf[l.from] }

// free is how many of buf are not kept.
func (l *lane) free() int { return len(l.buf) - l.kept }

// group is the deliveries at the front of buf, or behind those that are kept, that one transaction can carry: those of one message, at most n. One that
// some route has refused goes alone, since it may not use the routes of the others.
func (l *lane) group(n int) []queue.Delivery {
	buf := l.buf[l.from:]
	i := 1
	if !refused(&buf[0]) {
		for i < len(buf) && i < n && buf[i].MessageID == buf[0].MessageID && !refused(&buf[i]) {
			i++
		}
	}
	return buf[:i]
}

// refused reports whether any route was refused for good with this delivery.
func refused(del *queue.Delivery) bool {
	for i := range del.History {
		if del.History[i].Verdict.Permanent {
			return true
		}
	}
	return false
}
