package sqlqueue

import (
	"context"
	"database/sql"
	"sync/atomic"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// recover makes the deliveries ready that an earlier life of this process had leased. Only SQLite: the lock on the file says that
// nobody else is alive.
func (q *Queue) recover(ctx context.Context) error {
	_, err := q.run(ctx, "take back leases", func(ctx context.Context, w *conn) error {
		_, err := w.exec(ctx, "UPDATE repute_delivery SET "+lapsed+" WHERE state = 2")
		return err
	})
	return err
}

// beat says that this process is alive, and takes over the deliveries of those that have been silent for too long.
func (q *Queue) beat(ctx context.Context) error {
	var silent []string
	var now int64
	var sent time.Time
	n, err := q.run(ctx, "tell that this process is alive", func(ctx context.Context, w *conn) error {
		silent, sent = nil, time.Now()
		err := q.one(ctx, w, `INSERT INTO repute_owner (owner, expires) VALUES (?, {now} + CAST(? AS BIGINT))
			ON CONFLICT (owner) DO UPDATE SET expires = excluded.expires RETURNING {now}`, []any{q.owner, q.cfg.OwnerTimeout.Microseconds()}, &now)
		if err != nil {
			return err
		}
		q.clock.observe(now, sent)
		rows, err := w.query(ctx, "SELECT owner FROM repute_owner WHERE expires <= {now}")
		return scan(rows, err, func(r *sql.Rows) error {
			var owner string
			if err := r.Scan(&owner); err != nil {
				return err
			}
			silent = append(silent, owner)
			return nil
		})
	})
	if err != nil {
		q.pulse = pulse{}
		return err
	}
	if !q.pulse.beat(now, sent, n > 0, q.cfg.OwnerTimeout/4) {
		return nil
	}
	for _, owner := range silent {
		if err := q.takeOver(ctx, owner); err != nil {
			return err
		}
	}
	return nil
}

// takeOver ends the leases of an owner that is silent still. It waits for nobody: the owner may stand still in the middle of a
// transaction, and hold locks. What it has locked is taken over later, when the server has ended its session.
func (q *Queue) takeOver(ctx context.Context, owner string) error {
	var lanes []queue.Lane
	_, err := q.run(ctx, "take over", func(ctx context.Context, w *conn) error {
		lanes = nil
		var expired int64
		switch err := q.one(ctx, w, "SELECT expires FROM repute_owner WHERE owner = ? AND expires <= {now} {skip}", []any{owner}, &expired); err {
		case nil:
		case sql.ErrNoRows: // another one is quicker, or it is back
			return nil
		default:
			return err
		}
		q.log.Warn("another process is silent: its deliveries are taken over", "owner", owner)
		rows, err := w.query(ctx, "UPDATE repute_delivery SET "+lapsed+` WHERE seq {in}
			SELECT seq FROM repute_delivery WHERE state = 2 AND owner = ? {skip}{end} RETURNING stream, domain, route`, owner)
		if lanes, err = lanesOf(rows, err); err != nil {
			return err
		}
		var left int64
		if err := q.one(ctx, w, "SELECT seq FROM repute_delivery WHERE state = 2 AND owner = ? LIMIT 1", []any{owner}, &left); err != sql.ErrNoRows {
			return err
		}
		_, err = w.exec(ctx, "DELETE FROM repute_owner WHERE owner = ?", owner)
		return err
	})
	if err == nil {
		q.news.lanesAre(lanes)
	}
	return err
}

// resign ends the writer and gives back what this process still has leased, and its name. It is the last thing that a queue writes: after
// that nothing can be leased.
func (q *Queue) resign() error {
	last := &op{name: "give back leases", rows: 16, do: func(ctx context.Context, w *conn, _ *op) error { return q.giveUp(ctx, w) }}
	if !q.d.postgres { // one connection writes, in order
		q.writer.close(last)
		return last.err
	}
	q.writer.close(nil)
	alone := newWriter(q)
	alone.wg.Go(alone.run)
	alone.close(last)
	return last.err
}

// giveUp leaves nothing behind that is this process's.
func (q *Queue) giveUp(ctx context.Context, w *conn) error {
	if _, err := w.exec(ctx, "UPDATE repute_delivery SET state = 0, lease = 0, due = {now} WHERE state = 2 AND owner = ?", q.owner); err != nil {
		return err
	}
	if lead, news := q.wasSet(); news {
		if err := writeLead(ctx, w, lead); err != nil {
			return err
		}
	}
	_, err := w.exec(ctx, "DELETE FROM repute_owner WHERE owner = ?", q.owner)
	return err
}

// run writes by f, in a transaction that others may share. It reports how often that had failed before.
func (q *Queue) run(ctx context.Context, name string, f func(ctx context.Context, w *conn) error) (tries int, err error) {
	var n atomic.Int64 // a call whose ctx has ended may be under way still
	err = q.writer.write(ctx, &op{name: name, rows: 16, do: func(ctx context.Context, w *conn, _ *op) error {
		n.Add(1)
		return f(ctx, w)
	}})
	return max(0, int(n.Load())-1), err
}
