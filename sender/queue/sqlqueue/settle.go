package sqlqueue

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/reputemail/repute/sender/queue"
)

// settle is one call of Settle.
type settle struct {
	batch []queue.Settlement
	rows  []settleRow // made once
	lost  []string
}

// settleRow is a settlement in the form of the database.
type settleRow struct {
	queue.Settlement
	messageID string
	n         int
	record    string // a line, or empty
	state     int
	seq       int64 // 0: there is no such delivery
	message   *settledMessage
	done      bool
}

// settledMessage is the message of some settlements.
type settledMessage struct {
	seq        int64
	id         string
	recipients int  // its deliveries
	final      int  // of them, those that became final in this transaction
	gone       bool // its body went with the last one
}

// Settle implements sender.Queue. Calls at the same time share a transaction. A lease that has run out still counts, as long as
// nobody else was given the delivery.
func (q *Queue) Settle(ctx context.Context, batch []queue.Settlement) (lost []string, err error) {
	if len(batch) == 0 {
		return nil, ctx.Err()
	}
	s := &settle{batch: batch, rows: make([]settleRow, len(batch))}
	bytes := 0
	for i := range batch {
		r := &s.rows[i]
		r.Settlement = batch[i]
		r.messageID, r.n, _ = queue.SplitDeliveryID(batch[i].ID)
		switch batch[i].State {
		case queue.InFlight:
			r.state = stateInFlight
		case queue.Waiting:
			if r.state = stateReady; batch[i].After > 0 {
				r.state = stateWaiting
			}
		default:
			if r.state = stateNumber(batch[i].State); r.state == 0 {
				return nil, fmt.Errorf("%w: Settlement.State of %s: %q", queue.ErrInvalid, batch[i].ID, batch[i].State)
			}
		}
		if batch[i].Record != nil {
			line, err := json.Marshal(batch[i].Record)
			if err != nil {
				return nil, err
			}
			r.record = string(line) + "\n"
			bytes += len(line)
		}
	}
	o := &op{kind: opSettle, name: "settle", rows: len(batch), bytes: bytes, settle: s}
	if err := q.writer.write(ctx, o); err != nil {
		return nil, err
	}
	for i := range s.rows {
		switch r := &s.rows[i]; {
		case !r.done:
			s.lost = append(s.lost, r.ID)
		case r.message.gone:
			q.cache.drop(r.messageID)
		}
	}
	return s.lost, nil
}

// applySettles writes the settlements of several calls, in order.
func (q *Queue) applySettles(ctx context.Context, w querier, ops []*op) error {
	var rows []*settleRow
	seen := map[string]bool{}
	flush := func() error {
		defer func() { rows = rows[:0]; clear(seen) }()
		return q.settleRows(ctx, w, rows)
	}
	for _, o := range ops {
		for i := range o.settle.rows {
			r := &o.settle.rows[i]
			r.seq, r.message, r.done = 0, nil, false
			if seen[r.ID] { // one statement must not meet a row twice
				if err := flush(); err != nil {
					return err
				}
			}
			seen[r.ID] = true
			rows = append(rows, r)
		}
	}
	if err := flush(); err != nil {
		return err
	}
	for _, o := range ops {
		if err := q.confirm(ctx, w, o.settle); err != nil {
			return err
		}
	}
	return nil
}

// settleRows writes settlements of different deliveries.
func (q *Queue) settleRows(ctx context.Context, w querier, rows []*settleRow) error {
	if err := q.findMessages(ctx, w, rows); err != nil {
		return err
	}
	bySeq := make(map[int64]*settleRow, len(rows))
	known := make([]*settleRow, 0, len(rows))
	for _, r := range rows {
		if r.message != nil {
			r.seq = r.message.seq<<shift | int64(r.n)
			bySeq[r.seq] = r
			known = append(known, r)
		}
	}
	// All processes lock in the same order.
	slices.SortFunc(known, func(a, b *settleRow) int { return int(min(1, max(-1, a.seq-b.seq))) })
	err := q.d.each(len(known), func(from, size int) error {
		args := make([]any, 0, 9*size)
		for _, r := range known[from : from+size] {
			began, records, keepRoute := 0, 0, 0
			if r.Began {
				began = 1
			}
			if r.record != "" {
				records = 1
			}
			if r.state >= stateInFlight { // only what waits moves to another lane
				keepRoute = 1
			}
			after := int64(0)
			if r.state < stateFinal {
				after = max(0, r.After.Microseconds())
			}
			args = append(args, r.seq, r.Lease, r.state, after, r.Route, keepRoute, began, r.record, records)
		}
		rows, err := w.query(ctx, q.text("settle", size, func() string {
			// PostgreSQL's planner may believe that the table is empty, and walk over all of it, or over all that is in flight (which is why
			// the state is no plain condition). Like this it cannot.
			bound := ""
			if q.d.postgres {
				bound = " AND seq = ANY (ARRAY(SELECT item FROM v))"
			}
			return "WITH v (item, held, becomes, after, moved, keep, began, record, more) AS (VALUES " +
				values(size, "BIGINT", "BIGINT", "INTEGER", "BIGINT", "TEXT", "INTEGER", "INTEGER", "TEXT", "INTEGER") + `)
				UPDATE repute_delivery SET state = v.becomes, due = {now} + v.after, attempts = attempts + v.began, losses = 0,
					route = CASE WHEN v.keep = 1 THEN route ELSE v.moved END,
					history = CASE WHEN v.more = 1 AND records >= 10 THEN substr(history, {pos}(history, '
') + 1) ELSE history END || v.record,
					records = {min}(records + v.more, 10)
				FROM v WHERE seq = v.item AND lease = v.held AND (state - 2 = 0 OR state - 2 < 0 AND losses > 0)` + bound + " RETURNING seq"
		}), args...)
		return scan(rows, err, func(rows *sql.Rows) error {
			var seq int64
			if err := rows.Scan(&seq); err != nil {
				return err
			}
			r := bySeq[seq]
			r.done = true
			if r.state >= stateFinal {
				r.message.final++
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return q.dropBodies(ctx, w, known)
}

// findMessages finds the messages of settlements, by their IDs.
func (q *Queue) findMessages(ctx context.Context, w querier, rows []*settleRow) error {
	byID := make(map[string]*settledMessage, len(rows))
	ids := make([]string, 0, len(rows))
	for _, r := range rows {
		if _, ok := byID[r.messageID]; !ok && r.n > 0 {
			byID[r.messageID] = nil
			ids = append(ids, r.messageID)
		}
	}
	err := q.d.each(len(ids), func(from, size int) error {
		args := make([]any, size)
		for i, id := range ids[from : from+size] {
			args[i] = id
		}
		rows, err := w.query(ctx, q.text("find", size, func() string {
			return "SELECT seq, id, recipients FROM repute_message WHERE id IN (" + holders(size) + ")"
		}), args...)
		return scan(rows, err, func(r *sql.Rows) error {
			m := &settledMessage{}
			if err := r.Scan(&m.seq, &m.id, &m.recipients); err != nil {
				return err
			}
			byID[m.id] = m
			return nil
		})
	})
	for _, r := range rows {
		r.message = byID[r.messageID]
	}
	return err
}

// dropBodies deletes the bodies of messages whose last delivery became final.
func (q *Queue) dropBodies(ctx context.Context, w querier, rows []*settleRow) error {
	var gone []int64
	var last *settledMessage
	for _, r := range rows { // sorted, so that those of a message follow each other
		m := r.message
		if m == last || m.final == 0 {
			continue
		}
		last = m
		if m.recipients > 1 {
			var open int64
			err := q.one(ctx, w, "UPDATE repute_message SET open = open - ? WHERE seq = ? RETURNING open", []any{m.final, m.seq}, &open)
			if err != nil {
				return err
			}
			if open > 0 {
				continue
			}
		}
		m.gone = true
		gone = append(gone, m.seq)
	}
	return q.d.each(len(gone), func(from, size int) error {
		args := make([]any, size)
		for i, seq := range gone[from : from+size] {
			args[i] = seq
		}
		_, err := w.exec(ctx, q.text("drop", size, func() string {
			return "DELETE FROM repute_body WHERE message IN (" + holders(size) + ")"
		}), args...)
		return err
	})
}

// confirm finds out which settlements were written before: by an earlier commit of the same call, or by an earlier call with the same
// settlement, whose caller had not waited for it or did not get to know.
func (q *Queue) confirm(ctx context.Context, w querier, s *settle) error {
	for i := range s.rows {
		r := &s.rows[i]
		if r.done || r.seq == 0 {
			continue
		}
		var state int
		err := q.one(ctx, w, "SELECT state FROM repute_delivery WHERE seq = ? AND lease = ? AND losses = 0", []any{r.seq, r.Lease}, &state)
		if err != nil && err != sql.ErrNoRows {
			return err
		}
		r.done = err == nil && (state == r.state || state < stateInFlight && r.state < stateInFlight)
	}
	return nil
}
