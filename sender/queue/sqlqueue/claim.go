package sqlqueue

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// The bounds of what a claim does for others beside.
const (
	reclaimEvery = 50 * time.Millisecond
	reclaimLimit = 256
	promoteLimit = 256
)

// columns are those of a delivery, of table d, with the ID of its message, of table m. columnsAlone need no table m: the message is looked up for
// each row, whatever PostgreSQL believes about the size of the tables.
const (
	columns      = "d.seq, m.id, " + ownColumns
	columnsAlone = "d.seq, (SELECT m.id FROM repute_message m WHERE m.seq = d.seq >> 20), " + ownColumns
	ownColumns   = "d.stream, d.domain, d.route, d.recipient, d.rank, d.state, d.lease, d.due, d.created, d.expires, d.attempts, d.history"
)

// Claim implements sender.Queue.
func (q *Queue) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	var out queue.Claimed
	var lapsed []queue.Lane
	lease := newNonce()
	o := &op{name: "claim", rows: max(c.Limit, len(c.IDs)), lease: lease}
	o.do = func(ctx context.Context, w *conn, o *op) error {
		out = queue.Claimed{}
		if o.unsure { // what an earlier commit may have claimed
			rows, err := w.query(ctx, unlease, lease)
			if _, err := lanesOf(rows, err); err != nil {
				return err
			}
		}
		var err error
		if lapsed, err = q.reclaimSome(ctx, w); err != nil {
			return err
		}
		switch {
		case len(c.IDs) > 0:
			return q.claimIDs(ctx, w, c, lease, &out)
		case c.Expired:
			return q.claimExpired(ctx, w, c, lease, &out)
		case c.Early:
			return q.claimEarly(ctx, w, c, lease, &out)
		}
		return q.claimLane(ctx, w, c, lease, &out)
	}
	o.then = func() { q.news.lanesAre(lapsed) } // also when the caller has gone away
	if err := q.writer.write(ctx, o); err != nil {
		return queue.Claimed{}, err
	}
	if !c.Expired && !c.Early && len(c.IDs) == 0 { // those are not sent
		q.fetch(ctx, out.Deliveries)
	}
	return out, nil
}

// unlease makes ready what is held under a lease.
const unlease = "UPDATE repute_delivery SET state = 0, lease = 0 WHERE state = 2 AND lease = ? RETURNING stream, domain, route"

// giveBack ends a lease of which its caller does not know.
func (q *Queue) giveBack(lease int64) *op {
	var lanes []queue.Lane
	return &op{
		name: "give back a lease", rows: 16,
		do: func(ctx context.Context, w *conn, _ *op) error {
			rows, err := w.query(ctx, unlease, lease)
			lanes, err = lanesOf(rows, err)
			return err
		},
		then: func() { q.news.lanesAre(lanes) },
	}
}

// claimLane claims the first of a lane.
func (q *Queue) claimLane(ctx context.Context, w *conn, c queue.Claim, lease int64, out *queue.Claimed) error {
	lane := []any{c.Lane.Stream, c.Lane.Domain, c.Lane.Route}
	if err := q.promote(ctx, w, lane); err != nil {
		return err
	}
	rows, err := w.query(ctx, "SELECT "+columnsAlone+`, {now} FROM repute_delivery d
		WHERE d.state = 0 AND d.stream = ? AND d.domain = ? AND d.route = ? ORDER BY d.rank, d.seq LIMIT {n} {skip}`, append(lane, c.Limit+1)...)
	got, err := q.deliveries(rows, err)
	if err != nil {
		return err
	}
	if len(got) > c.Limit {
		out.More = true
		return q.lease(ctx, w, c, lease, got[:c.Limit], out)
	}
	var next int64
	switch err := q.one(ctx, w, `SELECT due - {now} FROM repute_delivery WHERE state = 1 AND stream = ? AND domain = ? AND route = ?
		ORDER BY due LIMIT 1`, lane, &next); err {
	case nil:
		out.More, out.Next = true, max(0, time.Duration(next)*time.Microsecond)
	case sql.ErrNoRows:
	default:
		return err
	}
	return q.lease(ctx, w, c, lease, got, out)
}

// promote has retries of a lane that have become due take their place by age among those that are ready.
func (q *Queue) promote(ctx context.Context, w *conn, lane []any) error {
	_, err := w.exec(ctx, `UPDATE repute_delivery SET state = 0 WHERE seq {in}
		SELECT seq FROM repute_delivery WHERE state = 1 AND stream = ? AND domain = ? AND route = ? AND due <= {now} ORDER BY due LIMIT {n} {skip}{end}`,
		append(lane, promoteLimit)...)
	return err
}

// claimEarly claims what waits in a lane, due or not, and is old enough.
func (q *Queue) claimEarly(ctx context.Context, w *conn, c queue.Claim, lease int64, out *queue.Claimed) error {
	lane := []any{c.Lane.Stream, c.Lane.Domain, c.Lane.Route}
	if err := q.promote(ctx, w, lane); err != nil {
		return err
	}
	var got []found
	for _, text := range []string{
		"SELECT " + columnsAlone + `, {now} FROM repute_delivery d WHERE d.created <= {now} - CAST(? AS BIGINT)
			AND d.state = 0 AND d.stream = ? AND d.domain = ? AND d.route = ? ORDER BY d.rank, d.seq LIMIT {n} {skip}`,
		"SELECT " + columnsAlone + `, {now} FROM repute_delivery d WHERE d.created <= {now} - CAST(? AS BIGINT)
			AND d.state = 1 AND d.stream = ? AND d.domain = ? AND d.route = ? ORDER BY d.due, d.seq LIMIT {n} {skip}`,
	} {
		left := c.Limit + 1 - len(got)
		if left <= 0 {
			break
		}
		rows, err := w.query(ctx, text, append([]any{c.MinAge.Microseconds()}, append(lane, left)...)...)
		some, err := q.deliveries(rows, err)
		if err != nil {
			return err
		}
		got = append(got, some...)
	}
	if len(got) > c.Limit {
		got, out.More = got[:c.Limit], true
	}
	return q.lease(ctx, w, c, lease, got, out)
}

// claimIDs claims those of some deliveries that wait.
func (q *Queue) claimIDs(ctx context.Context, w *conn, c queue.Claim, lease int64, out *queue.Claimed) error {
	if len(c.IDs) > queue.MaxClaimIDs {
		return fmt.Errorf("%w: Claim.IDs: %d are more than %d", queue.ErrInvalid, len(c.IDs), queue.MaxClaimIDs)
	}
	rows := make([]*settleRow, len(c.IDs))
	for i, id := range c.IDs {
		rows[i] = &settleRow{}
		rows[i].messageID, rows[i].n, _ = queue.SplitDeliveryID(id)
	}
	if err := q.findMessages(ctx, w, rows); err != nil {
		return err
	}
	var all []int64
	for _, r := range rows {
		if r.message != nil {
			all = append(all, r.message.seq<<shift|int64(r.n))
		}
	}
	slices.Sort(all) // all processes lock in the same order
	seqs := make([]any, 0, len(all))
	for _, seq := range slices.Compact(all) {
		seqs = append(seqs, seq)
	}
	var got []found
	err := q.d.each(len(seqs), func(from, size int) error {
		// The state is no plain condition, or PostgreSQL's planner may take the index of what expires, and walk over it.
		rows, err := w.query(ctx, q.text("these", size, func() string {
			return "SELECT " + columnsAlone + ", {now} FROM repute_delivery d WHERE d.seq IN (" + holders(size) + ") AND d.state - 2 < 0 {skip}"
		}), seqs[from:from+size]...)
		some, err := q.deliveries(rows, err)
		got = append(got, some...)
		return err
	})
	if err != nil {
		return err
	}
	return q.lease(ctx, w, c, lease, got, out)
}

// claimExpired claims what ran out of time, wherever it waits.
func (q *Queue) claimExpired(ctx context.Context, w *conn, c queue.Claim, lease int64, out *queue.Claimed) error {
	rows, err := w.query(ctx, "SELECT "+columnsAlone+`, {now} FROM repute_delivery d
		WHERE d.state < 2 AND d.expires <= {now} ORDER BY d.expires LIMIT {n} {skip}`, c.Limit)
	got, err := q.deliveries(rows, err)
	if err != nil {
		return err
	}
	return q.lease(ctx, w, c, lease, got, out)
}

// lease leases what was found.
func (q *Queue) lease(ctx context.Context, w *conn, c queue.Claim, lease int64, got []found, out *queue.Claimed) error {
	until := time.Now().Add(c.LeaseFor)
	for _, f := range got {
		f.State, f.Lease, f.Due, f.Early = queue.InFlight, lease, until, f.early
		q.cache.check(f.MessageID, f.seq>>shift)
		out.Deliveries = append(out.Deliveries, f.Delivery)
	}
	return q.d.each(len(got), func(from, size int) error {
		args := make([]any, 0, size+3)
		args = append(args, lease, q.owner, c.LeaseFor.Microseconds())
		for _, f := range got[from : from+size] {
			args = append(args, f.seq)
		}
		_, err := w.exec(ctx, q.text("lease", size, func() string {
			return "UPDATE repute_delivery SET state = 2, lease = ?, owner = ?, due = {now} + ? WHERE seq IN (" + holders(size) + ")"
		}), args...)
		return err
	})
}

// lapsed is what becomes of a lease that nobody ended: the delivery is ready again at once. Its number stays, so that whoever held it can still settle it until
// somebody else is given the delivery: losses, which a settlement sets to 0, says that it may. When that happens to it for the fourth time in a row it may
// be what brings processes down, so it waits then, from ten seconds up to a quarter of an hour.
const lapsed = `state = CASE WHEN losses < 3 THEN 0 ELSE 1 END, losses = losses + 1,
	due = {now} + CASE WHEN losses < 3 THEN 0 WHEN losses > 9 THEN 900000000 ELSE {min}(900000000, 10000000 << (losses - 3)) END`

// reclaimSome ends leases that ran out, unless somebody looked for them a moment ago. It returns the lanes of what is ready again, of which to tell
// once that is committed.
func (q *Queue) reclaimSome(ctx context.Context, w *conn) ([]queue.Lane, error) {
	now := time.Now()
	if q.reclaimed.Load() > now.Add(-reclaimEvery).UnixNano() {
		return nil, nil
	}
	q.reclaimed.Store(now.UnixNano())
	rows, err := w.query(ctx, "UPDATE repute_delivery SET "+lapsed+` WHERE seq {in}
		SELECT seq FROM repute_delivery WHERE state = 2 AND due <= {now} ORDER BY due LIMIT {n} {skip}{end} RETURNING stream, domain, route`, reclaimLimit)
	return lanesOf(rows, err)
}

// lanesOf reads lanes, each once.
func lanesOf(rows *sql.Rows, err error) ([]queue.Lane, error) {
	var lanes []queue.Lane
	seen := map[queue.Lane]bool{}
	err = scan(rows, err, func(r *sql.Rows) error {
		var l queue.Lane
		if err := r.Scan(&l.Stream, &l.Domain, &l.Route); err != nil {
			return err
		}
		if !seen[l] {
			seen[l] = true
			lanes = append(lanes, l)
		}
		return nil
	})
	return lanes, err
}
