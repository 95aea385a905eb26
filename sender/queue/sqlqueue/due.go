package sqlqueue

import (
	"context"
	"database/sql"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// dueStep is how many index entries Due reads at a time.
const dueStep = 1000

// Due tells of all lanes that hold waiting deliveries. It jumps from lane to lane, so what it costs grows with the number of
// lanes, and not with what waits in them.
func (q *Queue) Due(ctx context.Context) ([]queue.LaneDue, error) {
	next := map[queue.Lane]time.Duration{}
	err := q.reading(ctx, "due", func() error {
		clear(next)
		if err := q.walk(ctx, walkReady, next); err != nil {
			return err
		}
		return q.walk(ctx, walkWaiting, next)
	})
	if err != nil {
		return nil, err
	}
	out := make([]queue.LaneDue, 0, len(next))
	for l, wait := range next {
		out = append(out, queue.LaneDue{Lane: l, Next: wait})
	}
	return out, nil
}

// A walk finds the lanes after one: the other routes of its domain, then the other domains of its stream, then the other streams. In one
// statement, SQLite would walk over all that is in the lane.
var (
	walkReady   = walkTexts("0", "stream, domain, route", "0")
	walkWaiting = walkTexts("1", "stream, domain, route, due", "min(due) - {now}")
)

func walkTexts(state, columns, wait string) [3]string {
	text := func(after string) string {
		return "SELECT stream, domain, route, " + wait + " FROM (SELECT " + columns + " FROM repute_delivery WHERE state = " + state + " AND " + after +
			" ORDER BY " + columns + " LIMIT {n}) l GROUP BY stream, domain, route"
	}
	return [3]string{text("stream = ? AND domain = ? AND route > ?"), text("stream = ? AND domain > ?"), text("stream > ?")}
}

// walk notes the lanes of one index, and how long it takes until the first of each is due. What is noted already comes first.
func (q *Queue) walk(ctx context.Context, texts [3]string, next map[queue.Lane]time.Duration) error {
	var last queue.Lane
	for level := 0; level < len(texts); {
		from := [3][]any{{last.Stream, last.Domain, last.Route, dueStep}, {last.Stream, last.Domain, dueStep}, {last.Stream, dueStep}}
		found := false
		rows, err := q.pool.query(ctx, texts[level], from[level]...)
		err = scan(rows, err, func(r *sql.Rows) error {
			var l queue.Lane
			var us int64
			if err := r.Scan(&l.Stream, &l.Domain, &l.Route, &us); err != nil {
				return err
			}
			if !found || after(l, last) {
				last = l
			}
			found = true
			wait := max(0, time.Duration(us)*time.Microsecond)
			if known, ok := next[l]; !ok || wait < known {
				next[l] = wait
			}
			return nil
		})
		if err != nil {
			return err
		}
		if level++; found {
			level = 0
		}
	}
	return nil
}

// after reports whether a comes after b in the order of the index.
func after(a, b queue.Lane) bool {
	if a.Stream != b.Stream {
		return a.Stream > b.Stream
	}
	if a.Domain != b.Domain {
		return a.Domain > b.Domain
	}
	return a.Route > b.Route
}
