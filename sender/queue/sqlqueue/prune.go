package sqlqueue

import (
	"context"
	"database/sql"
	"time"
)

// Pruning goes in small steps, so that it never holds the others up for long.
const (
	pruneStep  = 500
	prunePause = 20 * time.Millisecond
)

// Prune forgets the messages all of whose deliveries were settled longer ago than Config.Retention. The queue does that by itself every minute; a
// host calls it only to have it done now. It goes from the oldest message on, in small steps, until it comes to one that is younger.
func (q *Queue) Prune(ctx context.Context) error {
	q.pruning.Lock() // SQLite gives the number of a forgotten message to a new one, which another Prune would forget as well
	defer q.pruning.Unlock()
	var after int64
	for {
		var seqs []int64
		var last int64
		// A message that is younger cannot have been settled long enough ago, nor can those after it.
		rows, err := q.pool.query(ctx, `SELECT m.seq, CASE WHEN EXISTS (SELECT 1 FROM repute_delivery d
				WHERE d.seq BETWEEN m.seq << 20 AND ((m.seq + 1) << 20) - 1 AND (d.state < 3 OR d.due > {now} - CAST(? AS BIGINT))) THEN 1 ELSE 0 END
			FROM (SELECT seq, created FROM repute_message WHERE seq > ? ORDER BY seq LIMIT {n}) m WHERE m.created <= {now} - CAST(? AS BIGINT) ORDER BY m.seq`,
			q.cfg.Retention.Microseconds(), after, pruneStep, q.cfg.Retention.Microseconds())
		err = scan(rows, err, func(r *sql.Rows) error {
			var needed int
			if err := r.Scan(&last, &needed); err != nil {
				return err
			}
			if needed == 0 {
				seqs = append(seqs, last)
			}
			return nil
		})
		if err != nil || last == 0 {
			return err
		}
		after = last
		if len(seqs) > 0 {
			_, err := q.run(ctx, "prune", func(ctx context.Context, w *conn) error { return q.forget(ctx, w, seqs) })
			if err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-q.closing:
			return nil
		case <-time.After(prunePause):
		}
	}
}
