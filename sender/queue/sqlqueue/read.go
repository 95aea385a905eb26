package sqlqueue

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// found is a delivery as it is in the database.
type found struct {
	queue.Delivery
	seq   int64
	early time.Duration // until it is due
}

// deliveries reads rows of columns and the time.
func (q *Queue) deliveries(rows *sql.Rows, err error) ([]found, error) {
	var out []found
	err = scan(rows, err, func(r *sql.Rows) error {
		var f found
		var rank, due, created, expires, now int64
		var state int
		var history string
		d := &f.Delivery
		err := r.Scan(&f.seq, &d.MessageID, &d.Lane.Stream, &d.Lane.Domain, &d.Lane.Route, &d.Recipient, &rank, &state, &d.Lease, &due,
			&created, &expires, &d.Attempts, &history, &now)
		if err != nil {
			return err
		}
		if state < 0 || state >= len(states) {
			return fmt.Errorf("%w: delivery %d: state %d", errCorrupt, f.seq, state)
		}
		d.ID = queue.DeliveryID(d.MessageID, int(f.seq&(1<<shift-1)))
		d.Priority = int(-rank)
		d.State = states[state]
		if state == stateInFlight && due <= now {
			d.State = queue.Waiting
		}
		if d.State != queue.InFlight {
			d.Lease = 0
		}
		d.Due, d.Created, d.Expires = q.clock.local(due), q.clock.local(created), q.clock.local(expires)
		d.Expired = state < stateFinal && expires <= now
		if state == stateWaiting {
			f.early = max(0, time.Duration(due-now)*time.Microsecond)
		}
		if d.History, err = records(history); err != nil { // mail is not to stand for that
			q.log.Error("history of a delivery cannot be read: it goes on without", "delivery", d.ID, "err", err)
		}
		out = append(out, f)
		return nil
	})
	return out, err
}

// records reads a history.
func records(history string) ([]queue.Attempt, error) {
	if history == "" {
		return nil, nil
	}
	var out []queue.Attempt
	for line := range strings.Lines(history) {
		var a queue.Attempt
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			return out, err
		}
		out = append(out, a)
	}
	return out, nil
}

// one reads one row; sql.ErrNoRows if there is none.
func (q *Queue) one(ctx context.Context, w querier, text string, args []any, dest ...any) error {
	rows, err := w.query(ctx, text, args...)
	n := 0
	err = scan(rows, err, func(r *sql.Rows) error {
		n++
		return r.Scan(dest...)
	})
	if err == nil && n == 0 {
		return sql.ErrNoRows
	}
	return err
}

// Get implements sender.Queue.
func (q *Queue) Get(ctx context.Context, id string) ([]queue.Delivery, error) {
	var got []found
	err := q.reading(ctx, "get", func() (err error) {
		got = nil
		const from = "SELECT " + columns + ", {now} FROM repute_message m JOIN repute_delivery d "
		if messageID, n, ok := queue.SplitDeliveryID(id); ok {
			rows, err := q.pool.query(ctx, from+"ON d.seq = (m.seq << 20) + CAST(? AS BIGINT) WHERE m.id = ?", n, messageID)
			if got, err = q.deliveries(rows, err); err != nil || len(got) > 0 {
				return err
			}
		}
		rows, err := q.pool.query(ctx, from+"ON d.seq BETWEEN m.seq << 20 AND ((m.seq + 1) << 20) - 1 WHERE m.id = ? ORDER BY d.seq", id)
		got, err = q.deliveries(rows, err)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(got) == 0 {
		return nil, queue.ErrNotFound
	}
	out := make([]queue.Delivery, len(got))
	for i := range got {
		got[i].Expired = false // which Claim says
		out[i] = got[i].Delivery
	}
	return out, nil
}

// reading runs f, again if that may help.
func (q *Queue) reading(ctx context.Context, name string, f func() error) error {
	if q.isClosed() {
		return queue.ErrClosed
	}
	until := time.Now().Add(q.cfg.RetryFor)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := f()
		switch {
		case err == nil, err == sql.ErrNoRows:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case q.d.fault(err) == faultHard, time.Now().After(until):
			return fmt.Errorf("sqlqueue: %s: %w", name, err)
		}
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-wait.C:
		}
		wait.Stop()
	}
}

// Lanes implements sender.Queue. It counts what is open, so it takes the longer the more that is.
func (q *Queue) Lanes(ctx context.Context) ([]queue.LaneStatus, error) {
	lanes := map[queue.Lane]*queue.LaneStatus{}
	oldest := map[queue.Lane]int64{}
	at := func(l queue.Lane) *queue.LaneStatus {
		s := lanes[l]
		if s == nil {
			s = &queue.LaneStatus{Lane: l, Next: -1}
			lanes[l] = s
		}
		return s
	}
	err := q.reading(ctx, "lanes", func() error {
		clear(lanes)
		clear(oldest)
		// One statement, so that what moves from one state to another meanwhile is counted once.
		rows, err := q.pool.query(ctx, `SELECT stream, domain, route, 0, count(*), 0, min(seq) FROM repute_delivery WHERE state = 0 GROUP BY stream, domain, route
			UNION ALL SELECT stream, domain, route, min(due) - {now}, count(*), 0, min(seq) FROM repute_delivery WHERE state = 1 GROUP BY stream, domain, route
			UNION ALL SELECT stream, domain, route, 0, count(CASE WHEN due <= {now} THEN 1 END), count(CASE WHEN due > {now} THEN 1 END), min(seq)
				FROM repute_delivery WHERE state = 2 GROUP BY stream, domain, route`)
		err = scan(rows, err, func(r *sql.Rows) error {
			var l queue.Lane
			var next, seq int64
			var waiting, inFlight int
			if err := r.Scan(&l.Stream, &l.Domain, &l.Route, &next, &waiting, &inFlight, &seq); err != nil {
				return err
			}
			s := at(l)
			s.Waiting += waiting
			s.InFlight += inFlight
			if wait := max(0, time.Duration(next)*time.Microsecond); waiting > 0 && (s.Next < 0 || wait < s.Next) {
				s.Next = wait
			}
			if o, ok := oldest[l]; !ok || seq < o {
				oldest[l] = seq
			}
			return nil
		})
		if err != nil {
			return err
		}
		return q.ages(ctx, lanes, oldest)
	})
	if err != nil {
		return nil, err
	}
	out := make([]queue.LaneStatus, 0, len(lanes))
	for _, s := range lanes {
		s.Next = max(0, s.Next)
		out = append(out, *s)
	}
	return out, nil
}

// ages looks up when the oldest deliveries of lanes were accepted.
func (q *Queue) ages(ctx context.Context, lanes map[queue.Lane]*queue.LaneStatus, oldest map[queue.Lane]int64) error {
	seqs := make([]any, 0, len(oldest))
	of := make(map[int64]*queue.LaneStatus, len(oldest))
	for l, seq := range oldest {
		seqs = append(seqs, seq)
		of[seq] = lanes[l]
	}
	return q.d.each(len(seqs), func(from, size int) error {
		rows, err := q.pool.query(ctx, q.text("ages", size, func() string {
			return "SELECT seq, created FROM repute_delivery WHERE seq IN (" + holders(size) + ")"
		}), seqs[from:from+size]...)
		return scan(rows, err, func(r *sql.Rows) error {
			var seq, created int64
			if err := r.Scan(&seq, &created); err != nil {
				return err
			}
			of[seq].Oldest = q.clock.local(created)
			return nil
		})
	})
}
