package sqlqueue

import (
	"context"
	"database/sql"
	"time"
)

// Pruning goes in small steps, so that it never holds the others up for long.
const (
	pruneStep       = 500  // messages that are looked at
	pruneDeliveries = 2000 // that are forgotten in one transaction, or one message's
	prunePause      = 20 * time.Millisecond
)

// Prune forgets the messages all of whose deliveries were settled longer ago than Config.Retention. The queue does that by itself every minute; a
// host calls it only to have it done now. It goes from the oldest message on, in small steps, until it comes to one that is younger.
func (q *Queue) Prune(ctx context.Context) error {
	q.pruning.Lock() // another one would do the same work
	defer q.pruning.Unlock()
	var after int64
	for {
		var seqs []int64
		var last int64
		var sizes []int
		// A message that is younger cannot have been settled long enough ago, nor can those after it.
		rows, err := q.pool.query(ctx, `SELECT m.seq, m.recipients, CASE WHEN EXISTS (SELECT 1 FROM repute_delivery d
				WHERE d.seq BETWEEN m.seq << 20 AND ((m.seq + 1) << 20) - 1 AND (d.state < 3 OR d.due > {now} - CAST(? AS BIGINT))) THEN 1 ELSE 0 END
			FROM (SELECT seq, recipients, created FROM repute_message WHERE seq > ? ORDER BY seq LIMIT {n}) m WHERE m.created <= {now} - CAST(? AS BIGINT) ORDER BY m.seq`,
			q.cfg.Retention.Microseconds(), after, pruneStep, q.cfg.Retention.Microseconds())
		err = scan(rows, err, func(r *sql.Rows) error {
			var size, needed int
			if err := r.Scan(&last, &size, &needed); err != nil {
				return err
			}
			if needed == 0 {
				seqs, sizes = append(seqs, last), append(sizes, size)
			}
			return nil
		})
		if err != nil || last == 0 {
			return err
		}
		after = last
		for len(seqs) > 0 {
			n, deliveries := 1, sizes[0]
			for n < len(seqs) && deliveries+sizes[n] <= pruneDeliveries {
				deliveries += sizes[n]
				n++
			}
			step := seqs[:n]
			if _, err := q.run(ctx, "prune", func(ctx context.Context, w *conn) error { return q.forget(ctx, w, step) }); err != nil {
				return err
			}
			seqs, sizes = seqs[n:], sizes[n:]
			if done, err := q.rests(ctx); done {
				return err
			}
		}
		if done, err := q.rests(ctx); done {
			return err
		}
	}
}

// rests waits a moment, and reports whether it is time to end.
func (q *Queue) rests(ctx context.Context) (done bool, err error) {
	pause := time.NewTimer(prunePause)
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return true, ctx.Err()
	case <-q.closing:
		return true, nil
	case <-pause.C:
		return false, nil
	}
}
