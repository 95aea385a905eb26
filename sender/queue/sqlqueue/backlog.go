package sqlqueue

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// Backlog implements sender.BacklogCounter. Like Lanes it counts what is open, so it takes the longer the more that is; the ages cost hardly more. They go by the order in which messages
// were accepted, so that one of a transaction that was open for long may count for older than it is, or younger, by as much.
func (q *Queue) Backlog(ctx context.Context, older ...time.Duration) ([]queue.LaneBacklog, error) {
	var lanes map[queue.Lane]*queue.LaneBacklog
	err := q.reading(ctx, "backlog", func() error {
		lanes = map[queue.Lane]*queue.LaneBacklog{}
		oldest := map[queue.Lane]int64{}
		firsts := make([]any, 0, 3*len(older))
		for _, age := range older {
			seq, err := q.firstSince(ctx, age)
			if err != nil {
				return err
			}
			firsts = append(firsts, seq<<shift)
		}
		firsts = append(append(firsts, firsts...), firsts...) // for each of the three parts
		rows, err := q.pool.query(ctx, q.text("backlog", len(older), func() string { return backlogText(len(older)) }), firsts...)
		err = scan(rows, err, func(r *sql.Rows) error {
			var l queue.Lane
			var next, seq int64
			var waiting, due, inFlight int
			counts := make([]int, len(older))
			dest := []any{&l.Stream, &l.Domain, &l.Route, &next, &waiting, &due, &inFlight, &seq}
			for i := range counts {
				dest = append(dest, &counts[i])
			}
			if err := r.Scan(dest...); err != nil {
				return err
			}
			b := lanes[l]
			if b == nil {
				b = &queue.LaneBacklog{LaneStatus: queue.LaneStatus{Lane: l, Next: -1}, Older: make([]int, len(older))}
				lanes[l] = b
			}
			b.Waiting += waiting
			b.Due += due
			b.InFlight += inFlight
			for i, n := range counts {
				b.Older[i] += n
			}
			if wait := max(0, time.Duration(next)*time.Microsecond); waiting > 0 && (b.Next < 0 || wait < b.Next) {
				b.Next = wait
			}
			if o, ok := oldest[l]; !ok || seq < o {
				oldest[l] = seq
			}
			return nil
		})
		if err != nil {
			return err
		}
		status := make(map[queue.Lane]*queue.LaneStatus, len(lanes))
		for l, b := range lanes {
			status[l] = &b.LaneStatus
		}
		return q.ages(ctx, status, oldest)
	})
	if err != nil {
		return nil, err
	}
	out := make([]queue.LaneBacklog, 0, len(lanes))
	for _, b := range lanes {
		b.Next = max(0, b.Next)
		out = append(out, *b)
	}
	return out, nil
}

// backlogText counts by lane, in one statement, so that what moves from one state to another meanwhile is counted once.
func backlogText(ages int) string {
	older := strings.Repeat(", count(CASE WHEN seq < ? THEN 1 END)", ages)
	part := func(next, waiting, due, inFlight, state string) string {
		return "SELECT stream, domain, route, " + next + ", " + waiting + ", " + due + ", " + inFlight + ", min(seq)" + older +
			" FROM repute_delivery WHERE state = " + state + " GROUP BY stream, domain, route"
	}
	lapsed, held := "count(CASE WHEN due <= {now} THEN 1 END)", "count(CASE WHEN due > {now} THEN 1 END)"
	return part("0", "count(*)", "count(*)", "0", "0") + " UNION ALL " + part("min(due) - {now}", "count(*)", lapsed, "0", "1") +
		" UNION ALL " + part("0", lapsed, lapsed, held, "2")
}

// firstSince is about the first message that was accepted within a time, by its number: messages are numbered in the order in which they are accepted. It looks at some
// thirty of them.
func (q *Queue) firstSince(ctx context.Context, age time.Duration) (int64, error) {
	var low, high sql.NullInt64
	if err := q.one(ctx, q.pool, "SELECT (SELECT min(seq) FROM repute_message), (SELECT max(seq) FROM repute_message)", nil, &low, &high); err != nil {
		return 0, err
	}
	if !low.Valid {
		return 0, nil
	}
	from, to := low.Int64, high.Int64+1 // to was accepted within, or is behind all
	for from < to {
		mid := from + (to-from)/2
		var seq, old int64
		err := q.one(ctx, q.pool, "SELECT seq, CASE WHEN created < {now} - ? THEN 1 ELSE 0 END FROM repute_message WHERE seq >= ? ORDER BY seq LIMIT 1",
			[]any{age.Microseconds(), mid}, &seq, &old)
		switch {
		case errors.Is(err, sql.ErrNoRows) || err == nil && old == 0:
			to = mid
		case err != nil:
			return 0, err
		default:
			from = seq + 1
		}
	}
	return from, nil
}
